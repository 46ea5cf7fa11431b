"""Total variation against loops over pixels, and nine-point against PyTorch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxstyle as js
import oracles
from jaxstyle.ops.variation import total_variation

KINDS = ("l1", "l2", "isotropic^1.25", "nine-point")


@pytest.fixture
def image(rng):
    return jnp.asarray(rng.uniform(size=(7, 9, 3)), jnp.float32)


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("kind", KINDS[:3])
def test_agrees_with_loops(image, kind, wrap):
    expected = oracles.total_variation(image, kind, wrap)
    np.testing.assert_allclose(total_variation(image, kind, wrap=wrap), expected, rtol=1e-5)


def nine_point(x):
    """Returns mean squared differences of the padded image; ``x`` is ``1 × 3 × h × w``."""
    import torch

    x = torch.nn.functional.pad(x, (1, 1, 1, 1), "replicate")
    inner = x[..., 1:-1, 1:-1]
    axial = (x[..., 1:-1, 2:] - inner, x[..., 2:, 1:-1] - inner)
    diagonal = (x[..., 1:, 1:] - x[..., :-1, :-1], x[..., 1:, :-1] - x[..., :-1, 1:])
    means = [(d**2).mean() / 3 for d in axial] + [(d**2).mean() / 12 for d in diagonal]
    return 2 * sum(means)


def test_nine_point_agrees_with_pytorch(image):
    torch = pytest.importorskip("torch")
    x = torch.tensor(np.asarray(image, np.float64)).permute(2, 0, 1)[None].requires_grad_()
    expected = nine_point(x)
    expected.backward()
    gradient = x.grad[0].permute(1, 2, 0).numpy()
    value, actual = jax.value_and_grad(total_variation)(image, "nine-point")
    np.testing.assert_allclose(value / image.size, expected.item(), rtol=1e-5)
    np.testing.assert_allclose(actual / image.size, gradient, atol=1e-5 * abs(gradient).max())


def test_nine_point_that_wraps_agrees_with_loops(image):
    x, (h, w, _) = np.asarray(image, np.float64), image.shape
    total = 0.0
    for i in range(h):
        for j in range(w):
            for di, dj, share in ((0, 1, 3), (1, 0, 3), (1, 1, 12), (1, -1, 12)):
                neighbour = x[(i + di) % h, (j + dj) % w]
                total += 2 * ((neighbour - x[i, j]) ** 2).sum() / share
    np.testing.assert_allclose(total_variation(image, "nine-point", wrap=True), total, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_variation_that_wraps_does_not_change_if_the_image_is_rolled(image, kind):
    rolled = jnp.roll(image, (3, 4), (0, 1))
    values = [total_variation(x, kind, wrap=True) for x in (image, rolled)]
    np.testing.assert_allclose(*values, rtol=1e-6)
    assert abs(float(total_variation(image, kind) - total_variation(rolled, kind))) > 1e-3


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_variation_of_flat_images_is_zero(kind, wrap):
    flat = jnp.full((5, 6, 3), 0.3)
    value, gradient = jax.value_and_grad(lambda x: total_variation(x, kind, wrap=wrap))(flat)
    assert float(value) == 0.0
    np.testing.assert_array_equal(gradient, 0.0)


@pytest.mark.parametrize("kind", KINDS[:3])
def test_gradient_agrees_with_finite_differences(image, kind, rng):
    gradient = jax.grad(total_variation)(image, kind)
    error = oracles.slope_error(lambda x: oracles.total_variation(x, kind), image, gradient, rng)
    assert error < 1e-4


def test_vmap_agrees_with_single_images(image):
    images = jnp.stack([image, 1 - 0.5 * image])
    for kind in KINDS:
        together = jax.jit(jax.vmap(lambda x, kind=kind: total_variation(x, kind)))(images)
        singles = [total_variation(x, kind) for x in images]
        np.testing.assert_allclose(together, singles, rtol=1e-6)


@pytest.mark.parametrize("padding", ["zeros", "circular"])
def test_term_wraps_only_with_circular_padding(encoder, pictures, padding):
    objective = js.Objective(content_layers=(), style_layers=(), tv="l1")
    tile = encoder.replace(network=encoder.network.clone(padding=padding))
    targets = js.make_targets(*pictures, tile, objective)
    rolled = jnp.roll(pictures[0], 5, 1)
    terms = [
        float(js.loss_terms(x, targets, js.LossWeights(), tile, objective)["tv"])
        for x in (pictures[0], rolled)
    ]
    assert (abs(terms[0] / terms[1] - 1) < 1e-5) == (padding == "circular")
