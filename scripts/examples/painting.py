"""The first style picture, an oil painting: a wheat field under a swirling sky.

The motif is sketched as colours, flow directions and regions; bristled strokes then follow the
flow inside their region, from coarse to fine, and a lamp lights the relief of the paint.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from .shared import SUPERSAMPLE, Array, blur, develop, fractal_noise, pigment, smoothstep, unit

SKY_PAINTS = pigment("141f5c 1a3288 2450ac 2f78be 46a6c4 86ccc4 e4e8c4")
SUN_PAINTS = pigment("fff3c4 ffe27a ffc93a f79a1e e0701c")
HILL_PAINTS = pigment("14235c 1f3f80 23707f 3f9a86 8ab26a")
FIELD_PAINTS = pigment("7a3a12 b85a14 dc8a1a f0b428 f8d860 f4ecb4")
CYPRESS_PAINTS = pigment("0e2230 123a30 1c5030 46702c 8a8c30")
GREEN_ROW, VIOLET_ROW, POPPY = pigment("8c8a38 6a4a80 d0381c")
SUN_AT, SUN_RADIUS = (716.0, 232.0), 62.0
EDDIES = (  # x, y, size, turn
    (300.0, 215.0, 105.0, -1.0),
    (505.0, 130.0, 62.0, 0.8),
    (930.0, 110.0, 80.0, -0.9),
)
LANDS = (  # level, swell and rate of the crest; paints and their middle
    (430, 46, 0.011, HILL_PAINTS, 0.30),
    (500, 40, 0.008, HILL_PAINTS[1:], 0.62),
    (585, 26, 0.006, FIELD_PAINTS, 0.5),
)
CYPRESSES = ((148, 700, 60, 62), (236, 690, 300, 36), (905, 640, 395, 26))  # x, foot, top, width


@dataclass
class Motif:
    """What the painter looks at: a colour, a stroke direction and a region number at each point."""

    colour: Array
    angle: Array
    region: Array

    def lay(self, inside: Array, colour: Array, angle: Array, number: int) -> None:
        """Cover the points inside a shape with a new region."""
        self.colour[inside], self.angle[inside] = colour[inside], angle[inside]
        self.region[inside] = number

    def pixels(self, points: Array) -> tuple[Array, Array]:
        """The rows and columns of the pixels at points (x, y), kept within the picture."""
        column, row = np.clip(points, 0, np.array(self.region.shape)[::-1] - 1).astype(int).T
        return row, column


def ramp(paints: Array, t: Array) -> Array:
    """Paints blended along t in [0, 1]."""
    steps = np.linspace(0, 1, len(paints))
    return np.stack([np.interp(t, steps, paints[:, c]) for c in range(3)], -1)


def tangent(stream: Array) -> Array:
    """The angle of the level lines of a stream function (a curl field)."""
    down, right = np.gradient(stream)
    return np.arctan2(-right, down)


def sketch_sky(motif: Motif, x: Array, y: Array, broad: Array, fine: Array) -> None:
    """Eddies about a low sun: bands of colour along the flow."""
    stream = y + 34 * broad
    for cx, cy, size, turn in EDDIES:
        gap = (x - cx) ** 2 + (y - cy) ** 2
        stream += turn * 2.6 * size * np.exp(-gap / (2 * size**2))
    from_sun = np.hypot(x - SUN_AT[0], y - SUN_AT[1])
    halo = smoothstep(3.4, 1.1, from_sun / SUN_RADIUS)
    # Directions without a sign blend as vectors of twice their angle.
    twice = np.exp(2j * tangent(stream)) * (1 - halo) + 1.5 * np.exp(2j * tangent(from_sun)) * halo
    motif.angle[:] = np.angle(twice) / 2
    tone = 0.37 + y / 2500 + 0.30 * np.sin(stream / 15 + 0.6 * fine) + 0.12 * fine
    motif.colour[:] = ramp(SKY_PAINTS, tone)
    rings = 0.34 * from_sun / SUN_RADIUS - 0.09 + 0.10 * np.sin(from_sun / 6.5) + 0.04 * fine
    shine = np.clip(halo * (0.86 + 0.34 * np.sin(from_sun / 8)), 0, 1)[..., None]
    motif.colour += (ramp(SUN_PAINTS, rings) - motif.colour) * shine


def sketch_land(motif: Motif, x: Array, y: Array, broad: Array, fine: Array) -> None:
    """Two rolling hills, and a field whose furrows run toward a point behind them."""
    for number, (level, swell, rate, paints, base) in enumerate(LANDS, 1):
        crest = level + swell * np.sin(x * rate + 1.9 * (number + 1))
        below = y - crest - 12 * np.sin(x * rate * 2.7 + number + 1)
        inside, is_field = below > 0, number == len(LANDS)
        bend = 330 * np.arctan2(x - 590 + 30 * broad, y - 470) if is_field else below + 26 * broad
        tone = base + 0.24 * np.sin(bend / 11 + 1.2 * fine) + 0.14 * fine
        paint = ramp(paints, tone + 0.3 * np.exp(-np.maximum(below, 0) / 12))
        if is_field:
            paint[np.sin(bend / 31 + 0.5 * fine) < -0.78] = GREEN_ROW
            paint[np.sin(bend / 23 + 1.5 + 0.4 * fine) > 0.92] = VIOLET_ROW
            paint[fine > 1.75] = POPPY
        motif.lay(inside, paint, tangent(bend), number)


def sketch_cypresses(motif: Motif, x: Array, y: Array, fine: Array) -> None:
    """Dark flames that join the earth to the sky."""
    for number, (cx, foot, top, wide) in enumerate(CYPRESSES, len(LANDS) + 1):
        t = (y - top) / (foot - top)
        sway = cx + 9 * np.sin(y / 38 + cx) * t + 5 * fine
        outline = wide * np.sin(3.0 * np.clip(t, 0, 1) ** 0.72) ** 0.8
        outline *= 1 + 0.16 * np.sin(y / 17 + cx)
        inside = (np.abs(x - sway) < outline) & (t > 0) & (t < 1)
        flame = 0.36 + 0.30 * np.sin((x - sway) / 7 + 0.02 * y) + 0.2 * fine
        angle = np.pi / 2 + 0.4 * np.sin(y / 30 + x / 24)
        motif.lay(inside, ramp(CYPRESS_PAINTS, flame), angle, number)


def trace(motif: Motif, seeds: Array, steps: int, step: Array) -> tuple[Array, Array, Array]:
    """Follow the flow from the seeds; a stroke's length ends where it would leave its region."""
    path, heading = np.empty((steps, *seeds.shape)), np.empty((steps, len(seeds)))
    position, length, going = seeds.copy(), np.zeros(len(seeds)), np.ones(len(seeds), bool)
    home = motif.region[motif.pixels(seeds)]
    for k in range(steps):
        here = motif.pixels(position)
        going &= motif.region[here] == home
        length += going
        heading[k], path[k] = motif.angle[here], position
        if k:  # an angle and its opposite are the same stroke: go on, never turn back
            heading[k] += np.pi * (np.cos(heading[k] - heading[k - 1]) < 0)
        position += step[:, None] * np.stack([np.cos(heading[k]), np.sin(heading[k])], -1)
    return path, heading, length


