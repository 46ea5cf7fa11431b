"""Normalisations against each tool's own formula."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxstyle as js
import oracles
from programs import loss_and_gradient, targets_of, terms_of

CONTENT_LAYER, STYLE_LAYERS = "conv2_2", ("conv1_1", "conv2_1", "conv3_1")

LAYER_WEIGHTS = {"conv1_1": 1.0, "conv2_1": 0.75, "conv3_1": 0.2}


def raw_gram(f):
    return f.reshape(-1, f.shape[-1]).T @ f.reshape(-1, f.shape[-1])


def gatys(f, p, s, x):
    """The authors' notebook: mean squared errors, Gram matrices divided by positions."""
    content = np.mean((f[CONTENT_LAYER] - p) ** 2)
    style = 0.0
    for k, a in s.items():
        h, w, c = f[k].shape
        grams = raw_gram(f[k]) / (h * w), raw_gram(a) / (a.shape[0] * a.shape[1])
        style += LAYER_WEIGHTS[k] * 1000 / c**2 * np.mean((grams[0] - grams[1]) ** 2)
    return content, style, oracles.total_variation(x, "l2") / x.size


def neural_style(f, p, s, x):
    """Mean squared errors, Gram matrices divided by all elements; the variation is summed."""
    content = 5 * np.mean((f[CONTENT_LAYER] - p) ** 2)
    style = 100 * sum(
        LAYER_WEIGHTS[k] * np.mean((raw_gram(f[k]) / f[k].size - raw_gram(a) / a.size) ** 2)
        for k, a in s.items()
    )
    return content, style, 1e-3 * oracles.total_variation(x, "l1")


def udacity(f, p, s, x):
    """Undivided Gram matrices of pictures of one size, mean squared errors divided by chw."""
    content = np.mean((f[CONTENT_LAYER] - p) ** 2)
    style = 1e6 * sum(
        LAYER_WEIGHTS[k] * np.mean((raw_gram(f[k]) - raw_gram(a)) ** 2) / f[k].size
        for k, a in s.items()
    )
    return content, style, oracles.total_variation(x, "l2") / x.size


def keras(f, p, s, x):
    """Sums throughout, over 4 · 3² · (pixels)²."""
    content = 2.5e-8 * ((f[CONTENT_LAYER] - p) ** 2).sum()
    denominator = 4 * 3**2 * (x.shape[0] * x.shape[1]) ** 2
    style = (
        1e-6
        / 5
        * sum(
            LAYER_WEIGHTS[k] * ((raw_gram(f[k]) - raw_gram(a)) ** 2).sum() / denominator
            for k, a in s.items()
        )
    )
    return content, style, 1e-6 * oracles.total_variation(x, "isotropic^1.25")


def own(f, p, s, x):
    """Every term is 1 for features that are all zero; the variation is a mean."""

    def grams(k):
        return oracles.gram(f[k]), oracles.gram(s[k])

    content = ((f[CONTENT_LAYER] - p) ** 2).sum() / (p**2).sum()
    style = sum(
        LAYER_WEIGHTS[k] * ((grams(k)[0] - grams(k)[1]) ** 2).sum() / (grams(k)[1] ** 2).sum()
        for k in s
    )
    return content, style, oracles.total_variation(x, "l2") / x.size


CASES = {
    "energy": (own, (1.0, 1.0, 1.0), "l2"),
    "mean": (gatys, (1.0, 1000.0, 1.0), "l2"),
    "neural-style": (neural_style, (5.0, 100.0, 1e-3), "l1"),
    "udacity": (udacity, (1.0, 1e6, 1.0), "l2"),
    "keras": (keras, (2.5e-8, 1e-6 / 5, 1e-6), "isotropic^1.25"),
}


@pytest.mark.parametrize("name", CASES)
def test_terms_agree_with_the_tools_own_formula(name, encoder, pictures, rng):
    formula, weights, tv = CASES[name]
    content = pictures[0]
    # Keras and Udacity resize the style to the content.
    style = pictures[1] if name in ("energy", "mean") else pictures[0][::-1, ::-1] ** 2
    image = jnp.asarray(content + rng.normal(0, 0.1, content.shape), jnp.float32)
    layers = dict(LAYER_WEIGHTS)
    if name == "mean":
        # The 1000 / C² of the notebook are weights of the layers.
        widths = dict(zip(STYLE_LAYERS, encoder.network.widths, strict=True))
        layers = {k: w / widths[k] ** 2 for k, w in layers.items()}
    objective = js.Objective(
        content_layers=(CONTENT_LAYER,), style_layers=STYLE_LAYERS, normalisation=name, tv=tv
    )
    targets = targets_of(content, style, encoder, objective)
    terms = dict(zip(("content", "style", "tv"), weights, strict=True))
    loss_weights = js.LossWeights(**terms, style_layers=layers)
    actual = terms_of(image, targets, loss_weights, encoder, objective)
    f = oracles.encode(image, encoder, (CONTENT_LAYER, *STYLE_LAYERS))
    p = oracles.encode(content, encoder, (CONTENT_LAYER,))[CONTENT_LAYER]
    s = oracles.encode(style, encoder, STYLE_LAYERS)
    expected = formula(f, p, s, np.asarray(image, np.float64))
    for name, value in zip(("content", "style", "tv"), expected, strict=True):
        np.testing.assert_allclose(actual[name], value, rtol=2e-5, err_msg=name)


@pytest.mark.parametrize(
    ("statistic", "distance"),
    [(js.Wasserstein(), oracles.wasserstein), (js.MeanStd(), oracles.mean_std)],
    ids=lambda value: getattr(value, "__name__", repr(value)),
)
@pytest.mark.parametrize("name", CASES)
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


@pytest.mark.parametrize("name", CASES)
def test_flat_pictures_have_a_finite_loss(name, encoder):
    """The target has no energy to divide by."""
    black = jnp.zeros((24, 24, 3))
    quiet = encoder.replace(params=jax.tree.map(jnp.zeros_like, encoder.params))
    objective = js.Objective(
        content_layers=(CONTENT_LAYER,), style_layers=STYLE_LAYERS, normalisation=name
    )
    targets = targets_of(black, black, quiet, objective)
    value, gradient = loss_and_gradient(black, targets, js.LossWeights(), quiet, objective)
    assert float(value) == 0.0
    np.testing.assert_array_equal(gradient, 0.0)
