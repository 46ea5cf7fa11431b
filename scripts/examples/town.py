"""The content picture: a river town under a steep church tower, late on a summer day.

The scene is built once and drawn three times, for the camera, its mirror image and the sun.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from .shared import SUPERSAMPLE, develop, expose, fractal_noise, pigment, unit
from .town_buildings import BOATS, build_boat, build_bridge, build_church, build_town
from .town_light import SUN, lighten, water
from .town_rasteriser import UP, Scene, View
from .town_trees import plant_hills, plant_trees


def set_up_views(width: int, height: int) -> tuple[View, View, View]:
    """The camera, the camera as the river mirrors it, and the sun."""
    eye, look, focal = np.array([0, 5.6, 0]), np.eye(3), 0.90 * width
    # The optical axis is level, so that walls stay upright; the frame is shifted instead.
    centre = width / 2, 0.56 * height
    camera = View(eye, look, focal, centre, (height, width))
    flip = np.array([1, -1, 1])
    # Taller than the picture: waves also mirror what lies above its upper edge.
    mirror = View(eye * flip, look * flip, focal, centre, (height * 5 // 4, width))
    across = unit(np.cross(UP, -SUN))
    axes = np.array([across, np.cross(-SUN, across), -SUN])
    sun_at = np.array([-10, 12, 75]) + 250 * SUN
    return camera, mirror, View(sun_at, axes, 11.0, (1300, 700), (1400, 2600), parallel=True)


def draw_harbour(rng: np.random.Generator) -> Image.Image:
    """The content: a river town under a steep church tower, late on a summer day."""
    scene = Scene(rng, fractal_noise(rng, (512, 512), 0.8))
    clouds = fractal_noise(rng, (1024, 1024), 1.7, 0.6)
    build_town(scene)
    build_church(scene)
    build_bridge(scene)
    for at, heading, length, colour in BOATS:
        build_boat(scene, at, heading, length, pigment(colour)[0])
    plant_trees(scene)
    plant_hills(scene)
    discs = scene.discs()
    camera, mirror, sun_view = set_up_views(1024 * SUPERSAMPLE, 768 * SUPERSAMPLE)
    for view in (camera, mirror, sun_view):
        for face in scene.faces:
            view.draw_face(face)
        view.draw_discs(discs)
    scenery, mirrored = (lighten(view, sun_view, clouds) for view in (camera, mirror))
    return develop(expose(water(camera, scenery, mirror, mirrored, rng), 0.35), 0.012, rng)