def load_brushes(
    motif: Motif, seeds: Array, wide: float, hair: Array, rng: np.random.Generator
) -> Array:
    """The tint of every hair: the motif's colour, streaked with a second one from nearby."""
    n = len(seeds)
    places = seeds, seeds + rng.normal(0, 0.7 * wide, (n, 2))
    first, second = (motif.colour[motif.pixels(place)][:, None] for place in places)
    first = first * np.exp(rng.normal(0, 0.16, (n, 1, 1)) + rng.normal(0, 0.07, (n, 1, 3)))
    mix = np.clip(0.25 + 0.55 * hair, 0, 1)[..., None]
    return (first * (1 - mix) + second * mix) * np.exp(0.13 * hair[..., None])


def lay_strokes(
    canvas: Array,
    relief: Array,
    motif: Motif,
    rng: np.random.Generator,
    seeds: Array,
    wide: float,
    long: float,
) -> None:
    """Paint bristled strokes from the seeds: ribbons of parallel hairs, each of its own height."""
    step = 0.72 / SUPERSAMPLE  # below one pixel, so that a ribbon has no holes
    n, steps, hairs = len(seeds), int(long / step), int(wide / step)
    path, heading, length = trace(motif, seeds, steps, step * rng.choice([-1, 1], n))
    length = length * rng.uniform(0.6, 1, n)
    q, s = np.linspace(-1, 1, hairs), np.arange(steps)[:, None] / np.maximum(length, 1)
    breadth = wide / 2 * rng.uniform(0.7, 1.1, n) * np.clip(6 * s, 0.5, 1) ** 0.5
    across = breadth[..., None] * q * SUPERSAMPLE
    column = (path[..., :1] * SUPERSAMPLE - np.sin(heading)[..., None] * across).astype(int)
    row = (path[..., 1:] * SUPERSAMPLE + np.cos(heading)[..., None] * across).astype(int)
    hair = blur(rng.standard_normal((n, hairs)), 0.8)
    start = 0.05 * rng.random((n, hairs)) + 0.03 * q**2
    stop = 1 - 0.34 * rng.random((n, hairs)) ** 2 - 0.10 * q**2
    keep = (s[..., None] < stop) & (s[..., None] > start) & (length > 8)[:, None]
    keep &= (column >= 0) & (column < canvas.shape[1]) & (row >= 0) & (row < canvas.shape[0])
    # Stroke by stroke, so that the last one written lies on top.
    keep, row, column = (np.moveaxis(a, 1, 0) for a in (keep, row, column))
    stroke, k, h = np.nonzero(keep)
    place = row[stroke, k, h], column[stroke, k, h]
    canvas[place] = load_brushes(motif, seeds, wide, hair, rng)[stroke, h]
    thick = 0.55 * hair + 0.5 * q**4 + rng.uniform(0.6, 1.4, (n, 1))
    ridge = 0.5 * np.exp(-(((s.T[stroke, k] - 0.9) / 0.08) ** 2))  # paint piles up at the end
    relief[place] = 0.35 * relief[place] + (thick[stroke, h] + ridge) * wide**0.5


