"""Variables: conversion from and to images, gradients, runs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxstyle as js
import oracles
from jaxstyle.encoder.preprocessing import PREPROCESSINGS
from jaxstyle.run.parameterisation import PARAMETERISATIONS as KNOWN
from programs import total

VARIABLES = list(KNOWN)
CAFFE = np.array([123.68, 116.779, 103.939])


@pytest.fixture(params=["torch", "caffe"])
def either(encoder, request):
    return encoder.replace(preprocessing=PREPROCESSINGS[request.param])


def plain(variable, z, encoder):
    """Returns the image in float64, with constants written out."""
    if variable == "sigmoid":
        return 1 / (1 + np.exp(-z))
    if variable == "encoder" and encoder.preprocessing.name == "caffe":
        return (z + CAFFE) / 255
    if variable == "fourier":
        down, across = (np.abs(np.fft.fftfreq(n)) for n in z.shape[:2])
        amplitudes = 1 / (0.1 + np.sqrt(np.add.outer(down**2, across**2)))
        amplitudes /= np.sqrt((amplitudes**2).mean())
        # Lightness along (1, 1, 1), and two directions of colour orthogonal to it.
        axes = np.array([[1, 1, 1], [1, -1, 0], [1, 1, -2]]) / np.sqrt([[3], [2], [6]])
        z = z @ axes.T * [1, 0.5, 0.5] @ axes
        return np.fft.ifft2(np.fft.fft2(z, axes=(0, 1)) * amplitudes[..., None], axes=(0, 1)).real
    return z * oracles.STD + oracles.MEAN if variable == "encoder" else z


@pytest.mark.parametrize("shape", [(6, 7), (5, 8)])
@pytest.mark.parametrize("variable", VARIABLES)
def test_conversion_to_and_from_images(either, variable, shape, rng):
    image = jnp.asarray(rng.uniform(0.02, 0.98, (*shape, 3)), jnp.float32)
    z = KNOWN[variable].from_image(image, either)
    np.testing.assert_allclose(KNOWN[variable].to_image(z, either), image, atol=1e-6)
    np.testing.assert_allclose(plain(variable, np.float64(z), either), image, atol=1e-6)


def test_variable_encoder_is_the_networks_input(either, rng):
    image = jnp.asarray(rng.uniform(size=(6, 7, 3)), jnp.float32)
    z = KNOWN["encoder"].from_image(image, either)
    preprocessing = either.preprocessing
    network = preprocessing(image)[..., ::-1] if preprocessing.bgr else preprocessing(image)
    np.testing.assert_allclose(z, network, atol=1e-4)


@pytest.mark.parametrize("variable", VARIABLES)
def test_gradient_agrees_with_finite_differences(either, variable, rng):
    image = jnp.asarray(rng.uniform(0.1, 0.9, (6, 7, 3)), jnp.float32)
    factors = rng.normal(size=image.shape)
    z = KNOWN[variable].from_image(image, either)

    def loss(z):
        return (jnp.asarray(factors, jnp.float32) * KNOWN[variable].to_image(z, either) ** 2).sum()

    gradient = jax.jit(jax.grad(loss))(z)
    error = oracles.slope_error(
        lambda z: (factors * plain(variable, z, either) ** 2).sum(), z, gradient, rng
    )
    assert error < 1e-5


def test_sigmoid_stays_in_range(encoder):
    z = jnp.asarray([-1e30, -100.0, -5.0, 0.0, 5.0, 100.0]).reshape(1, 2, 3)
    image, slopes = jax.jvp(
        lambda z: KNOWN["sigmoid"].to_image(z, encoder), (z,), (jnp.ones_like(z),)
    )
    assert 0 <= float(image.min()) <= float(image.max()) <= 1
    assert np.all(np.isfinite(slopes))
    for extreme in (0.0, 1.0):
        z = KNOWN["sigmoid"].from_image(jnp.full((2, 2, 3), extreme), encoder)
        back = KNOWN["sigmoid"].to_image(z, encoder)
        assert 0 < float(jnp.abs(back - extreme).max()) <= 0.0101
        assert (
            float(jax.grad(lambda z: KNOWN["sigmoid"].to_image(z, encoder).sum())(z).min()) > 1e-3
        )


@pytest.mark.parametrize(
    ("variable", "solver"),
    [("encoder", js.adam(0.05)), ("sigmoid", js.lbfgs()), ("fourier", js.adam(0.05))],
    ids=str,
)
def test_runs_lower_the_loss(encoder, pictures, variable, solver):
    seen = []
    result = js.stylize(
        *pictures,
        encoder,
        objective=js.Objective(content_layers=("conv2_2",), style_layers=("image", "conv1_1")),
        schedule=js.Schedule(iterations=8, scales=1),
        variable=variable,
        solver=solver,
        callback=seen.append,
    )
    loss = total(result.terms)
    assert loss[-1] < 0.8 * loss[0]
    if variable == "sigmoid":
        assert all(0 < float(p.image.min()) <= float(p.image.max()) < 1 for p in seen)


def test_unknown_variable_is_refused(encoder, pictures):
    with pytest.raises(js.InputError, match="variable 'yuv': unknown; choose image"):
        js.stylize(*pictures, encoder, variable="yuv", solver=js.adam(clamp=True))
