"""What grows in the town: trees of leafy puffs on the banks, and wooded ridges behind."""

from __future__ import annotations

import numpy as np

from .shared import Array, smoothstep, unit
from .town_buildings import GROUND_SLOPE, on_quay
from .town_materials import BARK, EARTH, LEAVES, plain
from .town_rasteriser import UP, Discs, Scene

RIDGES = (  # distance, height, trees, radius of a crown
    (330, 46, 5200, 3.2),
    (640, 125, 8000, 5.0),
    (1250, 250, 11000, 9.0),
)


def plant_tree(
    scene: Scene,
    foot: Array,
    height: float,
    spread: float,
    leaf: Array,
    puffs: int = 60,
    leaves: int = 1300,
    radius: float = 0.06,
) -> None:
    """A crown of leafy puffs, darker inside and below, where little light gets."""
    rng, middle = scene.rng, foot + UP * height * 0.62
    extent = np.array([spread, height * 0.40, spread])
    spot = unit(rng.standard_normal((puffs, 3))) * rng.uniform(0.2, 0.85, (puffs, 1))
    centres = middle + spot * extent
    ball = unit(rng.standard_normal((puffs, leaves, 3)))
    lumpy = 1 + 0.175 * np.sin(ball @ rng.normal(0, 3, (3, 3)) + 1).sum(-1, keepdims=True)
    reach = rng.uniform(0.3, 1.05, (puffs, leaves, 1)) ** 0.6 * lumpy
    reach = reach * rng.uniform(0.16, 0.40, (puffs, 1, 1)) * spread
    position, ball = (centres[:, None] + ball * reach).reshape(-1, 3), ball.reshape(-1, 3)
    outward = (position - middle) / extent
    normal = unit(ball + 0.6 * outward + 0.8 * rng.standard_normal(ball.shape))
    tone = 0.30 + 0.70 * smoothstep(0.3, 1.1, np.linalg.norm(outward, axis=1))
    tone *= rng.uniform(0.35, 1.6, len(ball)) * (0.8 + 0.3 * ball[:, 1])
    tint = rng.normal(1, 0.10, (puffs, 1, 3)).repeat(leaves, 1).reshape(-1, 3)
    size = np.full(len(ball), radius)
    scene.leaves.append(Discs(position, normal, leaf * tone[:, None] * tint, size))
    trunk, wide = plain(BARK, scene.grain), 0.03 * height
    for direction in np.eye(3)[[0, 2]]:
        scene.add(foot - wide * direction, 2 * wide * direction, UP * height * 0.6, trunk)


def plant_hills(scene: Scene) -> None:
    """Wooded ridges behind the town, each covered with small round trees."""
    rng = scene.rng
    for distance, height, trees, crown in RIDGES:
        waves, order = rng.uniform(0, 2 * np.pi, (5, 1)), np.arange(1, 6)[:, None]
        x = rng.uniform(-0.75 * distance, 0.75 * distance, trees)
        ridge = 0.62 + 0.24 * (np.sin(2.3 * order * x / distance + waves) / order).sum(0)
        share = rng.random(trees) ** 0.7
        centre = np.stack([x, height * ridge * share, distance + 60 * share], 1)
        ball = unit(rng.standard_normal((trees, 26, 3)) + np.array([0, 0.5, -0.5]))
        position = centre[:, None] + ball * crown * rng.uniform(0.6, 1.1, (trees, 1, 1))
        tone = rng.uniform(0.45, 1.0, (trees, 1)) * (0.75 + 0.5 * ball[..., 1])
        albedo = LEAVES[rng.integers(0, len(LEAVES), trees), None] * tone[..., None]
        position, ball, albedo = (a.reshape(-1, 3) for a in (position, ball, albedo))
        scene.leaves.append(Discs(position, ball, albedo, np.full(trees * 26, crown * 0.3)))


def plant_trees(scene: Scene) -> None:
    """Trees on the quay, between the houses, and on the left bank."""
    rng = scene.rng
    for s in (2.0, 27.0, 45.0, 58.0, 88.0, 101.0, 118.0, 133.0, 150.0):
        foot, leaf = on_quay(s, -2.2, 2.6), rng.choice(LEAVES)
        plant_tree(scene, foot, rng.uniform(5.5, 8.5), rng.uniform(1.8, 2.6), leaf)
    for _ in range(45):
        s, i = rng.uniform(0, 180), rng.choice([14.5, 31.0, 50.0, 70.0, 92.0, 98.0])
        foot, leaf = on_quay(s, i, 2.4 + GROUND_SLOPE * i), rng.choice(LEAVES)
        size = rng.uniform(7, 12), rng.uniform(2.5, 4.5)
        plant_tree(scene, foot, *size, leaf, puffs=24, leaves=600, radius=0.18)
    for k in range(9):
        foot = np.array([-28.0 - 4.6 * k, 0.8, 47.0 + 7.5 * k]) + rng.uniform(-1, 1, 3) * [1, 0, 1]
        leaf = LEAVES[k % len(LEAVES)] * 1.6
        plant_tree(scene, foot, rng.uniform(12, 16), rng.uniform(4.2, 5.6), leaf)
    bank, along = np.array([-23.5, 0.0, 40.0]), np.array([-44.0, 0.0, 75.0])
    grass, rise = plain(EARTH, scene.grain, 0.4), np.array([-2.0, 0.9, 0.0])
    scene.add(bank, along, rise, grass)
    scene.add(bank + rise, along, np.array([-80.0, 2.0, 0.0]), grass)
