"""Gradients changed on their way back: each layer's has the promised L1 norm."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxstyle as js
from jaxstyle.losses import measure
from jaxstyle.ops.gradients import with_gradient_norm
from programs import loss_and_gradient

PLAIN = js.Objective(content_layers=("conv2_2", "conv3_1"), style_layers=("conv1_1", "conv2_1"))
NORMALISED = js.Objective(
    content_layers=("conv2_2", "conv3_1"),
    style_layers=("conv1_1", "conv2_1"),
    normalise_gradients=True,
)
WEIGHTS = js.LossWeights(
    content=2.0, style=30.0, tv=0.0, content_layers={"conv3_1": 0.5}, style_layers={"conv2_1": 4.0}
)
NORMS = {"conv2_2": 2.0, "conv3_1": 1.0, "conv1_1": 30.0, "conv2_1": 120.0}


@pytest.fixture
def image(pictures, rng):
    return jnp.asarray(pictures[0] + rng.normal(0, 0.1, pictures[0].shape), jnp.float32)


def feature_gradients(image, targets, encoder, objective, weights, monkeypatch):
    """Of the loss with respect to something added to each layer's features behind the encoder."""
    features = js.encode(image, encoder, objective.layers)

    def loss(added):
        moved = {name: features[name] + added[name] for name in features}
        monkeypatch.setattr(measure, "encode", lambda *_: moved)
        return js.loss(image, targets, weights, encoder, objective)

    with monkeypatch.context() as monkeypatch:
        return jax.jit(jax.value_and_grad(loss))(
            {k: jnp.zeros_like(f) for k, f in features.items()}
        )


def test_each_layer_sends_back_its_weight(image, pictures, encoder, monkeypatch):
    targets = js.make_targets(*pictures, encoder, PLAIN)
    plain, normalised = (
        feature_gradients(image, targets, encoder, objective, WEIGHTS, monkeypatch)
        for objective in (PLAIN, NORMALISED)
    )
    np.testing.assert_allclose(normalised[0], plain[0], rtol=1e-6)
    for name, norm in NORMS.items():
        before, after = (np.asarray(g[name], np.float64) for g in (plain[1], normalised[1]))
        np.testing.assert_allclose(np.abs(after).sum(), norm, rtol=1e-4)
        # Nothing but the length has changed.
        np.testing.assert_allclose(after, before * norm / np.abs(before).sum(), atol=1e-5 * norm)


def test_a_layer_of_both_terms_is_normalised_in_each(image, pictures, encoder, monkeypatch):
    both = js.Objective(
        content_layers=("conv2_1",), style_layers=("conv2_1",), normalise_gradients=True
    )
    alone = [
        js.Objective(content_layers=(), style_layers=("conv2_1",), normalise_gradients=True),
        js.Objective(content_layers=("conv2_1",), style_layers=(), normalise_gradients=True),
    ]
    gradients = [
        feature_gradients(
            image, js.make_targets(*pictures, encoder, o), encoder, o, WEIGHTS, monkeypatch
        )[1]["conv2_1"]
        for o in (both, *alone)
    ]
    scale = float(jnp.abs(gradients[0]).max())
    np.testing.assert_allclose(gradients[0], gradients[1] + gradients[2], atol=1e-5 * scale)


def test_a_weight_of_zero_sends_nothing_back(image, pictures, encoder):
    targets = js.make_targets(*pictures, encoder, NORMALISED)
    weights = js.LossWeights(content=0.0, style=0.0, tv=0.0)
    _, gradient = loss_and_gradient(image, targets, weights, encoder, NORMALISED)
    np.testing.assert_array_equal(gradient, 0.0)
    assert float(jax.grad(lambda f: 0.0 * with_gradient_norm(f, 1.0).sum())(image).max()) == 0.0


def test_under_jit_and_vmap_over_loss_weights(image, pictures, encoder):
    """Ten times the weights of all layers: ten times the gradient, and nothing else."""
    targets = js.make_targets(*pictures, encoder, NORMALISED)
    weights = jax.tree.map(lambda w: jnp.array([w, 10 * w]), WEIGHTS).replace(
        content_layers=jax.tree.map(lambda w: jnp.full(2, w), WEIGHTS.content_layers),
        style_layers=jax.tree.map(lambda w: jnp.full(2, w), WEIGHTS.style_layers),
    )
    _, together = jax.vmap(loss_and_gradient, (None, None, 0, None, None))(
        image, targets, weights, encoder, NORMALISED
    )
    scale = float(jnp.abs(together[0]).max())
    np.testing.assert_allclose(together[1], 10 * together[0], atol=1e-4 * scale)
    _, single = loss_and_gradient(image, targets, WEIGHTS, encoder, NORMALISED)
    np.testing.assert_allclose(together[0], single, atol=1e-5 * scale)


def test_line_searches_are_refused(encoder, pictures):
    options = {"objective": NORMALISED, "schedule": js.Schedule(iterations=3, scales=1)}
    with pytest.raises(js.InputError, match=r"normalise_gradients: .* choose adam"):
        js.stylize(*pictures, encoder, solver=js.lbfgs(), **options)
    result = js.stylize(*pictures, encoder, solver=js.adam(), **options)
    assert result.status == "finished"
    assert sum(result.terms)[-1] < sum(result.terms)[0]
