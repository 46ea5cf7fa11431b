"""Colour matching and luminance against NumPy in float64 and `colorsys`."""

import colorsys
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.ops.colour import (
    Colour,
    luminance,
    match_colour,
    match_histogram,
    match_luminance,
    recolour,
    restore,
    with_luminance,
)

MATCHERS = [match_colour, match_histogram, match_luminance]
MODES = get_args(Colour)


def exact(image):
    return np.asarray(image, np.float64)


def rounded(image, levels=8):
    """With few levels, as files have them: many equal values."""
    return jnp.round(image * levels) / levels


def moments(image):
    pixels = exact(image).reshape(-1, 3)
    return pixels.mean(0), np.cov(pixels.T, bias=True)


@pytest.fixture
def images(rng):
    def image(h, w):
        mixing = rng.uniform(-0.3, 0.5, (3, 3))
        pixels = rng.uniform(0, 1, (h, w, 3)) @ mixing + rng.uniform(0, 0.3, 3)
        return jnp.asarray(pixels, jnp.float32)

    return image(30, 40), image(25, 20)


def test_moments_are_the_references(images):
    matched = match_colour(*images)
    for actual, expected in zip(moments(matched), moments(images[1]), strict=True):
        np.testing.assert_allclose(actual, expected, atol=1e-4)


@pytest.mark.parametrize("levels", [8, 2**24])
def test_an_image_matched_to_itself_stays(images, levels):
    image = rounded(images[0], levels)
    np.testing.assert_allclose(match_colour(image, image), image, atol=1e-4)
    np.testing.assert_allclose(match_histogram(image, image), image, atol=1e-6)
    np.testing.assert_allclose(match_luminance(image, image), luminance(image), atol=1e-6)


def test_the_map_is_the_one_that_moves_colours_least(images):
    """Symmetric positive definite: the mark of optimal transport, which a rotation would break."""
    source, matched = (exact(x).reshape(-1, 3) for x in (images[0], match_colour(*images)))
    centred = source - source.mean(0)
    transport, *_ = np.linalg.lstsq(centred, matched - matched.mean(0), rcond=None)
    np.testing.assert_allclose(transport, transport.T, atol=2e-3)
    assert np.linalg.eigvalsh(transport).min() > 0


@pytest.mark.parametrize("match", MATCHERS)
def test_flat_images_stay_finite(images, match):
    flat = jnp.full((16, 16, 3), 0.5)  # Whose sums are exact: the variance is 0.
    for image in (match(flat, images[1]), match(flat, flat)):
        np.testing.assert_allclose(image.std((0, 1)), 0, atol=1e-4)  # NaN fails as well.
    np.testing.assert_allclose(match(images[0], flat), 0.5, atol=1e-2)


# --- Histograms ----------------------------------------------------------------------------------


def histogram_oracle(image, reference):
    """Counts every pixel against every other, and lets NumPy draw the quantiles' line."""
    matched = np.empty(image.shape)
    for c in range(3):
        values, wanted = exact(image)[..., c], np.sort(exact(reference)[..., c], axis=None)
        others = values.reshape(-1, 1, 1)
        level = ((others < values).sum(0) + (others <= values).sum(0)) / (2 * values.size)
        matched[..., c] = np.interp(level, (np.arange(wanted.size) + 0.5) / wanted.size, wanted)
    return matched


@pytest.mark.parametrize("levels", [8, 2**24])
@pytest.mark.parametrize("order", [1, -1])
def test_histogram_matching(images, levels, order):
    image, reference = (rounded(x, levels) for x in images[::order])
    expected = histogram_oracle(image, reference)
    # Where the reference jumps between two levels, a level's rounding shows: 1e-7 × m × 1/8.
    np.testing.assert_allclose(match_histogram(image, reference), expected, atol=1e-4)


# --- Luminance -----------------------------------------------------------------------------------


def yiq(image):
    return np.stack(np.vectorize(colorsys.rgb_to_yiq)(*np.moveaxis(exact(image), -1, 0)), -1)


def test_luminance_is_yiqs(rng):
    image = jnp.asarray(rng.uniform(0, 1, (20, 30, 3)), jnp.float32)
    grey = luminance(image)
    # `colorsys` rounds the coefficients to two digits.
    np.testing.assert_allclose(grey[..., 0], yiq(image)[..., 0], atol=5e-3)
    expected = exact(image) @ [0.299, 0.587, 0.114]
    for c in range(3):
        np.testing.assert_allclose(grey[..., c], expected, atol=1e-6)
    np.testing.assert_allclose(luminance(grey), grey, atol=1e-6)


