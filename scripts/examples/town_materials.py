"""What the town is made of: the palettes, and materials that paint a face by metres along and up.

Each material draws its dice when it is made, so that every view sees the same wall.
"""

from __future__ import annotations

import numpy as np

from .shared import Array, pigment, smoothstep, tiled
from .town_rasteriser import Material, Scene

PLASTERS = pigment(
    "dcb878 c9a065 e6d8bc c98a6c a9b59c d8ab8c c4a07c 9fb0ba ddc690 b8704c c9b48a d88f6f"
)
SHUTTERS = pigment("4f6b52 7a3b30 5a4632 3f5f6e 8a8f86")
ROOFS = pigment("a8543a 98492f b4664a 8a4a38 a0604a")
LEAVES = pigment("66752f 7a7f36 55652c 8f8440")
QUAY_STONE, SANDSTONE, BRICK, STREET, EARTH = pigment("a3937b cbb593 9a6a55 a89a86 6f7050")
SLATE, SHADE, GILT, OAK, BARK = pigment("6a5550 2a2622 d0a850 7c6448 4a3b2c")
TRIM, TIMBER = pigment("dfd6c6 4a3222")


def plain(colour: Array, grain: Array, amount: float = 0.15) -> Material:
    """One colour with a grain."""
    return lambda s, t: colour * (1 + amount * tiled(grain, s * 30, t * 30))[:, None]


def stonework(colour: Array, grain: Array, course: float = 0.45) -> Material:
    """Coursed stone, every block its own tone."""

    def paint(s: Array, t: Array) -> Array:
        row = np.floor(t / course)
        x = s / (course * 2.1) + 0.37 * row + 0.2 * np.sin(row * 7)
        block = tiled(grain, np.floor(x) * 17 + 5, row * 29)
        joint = (np.abs(x % 1 - 0.5) > 0.47) | (np.abs(t / course % 1 - 0.5) > 0.44)
        tone = 1 + 0.16 * block + 0.16 * tiled(grain, s * 30, t * 30)
        damp = 0.55 + 0.45 * smoothstep(0.1, 1.4, t)  # the foot of a wall is wet
        return colour * (tone * np.where(joint, 0.6, 1) * damp)[:, None]

    return paint


def tiles(colour: Array, grain: Array) -> Material:
    """Rows of clay tiles, each its own colour, under the shadow of the row above; some moss."""

    def paint(s: Array, t: Array) -> Array:
        row = np.floor(t / 0.36)
        column = np.floor(s / 0.24 + 0.5 * (row % 2))
        tone = 1 + 0.22 * tiled(grain, column * 13, row * 23)
        tone += 0.14 * tiled(grain, s * 12, t * 12)
        tone *= 0.62 + 0.5 * np.sqrt(t / 0.36 % 1) * (0.8 + 0.2 * np.sin(s / 0.24 * 2 * np.pi))
        moss = smoothstep(0.8, 2.2, tiled(grain, s * 9 + 99, t * 9))[:, None]
        base = colour + (np.array([0.10, 0.10, 0.05]) - colour) * 0.7 * moss
        return base * np.clip(tone, 0.2, 2)[:, None]

    return paint


def draw_timbers(colour: Array, inset: Array, y: Array, braced: Array, streaks: Array) -> None:
    """Posts between the bays, a rail on each floor and braces, in dark oak."""
    brace = (np.abs(inset - 0.42 * (y + 0.95)) < 0.09) & (y < 0.4) & braced
    beam = (inset < 0.10) | (y < -0.75) | brace
    colour[beam] = TIMBER * (0.8 + 0.25 * streaks[beam, None])


def draw_windows(colour: Array, x: Array, y: Array, die: Array, shutter: Array | None) -> None:
    """Framed windows at (x, y) metres from the middle of their sills; `die` varies each of them."""
    side, tall = np.abs(x), (y > 0) & (y < 1.42)
    surround = (side < (0.62 if shutter is None else 0.52)) & (y > -0.13) & (y < 1.52)
    colour[surround | ((side < 0.62) & (y > -0.13) & (y < 0))] = TRIM
    colour[(side < 0.7) & (y > -0.26) & (y <= -0.13)] *= 0.55  # the sill's shadow
    if shutter is not None:
        leaf = (side > 0.52) & (side < 0.96) & tall
        colour[leaf] = shutter * (0.75 + 0.3 * (y[leaf] * 14 % 1 > 0.35))[:, None]
    glass = (side < 0.48) & tall
    sheen = np.clip(0.06 + 0.35 * (die - 0.45) + 0.12 * (y - 0.6), 0.03, 0.4)[:, None]
    colour[glass] = (sheen * np.array([0.55, 0.75, 1.0]))[glass]
    curtain = glass & (die > 0.3) & (die < 0.55) & (side > 0.2 + 0.1 * (1.4 - y))
    colour[curtain] = TRIM * 0.5
    bars = (side > 0.41) | (side < 0.035) | (y < 0.06) | (y > 1.35) | (np.abs(y - 0.95) < 0.03)
    colour[glass & bars] = TRIM
    colour[glass & ((y > 1.26) | (x < -0.42))] *= 0.4  # the reveal's shadow


def facade(scene: Scene, width: float) -> Material:
    """Weathered plaster or half-timber with rows of windows."""
    rng, grain = scene.rng, scene.grain
    plaster, shutter = rng.choice(PLASTERS), rng.choice(SHUTTERS)
    columns, storey = max(2, round(width / rng.uniform(2.0, 2.5))), rng.uniform(2.7, 3.0)
    timbered, shuttered = rng.random() < 0.3, rng.random() < 0.6
    dice, shift = rng.random((16, 16)), rng.uniform(0, 500)

    def paint(s: Array, t: Array) -> Array:
        bay = s / width * columns
        x, y = (bay % 1 - 0.5) * width / columns, t % storey - 0.95
        die = dice[(t / storey).astype(int) % 16, bay.astype(int) % 16]
        streaks = tiled(grain, s * 26 + shift, t * 4)
        tone = 1 + 0.10 * tiled(grain, s * 28 + shift, t * 28) + 0.09 * streaks
        tone *= 0.80 + 0.20 * smoothstep(0, 2.5, t + 0.5 * streaks)  # splashes at the foot
        colour = plaster * tone[:, None]
        if timbered:
            inset = np.where(t > storey, width / columns / 2 - np.abs(x), 9)
            draw_timbers(colour, inset, np.where(t > storey, y, 9), die > 0.4, streaks)
        draw_windows(colour, x, y, die, shutter if shuttered else None)
        return colour

    return paint


def tower_wall(grain: Array, side: float) -> Material:
    """Ashlar with string courses, arched openings and a clock."""
    stone = stonework(SANDSTONE, grain, 0.6)

    def paint(s: Array, t: Array) -> Array:
        colour, x = stone(s, t + 2), np.abs(s - side / 2)
        for middle, half, low, high in ((0, 0.9, 12, 15), (1.7, 0.95, 24, 27), (0, 0.5, 4, 6)):
            crown = high + np.sqrt(np.maximum(half**2 - (x - middle) ** 2, 0))
            colour[(np.abs(x - middle) < half) & (t > low) & (t < crown)] = SHADE
        for level in (10.5, 18, 22.8, 30.2):
            colour[(t > level) & (t < level + 0.45)] *= 1.25
            colour[(t > level - 0.35) & (t < level)] *= 0.6
        radius = np.hypot(x, t - 20.4)
        colour[radius < 1.75] = GILT
        colour[radius < 1.45] = SLATE * 0.5
        colour[np.abs(radius - 1.15) < 0.12] = GILT
        return colour

    return paint