def light_relief(canvas: Array, relief: Array) -> Array:
    """Shade and gloss of the paint's relief under a lamp at the upper left."""
    down, right = np.gradient(blur(relief, 1.0))
    normal = unit(np.stack([-right, -down, np.full(relief.shape, 1.6)], -1))
    lamp, viewer = unit(np.array([-0.5, -0.62, 0.75])), np.array([0, 0, 1])
    shade = np.clip(normal @ lamp / lamp[2], 0.25, 1.7)[..., None]
    gloss = np.clip(normal @ unit(lamp + viewer), 0, 1)[..., None] ** 60
    return canvas * shade + 0.10 * gloss - 0.02


def draw_painting(rng: np.random.Generator) -> Image.Image:
    """The first style: a wheat field under a swirling sky, in strokes from coarse to fine."""
    width, height = 1024, 800
    y, x = np.mgrid[:height, :width].astype(np.float32)
    broad, fine = (fractal_noise(rng, (1024, 1024), b)[:height, :width] for b in (2.6, 1.6))
    motif = Motif(np.zeros((height, width, 3)), np.zeros_like(x), np.zeros(x.shape, int))
    sketch_sky(motif, x, y, broad, fine)
    sketch_land(motif, x, y, broad, fine)
    sketch_cypresses(motif, x, y, fine)
    canvas = motif.colour.repeat(SUPERSAMPLE, 0).repeat(SUPERSAMPLE, 1) * 0.7
    relief = np.zeros(canvas.shape[:2], np.float32)
    for count, wide, long in ((420, 34, 150), (1300, 19, 120), (3800, 11, 85), (3200, 6.5, 60)):
        seeds = rng.uniform(-0.06, 1.06, (count, 2)) * [width, height]
        for some in np.array_split(seeds, int(count * wide * long / 250_000) + 1):
            lay_strokes(canvas, relief, motif, rng, some, wide, long)
    return develop(light_relief(canvas, relief), 0.006, rng)
