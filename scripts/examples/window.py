"""The second style picture: a tree before a low sun in leaded glass, lit from behind.

The window is cut into numbered panes, each pane is tinted, and lead is drawn where the numbers
change.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from .shared import (
    SUPERSAMPLE,
    Array,
    blur,
    develop,
    expose,
    fractal_noise,
    pigment,
    smoothstep,
    tiled,
)

GLASSES = {
    "sun": "fff0b8 ffe080 ffc850",
    "dawn": "ffcf70 f8b84c fbe0a0 f09c38",
    "day": "f0a040 e87c34 f2c078 e89a70 dc6440",
    "dusk": "c8503c d8704c a83a4c e0946a 8c3054 e8b088",
    "leaf": "c8181c e0421a a01028 e8801c 7c0c20 d89a18 6a7a1c",
    "bough": "4a2238 5c2c30 3a1c34",
    "hill": "2c5a34 54762a 1c4a40 7c8a30 2a6a5a",
    "water": "1c6a70 2a8a88 6ab8a8 b8d8b8 14505c",
    "frame": "8a1024 c88a1c 1c3a5c a8182c",
}
KINDS = list(GLASSES)
SUNRISE = 0.66, 0.36
COURSES = (  # glass, level, swell, length of a pane
    ("hill", 0.68, 0.035, 0.085),
    ("hill", 0.75, 0.03, 0.10),
    ("water", 0.835, 0.012, 0.13),
)


def draw_boughs(size: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """A forking tree: which pixels are wood, and the tips where leaves grow."""
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    wood = np.zeros((size, size), np.float32)
    tips, boughs = [], [(0.42, 0.80, -1.5, 0.20, 0.036, 0)]
    while boughs:
        x0, y0, angle, length, thick, depth = boughs.pop()
        for part in range(6):  # each bough bends as it climbs
            bend = angle + 0.25 * np.sin(2.2 * part + 3 * x0)
            dx, dy = length / 6 * np.cos(bend), length / 6 * np.sin(bend)
            along = np.clip(((x - x0) * dx + (y - y0) * dy) / (dx**2 + dy**2), 0, 1)
            gap = np.hypot(x - x0 - along * dx, y - y0 - along * dy)
            roots = 0.05 * np.exp(-(0.81 - y) / 0.03) * (depth == 0) * (y < 0.815)
            wood = np.maximum(wood, thick * (1 - 0.06 * part) + roots - gap)
            x0, y0 = x0 + dx, y0 + dy
        if depth > 1:
            tips.append((x0, y0))
        if depth < 3:
            for turn in (-0.55, 0.5):
                new = angle + turn + rng.normal(0, 0.12), length * rng.uniform(0.78, 0.95)
                boughs.append((x0, y0, *new, thick * 0.60, depth + 1))
    return wood > 0, np.array(tips)


def nearest_site(sites: Array, size: int) -> Array:
    """The Voronoi diagram: the index of the nearest site at each pixel, row by row."""
    x = np.arange(size, dtype=np.float32)
    labels = np.empty((size, size), np.int32)
    for row in range(size):
        near = np.nonzero(np.abs(sites[:, 1] - row) < size * 0.09)[0]
        gap = (sites[near, 0, None] - x) ** 2 + (sites[near, 1, None] - row) ** 2
        labels[row] = near[gap.argmin(0)]
    return labels


def cut_ground(pane: Array, kind: Array, u: Array, v: Array) -> None:
    """Two hills and a stream, in courses of long panes."""
    for number, (name, level, swell, pitch) in enumerate(COURSES, 1):
        depth = v - level - swell * np.sin(u * 7 + number * 2.1)
        course, inside = np.floor(depth / 0.032), depth > 0
        across = np.floor((u + 0.4 * pitch * course + 0.3 * (v - level)) / pitch)
        pane[inside] = (10_000 * number + 100 * course + across)[inside]
        kind[inside] = KINDS.index(name)


def cut_tree(pane: Array, kind: Array, u: Array, v: Array, rng: np.random.Generator) -> None:
    """Boughs in long pieces, and small many-sided leaves about their tips."""
    size = len(pane)
    wood, tips = draw_boughs(size, rng)
    grid = np.stack(np.meshgrid(np.arange(-1, 35), np.arange(-1, 35)), -1).reshape(-1, 2) / 33
    sites = grid + rng.uniform(-0.013, 0.013, grid.shape)
    leafy = np.linalg.norm(sites[:, None] - tips, axis=-1).min(1) < 0.068
    nearest = nearest_site(sites * size, size)
    leaves = leafy[nearest]
    pane[leaves], kind[leaves] = 100_000 + nearest[leaves], KINDS.index("leaf")
    pane[wood], kind[wood] = 200_000 + np.floor(13 * v + 8 * u)[wood], KINDS.index("bough")


def cut_panes(rng: np.random.Generator, size: int) -> tuple[Array, Array]:
    """The cartoon of the window: a pane number and a kind of glass at each pixel."""
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    u, v = (axis + 0.022 * fractal_noise(rng, (size, size), 2.4) for axis in (x, y))
    right, down = u - SUNRISE[0], v - SUNRISE[1]
    radius, turn = np.hypot(right, down), np.arctan2(down, right) / (2 * np.pi) + 0.5
    ring = np.ceil((radius - 0.10) / 0.064).clip(0)
    spokes = np.select([ring == 0, ring < 3], [6, 14], 28)
    pane = ring * 64 + np.floor(turn * spokes + 0.5 * (ring % 2)) % spokes
    kind = np.digitize(ring, (1, 4, 7))  # sun, dawn, day, dusk
    cut_ground(pane, kind, u, v)
    cut_tree(pane, kind, u, v, rng)
    upright = np.abs(x - 0.5) > np.abs(y - 0.5)
    frame = np.maximum(np.abs(x - 0.5), np.abs(y - 0.5)) > 0.455
    block = 2000 * upright + 1000 * (x + y > 1) + np.floor(np.where(upright, y, x) * 14)
    pane[frame], kind[frame] = 300_000 + block[frame], KINDS.index("frame")
    return np.unique(pane, return_inverse=True)[1].reshape(size, size), kind


def tint_panes(rng: np.random.Generator, pane: Array, kind: Array) -> Array:
    """Streaky two-tone glass with bubbles and ripples, each pane turned its own way."""
    count = pane.max() + 1
    kinds = np.zeros(count, int)
    kinds[pane] = kind
    palettes = [pigment(codes) for codes in GLASSES.values()]
    first = np.array([rng.choice(palettes[k]) for k in kinds])
    second = np.array([rng.choice(palettes[k]) for k in kinds]) * rng.uniform(0.7, 1.5, (count, 1))
    turn = rng.uniform(0, np.pi, count)[pane]
    shift = rng.uniform(0, 900, count)[pane]
    y, x = np.mgrid[: len(pane), : len(pane)].astype(np.float32)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    streaks = fractal_noise(rng, (1024, 1024), 1.8, 0.16)
    ripples = fractal_noise(rng, (512, 512), 2.0, 0.5)
    streak = tiled(streaks, along + shift, across + shift)
    ripple = tiled(ripples, along + shift, across) - tiled(ripples, along + shift + 3, across + 3)
    bubble = tiled(fractal_noise(rng, (512, 512), 1.1, 0.6), along, across + shift)
    bubble = smoothstep(1.9, 2.3, bubble) - 0.8 * smoothstep(2.4, 2.7, bubble)
    mix = np.clip(0.45 + 0.6 * streak, 0, 1)[..., None]
    glass = first[pane] * (1 - mix) + second[pane] * mix
    return glass * (1 + 1.3 * ripple + 0.5 * bubble + 0.10 * streak)[..., None].clip(0.3, 2.2)


def glaze(glass: Array, pane: Array, rng: np.random.Generator) -> Array:
    """Light through the glass, which is dirty along the lead, and the rounded lead between."""
    size = len(pane)
    change = np.zeros((size, size), np.float32)
    change[:-1] = pane[:-1] != pane[1:]
    change[:, :-1] = np.maximum(change[:, :-1], pane[:, :-1] != pane[:, 1:])
    near = blur(change, 4.0)
    lead = smoothstep(0.022, 0.034, near)[..., None]
    dirt = np.clip(1 - 3.2 * blur(near, 11), 0.3, 1)[..., None]
    y, x = np.mgrid[:size, :size] / size
    lamp = 0.80 + 0.35 * np.exp(-10 * ((x - SUNRISE[0]) ** 2 + (y - SUNRISE[1]) ** 2))
    light = glass * dirt * lamp[..., None] * (1 - lead)
    halo = blur(light, 16)  # light spills over the lead
    down, right = np.gradient(blur(near, 1.5))
    metal = 0.030 + 4.0 * np.clip(-down - 0.7 * right, 0, 0.05)
    metal += 0.006 * fractal_noise(rng, near.shape, 0.8)
    sheen = np.clip(metal, 0.008, 1)[..., None] * np.array([0.9, 0.95, 1.0])
    return light + sheen * lead + halo * (0.04 + 0.025 * lead)


def draw_window(rng: np.random.Generator) -> Image.Image:
    """The second style: a tree before a low sun in leaded glass, lit from behind."""
    pane, kind = cut_panes(rng, 900 * SUPERSAMPLE)
    return develop(expose(glaze(tint_panes(rng, pane, kind), pane, rng), 0.25), 0.008, rng)
