"""Colour matching: moments, and the least movement that reaches them."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.colour import match_colour


def moments(image):
    pixels = np.asarray(image, np.float64).reshape(-1, 3)
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


def test_an_image_matched_to_itself_stays(images):
    np.testing.assert_allclose(match_colour(images[0], images[0]), images[0], atol=1e-4)


def test_the_map_is_the_one_that_moves_colours_least(images):
    """Symmetric positive definite: the mark of optimal transport, which a rotation would break."""
    source, matched = (
        np.asarray(x, np.float64).reshape(-1, 3) for x in (images[0], match_colour(*images))
    )
    centred = source - source.mean(0)
    transport, *_ = np.linalg.lstsq(centred, matched - matched.mean(0), rcond=None)
    np.testing.assert_allclose(transport, transport.T, atol=2e-3)
    assert np.linalg.eigvalsh(transport).min() > 0


def test_flat_images_stay_finite(images):
    flat = jnp.full((16, 16, 3), 0.4)
    assert np.all(np.isfinite(match_colour(flat, images[1])))
    np.testing.assert_allclose(match_colour(images[0], flat).std((0, 1)), 0, atol=2e-3)
