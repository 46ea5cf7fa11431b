"""The precision of convolutions; everything else stays in float32."""

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest

import jaxstyle as js
from jaxstyle.encoder import encode
from jaxstyle.pretrained import random_encoder
from programs import loss_and_gradient

LAYERS = ("conv1_1", "conv2_2")


def make_encoder(precision):
    return random_encoder(js.VGG(depths=(1, 2), widths=(16, 16), precision=precision))


@pytest.fixture
def image(rng):
    return jnp.asarray(rng.random((20, 24, 3)), jnp.float32)


def convolutions(function, *arguments):
    """Returns all convolutions of a program, with those of custom gradients and jitted parts."""
    found, open_ = [], [jax.make_jaxpr(function)(*arguments).jaxpr]
    while open_:
        for equation in open_.pop().eqns:
            if equation.primitive.name == "conv_general_dilated":
                found.append(equation)
            open_ += jax.extend.core.jaxprs_in_params(equation.params)
    return found


@pytest.mark.parametrize(
    ("precision", "wanted"),
    [
        ("highest", jax.lax.Precision.HIGHEST),
        ("tf32", jax.lax.Precision.HIGH),
        ("bf16", jax.lax.Precision.DEFAULT),
    ],
)
def test_convolutions_and_adjoints_have_the_precision(precision, wanted, image):
    encoder = make_encoder(precision)

    def total(image):
        return sum(f.sum() for f in encode(image, encoder, LAYERS).values())

    found = convolutions(jax.grad(total), image)
    assert len(found) == 2 * 3
    kind = jnp.bfloat16 if precision == "bf16" else jnp.float32
    for equation in found:
        assert equation.params["precision"] == (wanted, wanted)
        assert {v.aval.dtype for v in (*equation.invars, *equation.outvars)} == {jnp.dtype(kind)}


def test_bfloat16_rounds_to_eight_bits(image):
    """Some thousandths a layer; the features themselves are float32."""
    exact, rounded = (
        encode(image, e.prepare(LAYERS), LAYERS) for e in map(make_encoder, ("highest", "bf16"))
    )
    for name in LAYERS:
        assert rounded[name].dtype == jnp.float32
        error = np.linalg.norm(rounded[name] - exact[name]) / np.linalg.norm(exact[name])
        assert 1e-4 < error < 1e-2


def test_gradient_and_loss_stay_in_float32(image):
    results = []
    for precision in ("highest", "bf16"):
        encoder, objective = (
            make_encoder(precision),
            js.Objective(content_layers=("conv2_1",), style_layers=LAYERS),
        )
        targets = js.make_targets(image[::-1], image[:, ::-1], encoder, objective)
        results.append(loss_and_gradient(image, targets, js.LossWeights(), encoder, objective))
    (loss, gradient), (rounded_loss, rounded) = results
    assert (rounded_loss.dtype, rounded.dtype) == (jnp.float32, jnp.float32)
    np.testing.assert_allclose(rounded_loss, loss, rtol=0.02)
    cosine = (gradient * rounded).sum() / (jnp.linalg.norm(gradient) * jnp.linalg.norm(rounded))
    assert 0.99 < cosine < 0.99999999


def test_trained_kernels_have_gradients_in_float32(image):
    encoder = make_encoder("bf16")

    def total(params):
        trained = js.VGGEncoder(
            params=params, network=encoder.network, preprocessing=encoder.preprocessing
        )
        return encode(image, trained, LAYERS)["conv2_2"].sum()

    gradients = jax.grad(total)(encoder.params)
    assert {g.dtype for g in jax.tree.leaves(gradients)} == {jnp.dtype(jnp.float32)}
    assert all(jnp.abs(g).max() > 0 for g in jax.tree.leaves(gradients))