def test_luminance_gets_the_references_moments(images):
    matched = exact(match_luminance(*images))
    own, wanted = (exact(x) @ [0.299, 0.587, 0.114] for x in images)
    expected = (own - own.mean()) * wanted.std() / own.std() + wanted.mean()
    for c in range(3):
        np.testing.assert_allclose(matched[..., c], expected, atol=1e-4)


def test_chroma_stays_and_luminance_comes(rng):
    image, reference = (jnp.asarray(x, jnp.float32) for x in rng.uniform(0, 1, (2, 20, 30, 3)))
    combined = with_luminance(image, reference)
    np.testing.assert_allclose(yiq(combined)[..., 1:], yiq(image)[..., 1:], atol=1e-6)
    np.testing.assert_allclose(luminance(combined), luminance(reference), atol=1e-6)
    np.testing.assert_allclose(with_luminance(image, image), image, atol=1e-6)


# --- Modes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_modes_before_a_run(rng, mode):
    """Each by its definition; the images span the range, so that matching leaves it."""
    content = jnp.asarray(rng.uniform(0, 1, (30, 40, 3)) > 0.5, jnp.float32)
    styles = [jnp.asarray(rng.uniform(0, 1, (n, 25, 3)) ** 2, jnp.float32) for n in (20, 28)]
    seen, matched = recolour(mode, content, styles)
    match = {
        "style": lambda style, _: style,
        "content": match_colour,
        "luminance": match_luminance,
        "match": match_histogram,
    }[mode]
    np.testing.assert_allclose(
        seen, luminance(content) if mode == "luminance" else content, atol=1e-6
    )
    for style, actual in zip(styles, matched, strict=True):
        np.testing.assert_allclose(actual, np.clip(match(style, content), 0, 1), atol=1e-6)
    assert all(x.min() >= 0 and x.max() <= 1 for x in (seen, *matched))


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "luminance"])
def test_modes_that_leave_the_result_alone(images, mode):
    image, content = images[0], 1 - images[0]
    np.testing.assert_array_equal(restore(mode, image, content), image)


def test_restored_colours(rng):
    """Inside [0, 1] the content's chroma; elsewhere its hue, and the luminance everywhere."""
    content = jnp.asarray(rng.uniform(0, 1, (40, 60, 3)), jnp.float32)
    grey = jnp.asarray(rng.uniform(0, 1, (40, 60, 1)) * np.ones(3), jnp.float32)
    grey = grey.at[0].set(0).at[1].set(1)
    plain, restored = exact(with_luminance(content, grey)), restore("luminance", grey, content)
    inside = ((plain >= 0) & (plain <= 1)).all(-1)
    assert 0.1 < inside.mean() < 0.9
    np.testing.assert_allclose(restored[inside], plain[inside], atol=1e-6)

    assert restored.min() >= 0
    assert restored.max() <= 1
    np.testing.assert_allclose(luminance(restored), grey, atol=1e-6)
    chroma, full = (exact(x - luminance(x))[~inside] for x in (restored, content))
    kept = (chroma * full).sum(-1, keepdims=True) / (full**2).sum(-1, keepdims=True)
    np.testing.assert_allclose(chroma, kept * full, atol=1e-6)
    # No more is lost than must be: one channel stands at the end of the range.
    rim = np.minimum(restored, 1 - restored)[~inside].min(-1)
    np.testing.assert_allclose(rim, 0, atol=1e-6)


def test_images_of_a_run_may_leave_the_range(images):
    """Images of callbacks are not clipped; restored, they equal the clipped ones."""
    content = images[0]
    grey = luminance(jax.random.uniform(jax.random.key(0), content.shape, minval=-2, maxval=3))
    restored = restore("luminance", grey, content)
    np.testing.assert_allclose(luminance(restored), np.clip(grey, 0, 1), atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_modes_under_jit_and_vmap(images, mode):
    contents, style = jnp.stack([images[0], 1 - images[0]]), images[1]

    def there_and_back(content):
        seen, (matched,) = recolour(mode, content, [style])
        return matched, restore(mode, seen, content)

    lanes = jax.jit(jax.vmap(there_and_back))(contents)
    for i, content in enumerate(contents):
        for lane, alone in zip(lanes, there_and_back(content), strict=True):
            np.testing.assert_allclose(lane[i], alone, atol=1e-4)
