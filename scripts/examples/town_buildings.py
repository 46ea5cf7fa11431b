"""What is built in the town: houses, the quay, the church, the bridge and the boats.

Houses and the church stand in the quay's coordinates: metres along it, behind it and above the
water.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from .shared import Array, unit
from .town_materials import (
    BRICK,
    EARTH,
    OAK,
    QUAY_STONE,
    ROOFS,
    SANDSTONE,
    SLATE,
    STREET,
    facade,
    plain,
    stonework,
    tiles,
    tower_wall,
)
from .town_rasteriser import UP, Material, Scene, triangle

Triple = tuple[float, float, float]

QUAY_ALONG = unit(np.array([-0.47, 0.0, 0.88]))
QUAY_INLAND = np.array([QUAY_ALONG[2], 0.0, -QUAY_ALONG[0]])
QUAY_ORIGIN = np.array([24.0, 0.0, 22.0])
GROUND_SLOPE = 0.42
STRAKES = (0.0, 0.25, 0.5, 0.72, 0.9, 1.0)
BOATS = (  # (x, z), heading, length, colour
    ((-2.5, 22.0), 0.35, 6.0, "2c5064"),
    ((6.5, 30.0), 2.2, 5.5, "655448"),
    ((-9.0, 47.0), 0.1, 6.0, "e0d6c0"),
)


def on_quay(along: float, inland: float, up: float) -> Array:
    """The point so many metres along the quay, behind it and above the water."""
    return QUAY_ORIGIN + along * QUAY_ALONG + inland * QUAY_INLAND + up * UP


def build_house(scene: Scene, at: Triple, size: Triple, rise: float, gabled: bool) -> None:
    """A box with a saddle roof, its ridge across the river front (gabled) or along it."""
    (s, i, base), (width, depth, wall) = at, size
    e, m, top = QUAY_ALONG, QUAY_INLAND, wall + rise
    front, side = facade(scene, width), facade(scene, depth)

    def gable(u: Array, v: Array) -> Array:
        return (v * top - wall) / rise < 1 - np.abs(2 * u - 1)

    front_up, side_up = (top, wall) if gabled else (wall, top)
    front_shape, side_shape = (gable, None) if gabled else (None, gable)
    scene.add(on_quay(s, i, base), width * e, front_up * UP, front, front_shape)
    for end in (s, s + width):
        scene.add(on_quay(end, i, base), depth * m, side_up * UP, side, side_shape)
    roof, eaves = tiles(scene.rng.choice(ROOFS), scene.grain), 0.45
    ridge, run = (m * depth, e * width / 2) if gabled else (e * width, m * depth / 2)
    over = eaves / np.linalg.norm(run)
    for sign in (1, -1):
        slope = run * sign + rise * UP
        foot = on_quay(s, i, base + wall) + (run - run * sign) - slope * over
        overhang = eaves * unit(ridge)
        scene.add(foot - overhang, ridge + 2 * overhang, slope * (1 + over), roof)


def build_box(scene: Scene, at: Triple, size: Triple, material: Material) -> None:
    """The sides that can be seen of an upright box, and its lid."""
    corner, height = on_quay(*at), size[2] * UP
    e, m = QUAY_ALONG * size[0], QUAY_INLAND * size[1]
    for foot, along in ((corner, e), (corner, m), (corner + e, m)):
        scene.add(foot, along, height, material)
    scene.add(corner + height, e, m, material)


def build_roof_details(scene: Scene, at: Triple, size: Triple, rise: float, gabled: bool) -> None:
    """A chimney, and dormers on a slope that faces the river."""
    (s, i, base), (width, depth, wall) = at, size
    place = (s + width * scene.rng.uniform(0.25, 0.6), i + depth * 0.45, base + wall + rise * 0.5)
    build_box(scene, place, (0.8, 0.7, rise * 0.5 + 1.3), stonework(BRICK, scene.grain, 0.22))
    dormers = 0 if gabled else int(width // 3)
    for k in range(dormers):
        along = s + (k + 0.5) * width / dormers - 0.75
        place = (along, i + depth * 0.08, base + wall + rise * 0.15)
        build_house(scene, place, (1.5, depth * 0.35, 1.7), 0.8, True)


def build_town(scene: Scene) -> None:
    """Rows of houses climbing the hill behind the quay wall."""
    rng = scene.rng
    for row, inland in enumerate((0.0, 17.0, 34.0, 53.0, 74.0)):
        s = -14.0
        while s < 190:
            width, depth = rng.uniform(6.5, 10.5), rng.uniform(10, 13)
            storeys = rng.integers(3, 5) if row == 0 else rng.integers(2, 5)
            at = (s, inland + rng.uniform(-0.5, 0.5), 2.4 + GROUND_SLOPE * inland)
            size = (width, depth, storeys * 2.85 + rng.uniform(0, 1))
            rise, gabled = rng.uniform(3.8, 6.0), rng.random() < 0.55
            build_house(scene, at, size, rise, gabled)
            build_roof_details(scene, at, size, rise, gabled)
            s += width + (rng.uniform(0.05, 0.3) if row == 0 else rng.uniform(0.2, 4))
    along, hill = 300 * QUAY_ALONG, 110 * QUAY_INLAND + 110 * GROUND_SLOPE * UP
    wall, street = stonework(QUAY_STONE, scene.grain), plain(STREET, scene.grain)
    for inland in (-4.5, -4.1):  # the parapet's two sides
        scene.add(on_quay(-20, inland, -0.5), along, 4.0 * UP, wall)
    scene.add(on_quay(-20, -4.5, 3.5), along, 0.4 * QUAY_INLAND, street)
    scene.add(on_quay(-20, -4.5, 2.6), along, 5 * QUAY_INLAND, street)
    scene.add(on_quay(-20, 0, 2.4), along, hill, plain(EARTH, scene.grain, 0.3))


def build_church(scene: Scene) -> None:
    """A tower under a steep spire, and the nave beside it."""
    s, i, base, side, height = 104.0, 36.0, 15.0, 8.0, 31.0
    wall, slate = tower_wall(scene.grain, side), tiles(SLATE, scene.grain)
    build_box(scene, (s, i, base), (side, side, height), wall)
    ring = ((-0.06, -0.06), (1.06, -0.06), (1.06, 1.06), (-0.06, 1.06), (-0.06, -0.06))
    eaves = [on_quay(s + a * side, i + b * side, base + height) for a, b in ring]
    apex = on_quay(s + side / 2, i + side / 2, base + height + 17)
    scene.faces += [triangle(a, b, apex, slate) for a, b in pairwise(eaves)]
    build_house(scene, (s + side, i - 1, base), (24.0, 13.0, 12.0), 9.0, False)


def build_bridge(scene: Scene) -> None:
    """Stone arches from the quay to the left bank, with the vaults below them."""
    start, end, deck, spans = on_quay(72, -4.5, 0), np.array([-70.0, 0.0, 76.0]), 7.4, 3
    along, across = end - start, unit(np.cross(end - start, UP)) * 6.0
    stone = stonework(SANDSTONE * 0.85, scene.grain, 0.34)

    def arches(u: Array, v: Array) -> Array:
        x = (u * spans % 1 - 0.5) / 0.41
        vault = np.sqrt(np.maximum(1 - x**2, 0)) * 0.72
        return (v > vault) & (v < 0.86 + 0.14 * np.sin(np.pi * u))

    for offset in (0, 1):
        scene.add(start + offset * across, along, deck * UP, stone, arches)
    angles = np.linspace(0, np.pi, 17)
    for span in range(spans):
        x, y = (span + 0.5 - 0.41 * np.cos(angles)) / spans, np.sin(angles) * 0.72 * deck
        rib = start + along * x[:, None] + UP * y[:, None]
        for a, b in pairwise(rib):
            scene.add(a, b - a, across, stone)


def build_boat(
    scene: Scene, at: tuple[float, float], heading: float, length: float, colour: Array
) -> None:
    """A rowing boat lofted over stations, open at the top, with thwarts."""
    forward = np.array([np.cos(heading), 0.0, np.sin(heading)])
    across = np.array([-forward[2], 0.0, forward[0]])
    wood, inside, rail = (plain(c, scene.grain, 0.05) for c in (colour, OAK, OAK * 1.8))
    t = np.linspace(-1, 1, 33)
    beam = length * 0.13 * (1 - np.abs(t) ** 2.6) * (1 - 0.12 * t) + 0.02
    sheer = (0.50 + 0.38 * np.maximum(t, 0) ** 2 + 0.16 * t**2)[:, None] * UP
    spine = np.array([at[0], 0.0, at[1]]) + forward * (t * length / 2)[:, None]
    for side in (-across, across):
        rim = spine + side * beam[:, None] + sheer
        foot = spine + side * beam[:, None] * 0.72 - 0.1 * UP
        inner = spine + side * beam[:, None] * 0.86 + sheer
        bilge = foot + 0.2 * UP
        strakes = [foot + (rim - foot) * f + side * 0.09 * np.sin(np.pi * f) for f in STRAKES]
        strips = [(*pair, wood) for pair in pairwise(strakes)]
        strips += [(rim, inner, rail), (inner, bilge, inside), (bilge, spine + 0.1 * UP, inside)]
        for low, high, material in strips:
            for k in range(len(t) - 1):
                scene.faces.append(triangle(low[k], low[k + 1], high[k + 1], material))
                scene.faces.append(triangle(low[k], high[k + 1], high[k], material))
    for k in (8, 16, 24):
        seat = spine[k] - across * beam[k] * 0.9 + sheer[k] - 0.12 * UP
        scene.add(seat, 1.8 * beam[k] * across, 0.3 * forward, inside)
