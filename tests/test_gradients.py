"""Normalised gradients: that of each layer's features gets the L1 norm of its weight."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxstyle as js
from jaxstyle.evaluate import whole
from jaxstyle.ops.gradients import with_gradient_norm
from programs import loss_and_gradient, total

LAYERS = {"content_layers": ("conv2_2", "conv3_1"), "style_layers": ("conv1_1", "conv2_1")}
PLAIN = js.Objective(**LAYERS)
NORMALISED = js.Objective(**LAYERS, normalise_gradients=True)
WEIGHTS = js.LossWeights(
    content=2.0, style=30.0, tv=0.0, content_layers={"conv3_1": 0.5}, style_layers={"conv2_1": 4.0}
)
NORMS = {"conv2_2": 2.0, "conv3_1": 1.0, "conv1_1": 30.0, "conv2_1": 120.0}


@pytest.fixture
def image(pictures, rng):
    return jnp.asarray(pictures[0] + rng.normal(0, 0.1, pictures[0].shape), jnp.float32)


def feature_gradients(image, pictures, encoder, objective, monkeypatch):
    """Returns the loss, and its gradient with respect to each layer's features."""
    targets = js.make_targets(*pictures, encoder, objective)
    features = js.encode(image, encoder, objective.layers)

    def loss(features):
        monkeypatch.setattr(whole, "encode", lambda *_: features)
        return js.loss(image, targets, WEIGHTS, encoder, objective)

    with monkeypatch.context() as monkeypatch:
        return jax.jit(jax.value_and_grad(loss))(features)


def test_each_layers_gradient_has_the_norm_of_its_weight(image, pictures, encoder, monkeypatch):
    plain, normalised = (
        feature_gradients(image, pictures, encoder, objective, monkeypatch)
        for objective in (PLAIN, NORMALISED)
    )
    np.testing.assert_allclose(normalised[0], plain[0], rtol=1e-6)
    for name, norm in NORMS.items():
        before, after = (np.asarray(g[name], np.float64) for g in (plain[1], normalised[1]))
        np.testing.assert_allclose(np.abs(after).sum(), norm, rtol=1e-4)
        # Nothing but the length has changed.
        np.testing.assert_allclose(after, before * norm / np.abs(before).sum(), atol=1e-5 * norm)


def test_layer_of_two_terms_is_normalised_in_each(image, pictures, encoder, monkeypatch):
    both, content, style = (
        feature_gradients(
            image,
            pictures,
            encoder,
            js.Objective(content_layers=c, style_layers=s, normalise_gradients=True),
            monkeypatch,
        )[1]["conv2_1"]
        for c, s in ((("conv2_1",),) * 2, (("conv2_1",), ()), ((), ("conv2_1",)))
    )
    np.testing.assert_allclose(both, content + style, atol=1e-5 * float(jnp.abs(both).max()))


def test_weight_of_zero_gives_no_gradient(image, pictures, encoder):
    targets = js.make_targets(*pictures, encoder, NORMALISED)
    weights = js.LossWeights(content=0.0, style=0.0, tv=0.0)
    _, gradient = loss_and_gradient(image, targets, weights, encoder, NORMALISED)
    np.testing.assert_array_equal(gradient, 0.0)
    assert float(jax.grad(lambda f: 0.0 * with_gradient_norm(f, 1.0).sum())(image).max()) == 0.0


def test_gradient_is_proportional_to_the_weights_under_vmap(image, pictures, encoder):
    targets = js.make_targets(*pictures, encoder, NORMALISED)
    weights = WEIGHTS.replace(
        content=jnp.array([2.0, 20.0]), style=jnp.array([30.0, 300.0]), tv=jnp.zeros(2)
    )
    _, together = jax.vmap(loss_and_gradient, (None, None, weights.axes(), None, None))(
        image, targets, weights, encoder, NORMALISED
    )
    scale = float(jnp.abs(together[0]).max())
    np.testing.assert_allclose(together[1], 10 * together[0], atol=1e-4 * scale)
    _, single = loss_and_gradient(image, targets, WEIGHTS, encoder, NORMALISED)
    np.testing.assert_allclose(together[0], single, atol=1e-5 * scale)


def test_solvers_with_a_line_search_are_refused(encoder, pictures):
    options = {"objective": NORMALISED, "schedule": js.Schedule(iterations=3, scales=1)}
    with pytest.raises(js.InputError, match=r"normalise_gradients: .* choose adam"):
        js.stylize(*pictures, encoder, solver=js.lbfgs(), **options)
    result = js.stylize(*pictures, encoder, solver=js.adam(), **options)
    assert result.status == "finished"
    assert total(result.terms)[-1] < total(result.terms)[0]
