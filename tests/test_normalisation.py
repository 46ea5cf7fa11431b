"""Normalisations: other statistics than Gram, which test_presets.py has, and flat pictures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxstyle as js
import oracles
from jaxstyle.losses.normalisation import NORMALISATIONS
from programs import loss_and_gradient, targets_of, terms_of


@pytest.mark.parametrize(
    ("statistic", "distance"),
    [(js.Wasserstein(), oracles.wasserstein), (js.MeanStd(), oracles.mean_std)],
    ids=lambda value: getattr(value, "__name__", repr(value)),
)
@pytest.mark.parametrize("name", NORMALISATIONS)
def test_other_statistics_use_the_same_scaled_features(
    name, statistic, distance, encoder, pictures
):
    """As in the table of the module: features times a factor, a distance over a divisor."""
    image, layer = pictures[0], "conv2_1"
    style = pictures[0][::-1, ::-1] ** 2
    objective = js.Objective(
        content_layers=(), style_layers=(layer,), statistic=statistic, normalisation=name
    )
    targets = targets_of(image, style, encoder, objective)
    weights = js.LossWeights(style=1.0, style_layers={})
    actual = terms_of(image, targets, weights, encoder, objective)["style"]
    f, s = (oracles.encode(x, encoder, (layer,))[layer] for x in (image, style))
    (h, w, c), m = f.shape, image.shape[0] * image.shape[1]
    n = h * w
    factor = {"neural-style": c**-0.5, "udacity": n**0.5, "keras": (n / (6 * m)) ** 0.5}
    factor = factor.get(name, 1.0)
    divisor = {"energy": (s**2).sum() / n, "udacity": c * c * n, "keras": 1.0}.get(name, c)
    # The ridge is scaled, too.
    expected = distance(factor * f, factor * s, 1e-4 * factor**2) / divisor
    np.testing.assert_allclose(actual, expected, rtol=2e-3)


@pytest.mark.parametrize("name", NORMALISATIONS)
def test_flat_pictures_have_a_finite_loss(name, encoder):
    """The target has no energy to divide by."""
    black = jnp.zeros((24, 24, 3))
    quiet = encoder.replace(params=jax.tree.map(jnp.zeros_like, encoder.params))
    objective = js.Objective(
        content_layers=("conv2_2",), style_layers=("conv1_1", "conv3_1"), normalisation=name
    )
    targets = targets_of(black, black, quiet, objective)
    value, gradient = loss_and_gradient(black, targets, js.LossWeights(), quiet, objective)
    assert float(value) == 0.0
    np.testing.assert_array_equal(gradient, 0.0)
