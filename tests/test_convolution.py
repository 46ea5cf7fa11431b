"""The convolution's own adjoint against autodiff."""

import jax
import jax.numpy as jnp
import pytest

import oracles
from jaxstyle.ops.convolution import Kernels, adjoint_kernel, conv_relu


def plain_conv_relu(x, kernel, bias, pad):
    y = jax.lax.conv_general_dilated(
        x[None], kernel, (1, 1), [(pad, pad)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return jax.nn.relu(y[0] + bias)


@pytest.mark.parametrize("pad", [0, 1])
def test_adjoint_agrees_with_autodiff(pad, rng):
    x, kernel, bias, dy = (
        jnp.asarray(rng.normal(size=shape), jnp.float32)
        for shape in [(7, 9, 4), (3, 3, 4, 5), (5,), (5 + 2 * pad, 7 + 2 * pad, 5)]
    )
    expected = jax.vjp(lambda *a: plain_conv_relu(*a, pad), x, kernel, bias)[1](dy)
    kernels = Kernels(adjoint_kernel(kernel))
    actual = jax.vjp(lambda *a: conv_relu(*a, kernels, (pad, pad)), x, kernel, bias)[1](dy)
    for a, b in zip(actual, expected, strict=True):
        assert oracles.relative_error(a, b) <= 1e-5
    # The input alone, parameters frozen: the branch that every optimisation takes.
    (frozen,) = jax.vjp(lambda x: conv_relu(x, kernel, bias, kernels, (pad, pad)), x)[1](dy)
    assert oracles.relative_error(frozen, expected[0]) <= 1e-5


def test_hessian_vector_product_agrees_with_autodiff(rng):
    """Forward over reverse through the adjoint, as second-order methods do it."""
    x, kernel, bias, direction = (
        jnp.asarray(rng.normal(size=shape), jnp.float32)
        for shape in [(7, 9, 4), (3, 3, 4, 5), (5,), (7, 9, 4)]
    )

    def product(layer):
        gradient = jax.grad(lambda x: jnp.square(jnp.sin(layer(x))).sum())
        return jax.jvp(gradient, (x,), (direction,))[1]

    expected = product(lambda x: plain_conv_relu(x, kernel, bias, 1))
    kernels = Kernels(adjoint_kernel(kernel))
    actual = product(lambda x: conv_relu(x, kernel, bias, kernels, (1, 1)))
    assert oracles.relative_error(actual, expected) <= 1e-5
