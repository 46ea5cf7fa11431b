"""The measures of ``scripts/evaluate.py``."""

import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "scripts"))

import measures


def test_distances_are_relative_to_photograph_and_painting(rng):
    image, photograph, painting = (
        [jnp.asarray(rng.normal(size=(6, 5, c)), "float32") for c in (3, 4, 5)] for _ in range(3)
    )
    assert measures.style_distance(painting, photograph, painting) == 0
    assert measures.style_distance(photograph, photograph, painting) == pytest.approx(1)
    assert measures.content_distance(photograph, photograph) == 0
    grams = [
        [np.einsum("hwi,hwj->ij", *2 * [np.float64(x)]) / 30 for x in features]
        for features in (image, photograph, painting)
    ]
    own, of_photograph = (
        sum(((g - a) ** 2).sum() / (a**2).sum() for g, a in zip(other, grams[2], strict=True))
        for other in grams[:2]
    )
    assert measures.style_distance(image, photograph, painting) == pytest.approx(
        own / of_photograph, rel=1e-5
    )


def test_cfsd_is_the_divergence_of_self_similarities(rng):
    image, photograph = np.float32(rng.uniform(0, 4, (2, 5, 4, 7)))
    p, f = (np.float64(x).reshape(20, 7) / 7 for x in (photograph, image))
    s, t = (np.exp(x @ x.T) for x in (p, f))
    s, t = (x / x.sum(1, keepdims=True) for x in (s, t))
    expected = (s * np.log(s / t)).sum()
    assert float(measures.cfsd(image, photograph)) == pytest.approx(expected, rel=1e-4)
    assert float(measures.cfsd(image, image)) == 0


def test_grid_finds_faint_lines_and_blocks(rng):
    noise = 0.5 + 0.05 * rng.standard_normal((96, 128, 3))
    lines = 0.03 * (np.arange(128) % 4 == 0)[:, None]
    assert max(measures.grid(noise, period) for period in (2, 4)) < 30
    assert measures.grid(noise + lines, 4) > 80
    assert measures.grid((noise + 2 * lines).swapaxes(0, 1), 4) > 80
    alternating = 0.03 * (np.arange(128) % 2)[:, None]
    assert measures.grid(noise + alternating, 2) > 80
    blocks = noise[::2, ::2].repeat(2, 0).repeat(2, 1)
    assert measures.grid(blocks, 2) > 80
