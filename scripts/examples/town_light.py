"""The light of the town: a low sun, the sky and its clouds, haze, and the river that mirrors all.

Each view is lit once its buffers are complete; the sun's depth buffer tells what lies in shadow.
"""

from __future__ import annotations

import numpy as np

from .shared import Array, blur, smoothstep, tiled, unit
from .town_rasteriser import View

SUN = unit(np.array([-0.84, 0.33, -0.24]))
SUNLIGHT = np.array([2.25, 1.42, 0.72])
SKYLIGHT = np.array([0.20, 0.27, 0.42])
HAZE_METRES = 900.0


def sky(directions: Array, clouds: Array) -> Array:
    """Rayleigh-like gradient, the glow about the sun, and clouds on a plane above the town."""
    d = unit(directions)
    elevation = np.clip(d[..., 1], 0, 1)[..., None]
    sunward = 0.5 + 0.5 * (d @ unit(SUN * [1, 0, 0]))[..., None]
    horizon, zenith = np.array([0.86, 0.55, 0.33]), np.array([0.045, 0.155, 0.36])
    colour = zenith + (horizon - zenith) * np.exp(-elevation * 5.0)
    colour = colour + np.array([0.95, 0.42, 0.10]) * sunward**3 * np.exp(-elevation * 3.2)
    height = np.maximum(elevation[..., 0], 0.02) + 0.06
    u, v = d[..., 0] / height * 230, d[..., 2] / height * 230
    density, shifted = tiled(clouds, u, v), tiled(clouds, u - 16, v)
    cover = smoothstep(0.1, 1.5, density)[..., None] * smoothstep(0.02, 0.16, elevation)
    lit = np.clip(0.55 + 0.5 * (density - shifted), 0, 1.2)[..., None]
    cloud = np.array([0.19, 0.19, 0.27]) + lit * np.array([1.05, 0.66, 0.38])
    return (colour + (cloud - colour) * 0.9 * cover).astype(np.float32)


def sunlit(view: View, position: Array, sun_view: View) -> Array:
    """The visible part of the sun: several looks at the depth map it sees, for a soft edge."""
    x, y, depth = sun_view.project(position + 0.12 * view.normal)
    lit = np.zeros(depth.shape, np.float32)
    height, width = sun_view.depth.shape
    for dx, dy in ((-1, -0.4), (0.4, -1), (1, 0.4), (-0.4, 1), (0, 0)):
        column = np.clip(x + 1.3 * dx, 0, width - 1).astype(int)
        row = np.clip(y + 1.3 * dy, 0, height - 1).astype(int)
        lit += depth < sun_view.depth[row, column] + 0.35
    return lit / 5


def lighten(view: View, sun_view: View, clouds: Array) -> Array:
    """Sun, sky and bounced light on what a view sees, then haze and the sky behind."""
    directions = view.directions()
    depth = np.minimum(view.depth, 5000)
    position = view.origin + depth[..., None] * directions
    sun = np.clip(view.normal @ SUN, 0, None) * sunlit(view, position, sun_view)
    # Crevices are where the depth lies behind its own blur (Luft et al., 2006).
    relative = np.log(depth)
    hollow = np.clip(relative - blur(relative, 14), 0, 0.06) / 0.06
    ambient = (0.62 + 0.38 * view.normal[..., 1]) * (1 - 0.6 * hollow)
    bounce = np.clip(0.5 - 0.5 * view.normal[..., 1], 0, 1) * 0.25
    light = (
        sun[..., None] * SUNLIGHT
        + ambient[..., None] * SKYLIGHT
        + bounce[..., None] * np.array([0.6, 0.42, 0.25])
    )
    colour = view.albedo * light
    level = directions * np.array([1, 0, 1]) + np.array([0, 0.03, 0])
    haze = 1 - np.exp(-np.maximum(depth - 25, 0) / HAZE_METRES)[..., None]
    colour += (sky(level, clouds) * np.array([0.80, 0.86, 1.0]) - colour) * haze
    return np.where(np.isinf(view.depth)[..., None], sky(directions, clouds), colour)


def wave_slopes(view: View, x: Array, z: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """The slopes of the water along x and z: a sum of waves, most of them across the view."""
    slope_x, slope_z = np.zeros_like(x), np.zeros_like(x)
    for length in np.geomspace(0.16, 4.0, 26):
        angle, phase = rng.normal(1.45, 0.5), rng.uniform(0, 2 * np.pi)
        kx, kz = np.cos(angle) * 2 * np.pi / length, np.sin(angle) * 2 * np.pi / length
        # Waves shorter than a few pixels would only alias.
        visible = np.exp(-((z * z / (view.focal * view.origin[1] * length * 0.4)) ** 2))
        wave = np.cos(x * kx + z * kz + phase + 0.8 * np.sin(x * kz * 0.13)) * visible * 0.010
        slope_x, slope_z = slope_x + wave * np.cos(angle), slope_z + wave * np.sin(angle)
    return slope_x, slope_z


def water(
    view: View, scenery: Array, mirror: View, mirrored: Array, rng: np.random.Generator
) -> Array:
    """Lay the river over what lies below the horizon: the mirrored view, shaken by waves."""
    directions = view.directions()
    below = directions[..., 1] < -1e-3
    distance = np.where(below, view.origin[1] / np.maximum(-directions[..., 1], 1e-3), np.inf)
    rows, columns = np.nonzero(below & (distance < view.depth))
    z = distance[rows, columns]
    x = z * directions[rows, columns, 0]
    slope_x, slope_z = wave_slopes(view, x, z, rng)
    patches = 0.6 + 0.5 * np.sin(x * 0.11 + 1.3 * np.sin(z * 0.07)) * np.sin(z * 0.05 + 0.02 * x)
    # What stands close behind the water, as a boat does, is shaken less than what is far.
    shake = 2 * view.focal * patches * np.clip(1.04 - z / mirror.depth[rows, columns], 0.04, 1)
    width = view.depth.shape[1]
    reflection = np.zeros((len(rows), 3), np.float32)
    for spread in (0.6, 0.8, 1.0, 1.2, 1.4):
        row = rows + shake * (slope_z * spread + (spread - 1) * 0.004)
        column = columns + 0.5 * shake * slope_x * spread
        row = np.clip(row, view.centre[1] + 2, len(mirrored) - 1).astype(int)
        reflection += mirrored[row, np.clip(column, 0, width - 1).astype(int)] / 5
    d = unit(directions[rows, columns])
    cosine = np.clip(-d[:, 1] - slope_z * d[:, 2] * 3, 0, 1)
    fresnel = (0.06 + 0.94 * (1 - cosine) ** 4)[:, None]
    body = np.array([0.035, 0.060, 0.045]) * (1 + 6 * slope_z[:, None])
    result = scenery.copy()
    result[rows, columns] = body + (reflection - body) * np.clip(fresnel * 0.95, 0, 0.92)
    return result
