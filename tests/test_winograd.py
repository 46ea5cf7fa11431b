"""Winograd's convolution against sums over shifted products in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oracles
from jaxstyle.encoder import encode, vgg
from jaxstyle.ops import convolution, winograd
from jaxstyle.pretrained import random_encoder


def convolve(x, kernel, pad):
    """The definition, in NumPy and float64."""
    x = np.pad(np.asarray(x, np.float64), ((pad, pad), (pad, pad), (0, 0)))
    h, w = x.shape[0] - 2, x.shape[1] - 2
    kernel = np.asarray(kernel, np.float64)
    return sum(x[i : i + h, j : j + w] @ kernel[i, j] for i in range(3) for j in range(3))


def arrays(rng, *shapes):
    return tuple(jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes)


# One tile and less; whole tiles; cut tiles; several strips, the last of them with and without a
# cut tile and with a row of tiles to spare.
SIZES = [(1, 1), (4, 4), (5, 11), (16, 32), (33, 30), (23, 67), (18, 130)]


@pytest.mark.parametrize("pad", [0, 1, 2])
@pytest.mark.parametrize("size", SIZES)
def test_agrees_with_the_definition(size, pad, rng, monkeypatch):
    monkeypatch.setattr(winograd, "_TILES", 32)
    h, w = (n + 2 * (pad == 0) for n in size)
    x, kernel = arrays(rng, (h, w, 24), (3, 3, 24, 20))
    y = winograd.convolve(x, winograd.transform_kernel(kernel), (pad, pad))
    expected = convolve(x, kernel, pad)
    assert y.shape == expected.shape
    assert oracles.relative_error(y, expected) <= 1e-5


def test_under_vmap(rng):
    x, kernel = arrays(rng, (3, 17, 22, 8), (3, 3, 8, 12))
    transformed = winograd.transform_kernel(kernel)
    batch = jax.jit(jax.vmap(lambda x: winograd.convolve(x, transformed, (1, 1))))(x)
    for single, y in zip(x, batch, strict=True):
        assert oracles.relative_error(y, convolve(single, kernel, 1)) <= 1e-5


@pytest.fixture
def at_any_size(monkeypatch):
    """Winograd where there is hardly any work: the tests' arrays are small."""
    monkeypatch.setattr(winograd, "_WORK", 1)


@pytest.mark.usefixtures("at_any_size")
@pytest.mark.parametrize("pad", [0, 1])
@pytest.mark.parametrize("size", [(7, 9), (27, 38)])
def test_gradients_agree_with_the_direct_convolution(size, pad, rng):
    h, w = size
    x, kernel, bias, dy = arrays(
        rng, (h, w, 64), (3, 3, 64, 128), (128,), (h - 2 + 2 * pad, w - 2 + 2 * pad, 128)
    )
    dy = dy * (jnp.abs(convolve(x, kernel, pad) + bias) > 1e-3)  # Clear of the rectifier's kink.
    fast, plain = (convolution.prepare(kernel, platform=name) for name in ("cpu", "cuda"))
    assert fast.winograd is not None

    def pullback(kernels, *arguments):
        return jax.vjp(lambda *a: convolution.conv_relu(*a, kernels, (pad, pad)), *arguments)[1](dy)

    expected = pullback(plain, x, kernel, bias)
    for kernels in (fast, None):
        for a, b in zip(pullback(kernels, x, kernel, bias), expected, strict=True):
            assert oracles.relative_error(a, b) <= 1e-5
        # The input alone, parameters frozen: the branch that every optimisation takes.
        _, back = jax.vjp(
            lambda x, k=kernels: convolution.conv_relu(x, kernel, bias, k, (pad, pad)), x
        )
        assert oracles.relative_error(back(dy)[0], expected[0]) <= 1e-5


@pytest.mark.usefixtures("at_any_size")
def test_hessian_vector_product(rng):
    """Forward over reverse; a smooth function, so that no rectifier flips between the two."""
    x, kernel, direction = arrays(rng, (9, 14, 64), (3, 3, 64, 128), (9, 14, 64))
    bias = jnp.full(128, 200.0)

    def product(kernels):
        def energy(x):
            return jnp.square(convolution.conv_relu(x, kernel, bias, kernels, (1, 1)) - bias).sum()

        return jax.jit(lambda: jax.jvp(jax.grad(energy), (x,), (direction,))[1])()

    fast, plain = (convolution.prepare(kernel, platform=name) for name in ("cpu", "cuda"))
    assert oracles.relative_error(product(fast), product(plain)) <= 1e-5


@pytest.mark.parametrize(
    ("inputs", "outputs", "platform", "expected"),
    [
        (64, 128, "cpu", True),
        (128, 64, "cpu", True),
        (512, 512, "cpu", True),
        (64, 64, "cpu", False),
        (3, 512, "cpu", False),
        (512, 512, "cuda", False),
    ],
)
def test_winograd_is_chosen_for_wide_layers_on_cpus(inputs, outputs, platform, expected):
    def shapes():
        return convolution.prepare(jnp.zeros((3, 3, inputs, outputs)), platform=platform)

    kernels = jax.eval_shape(shapes)
    assert kernels.adjoint.shape == (3, 3, outputs, inputs)
    assert (kernels.winograd is not None) == expected


@pytest.mark.parametrize(("size", "expected"), [((31, 64), 0), ((32, 64), 1)])
def test_small_images_are_convolved_directly(size, expected):
    """32 × 64 positions times 64 · 128 channels are the 2^24 from where on it pays."""

    def layer(x, kernel, bias):
        kernels = convolution.prepare(kernel, platform="cpu")
        return convolution.conv_relu(x, kernel, bias, kernels, (1, 1))

    h, w = size
    shapes = [(h, w, 64), (3, 3, 64, 128), (128,)]
    program = jax.make_jaxpr(layer)(*(jax.ShapeDtypeStruct(s, jnp.float32) for s in shapes))
    assert str(program).count("conv_general_dilated[") == 1 - expected


@pytest.mark.usefixtures("at_any_size")
@pytest.mark.parametrize("padding", ["zeros", "replicate"])
def test_prepared_network_runs_on_it(padding, pictures):
    """Every wide layer, forward and backward, and no narrow one; inside a loop as well."""
    network = vgg.VGG((1, 2, 1), widths=(32, 64, 128), pooling="average", padding=padding)
    encoder = random_encoder(network)

    def energy(image, encoder):
        return jnp.square(encode(image, encoder, ("conv3_1",))["conv3_1"]).sum()

    prepared = encoder.prepare(encoder.layers)
    chosen = [name for name, k in prepared.kernels.items() if k.winograd]
    if jax.default_backend() == "cpu":
        assert chosen == ["conv3_1"]
    gradient = jax.jit(jax.grad(energy))
    fast, plain = (gradient(pictures[0], e) for e in (prepared, encoder))
    assert oracles.relative_error(fast, plain) <= 1e-5
    program = str(jax.make_jaxpr(gradient)(pictures[0], prepared))
    assert program.count("conv_general_dilated[") == 2 * (4 - len(chosen))
    looped = jax.jit(lambda x: jax.lax.fori_loop(0, 1, lambda _, x: gradient(x, prepared), x))
    assert oracles.relative_error(looped(pictures[0]), plain) <= 1e-5
