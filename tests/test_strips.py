"""Strip by strip the sums, the loss and their gradients are those of the whole image."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxstyle as js
from jaxstyle.encoder import encode, vgg
from jaxstyle.encoder.preprocessing import TORCH
from jaxstyle.losses import strips
from jaxstyle.losses.statistics import gram, region_sums
from jaxstyle.losses.strips import encode_in_strips

SUMMED = ("image", "conv1_1", "conv2_2", "conv3_1")
WHOLE = ("conv1_2", "conv3_1")
ODD = (29, 23)


@pytest.fixture(autouse=True)
def _narrow(monkeypatch):
    # A row of 23 pixels and 6 channels is 552 bytes.
    monkeypatch.setattr(strips, "_BYTES", 1000)


def make_encoder(padding="zeros", pooling="max"):
    network = vgg.VGG((2, 2, 1), widths=(6, 8, 10), pooling=pooling, padding=padding)
    names, params, depth = network.layers, {}, 3
    for key, name in zip(jax.random.split(jax.random.key(1), len(names)), names, strict=True):
        width = network.widths[vgg.block_of(name) - 1]
        kernel = jax.random.normal(key, (3, 3, depth, width)) / np.sqrt(9 * depth / 2)
        # With a bias, what surrounds the image matters: features of nothing are not nothing.
        params[name] = {"kernel": kernel, "bias": jnp.full(width, 0.3)}
        depth = width
    return js.VGGEncoder(params=params, network=network, preprocessing=TORCH)


def assert_same(low, high):
    for a, b in zip(*map(jax.tree.leaves, (low, high)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5 * np.abs(b).max())


def compare(encoder, size=ODD, masks=None, statistic=None):
    """Compares the features and the sums, and what a gradient sends back through all of them."""
    statistic = statistic or js.Gram()
    guides = {name: (masks or {}).get(name) for name in SUMMED}

    def in_strips(image):
        return encode_in_strips(image, encoder, WHOLE, guides, statistic)

    def whole(image):
        features = encode(image, encoder, (*WHOLE, *SUMMED))
        sums = {n: region_sums(features[n], guides[n], statistic) for n in SUMMED}
        return {name: features[name] for name in WHOLE}, sums

    @jax.jit
    def run(image):
        (low, pull), (high, pull_whole) = jax.vjp(in_strips, image), jax.vjp(whole, image)
        # Another number for each element, of the same size in every tensor.
        back = jax.tree.map(
            lambda x: jnp.cos(jnp.arange(x.size)).reshape(x.shape) / jnp.abs(x).max(), high
        )
        return (low, pull(back)), (high, pull_whole(back))

    assert_same(*run(jax.random.uniform(jax.random.key(0), (*size, 3))))


@pytest.mark.one_python
@pytest.mark.parametrize("padding", ["zeros", "replicate", "replicate-first", "circular"])
def test_paddings(padding):
    compare(make_encoder(padding))


@pytest.mark.one_python
def test_even_sides():
    compare(make_encoder(pooling="average"), (32, 24))


@pytest.mark.one_python
def test_moments():
    compare(make_encoder("circular"), statistic=js.Wasserstein())


@pytest.mark.one_python
def test_masks():
    masks = jax.random.uniform(jax.random.key(3), (2, *ODD))
    compare(make_encoder(), masks=js.masks_at(masks, make_encoder(), SUMMED))


def test_several_strips_run(monkeypatch):
    """The control: the tests above cut every block, and the rows around a strip matter."""
    counts = []
    cut = strips._cut

    def count(x, padding, count, *arguments):
        counts.append(count)
        return cut(x, padding, count, *arguments)

    monkeypatch.setattr(strips, "_cut", count)
    compare(make_encoder())
    assert len(counts) == 3
    assert min(counts) > 1
    monkeypatch.setattr(strips, "_surround", lambda padding, y, start, height: y)
    with pytest.raises(AssertionError):
        compare(make_encoder())


@pytest.mark.parametrize(
    "settings", [{}, {"statistic": js.Sliced()}, {"normalise_gradients": True}], ids=str
)
def test_loss(settings):
    """The whole loss, in batches too; and what does not add up is computed of whole layers."""
    encoder, weights = make_encoder(), js.LossWeights(style_layers={})
    content, style, *images = jax.random.uniform(jax.random.key(0), (4, *ODD, 3))
    results = []
    for memory in ("low", "high"):
        objective = js.Objective(
            content_layers=("conv2_1",), style_layers=SUMMED, **settings, memory=memory
        )
        targets = js.make_targets(content, style, encoder, objective)
        gradient = jax.value_and_grad(js.loss)
        batch = jax.jit(jax.vmap(gradient, (0, None, None, None, None)), static_argnums=4)
        results.append(batch(jnp.stack(images), targets, weights, encoder, objective))
    assert_same(*results)


def test_gradient_of_parameters():
    """Kernels that are trained have the gradient that they have without strips."""
    encoder = make_encoder()
    image = jax.random.uniform(jax.random.key(0), (*ODD, 3))

    def low(params):
        trained = js.VGGEncoder(params=params, network=encoder.network, preprocessing=TORCH)
        _, sums = encode_in_strips(image, trained, (), {"conv2_1": None}, js.Gram())
        return jnp.sin(sums["conv2_1"] / 1000).sum()

    def high(params):
        trained = js.VGGEncoder(params=params, network=encoder.network, preprocessing=TORCH)
        return jnp.sin(gram(js.encode(image, trained, ("conv2_1",))["conv2_1"]) / 1000).sum()

    assert_same(*(jax.jit(jax.grad(f))(encoder.params) for f in (low, high)))
