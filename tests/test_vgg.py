"""Features against PyTorch and NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import oracles
from jaxstyle.encoder import base, vgg
from jaxstyle.encoder.preprocessing import PREPROCESSINGS
from jaxstyle.errors import InputError
from jaxstyle.ops.pooling import pool
from jaxstyle.pretrained import random_encoder

encode = jax.jit(base.encode, static_argnums=2)
full_encoder = functools.cache(random_encoder)


# Every pair of settings; test_packaged.py has VGG16 with max, zeros and caffe.
@pytest.mark.parametrize(("network", "pooling", "padding", "preprocessing"), [
    (vgg.VGG16, "average", "replicate", "torch"),
    (vgg.VGG19, "max", "replicate", "torch"),
    (vgg.VGG19, "average", "zeros", "caffe"),
], ids=["VGG16-average", "VGG19-max", "VGG19-average"])  # fmt: skip
def test_every_layer_agrees_with_pytorch(network, pooling, padding, preprocessing, rng):
    encoder = full_encoder(network)
    # Random biases: with zeros a missing bias would not show.
    params = jax.tree.map(
        lambda a: a if a.ndim > 1 else jnp.asarray(rng.normal(0, 0.3, a.shape), jnp.float32),
        encoder.params,
    )
    network = network.clone(pooling=pooling, padding=padding)
    encoder = encoder.replace(
        params=params, network=network, preprocessing=PREPROCESSINGS[preprocessing]
    )
    image = jnp.asarray(rng.uniform(0, 1, (50, 67, 3)), jnp.float32)
    rgb = np.asarray(image, np.float64)
    if preprocessing == "caffe":
        x = rgb[..., ::-1] * 255 - [103.939, 116.779, 123.68]
    else:
        x = (rgb - oracles.MEAN) / oracles.STD
    expected = oracles.torch_features(encoder.params, network, x.astype(np.float32))
    features = encode(image, encoder, network.layers)
    assert features.keys() == expected.keys()
    errors = {name: oracles.relative_error(features[name], expected[name]) for name in expected}
    assert max(errors.values()) <= 1e-5, errors


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_narrow_network_agrees_with_numpy(encoder, pooling, pictures):
    encoder = encoder.replace(network=encoder.network.clone(pooling=pooling))
    layers = ("image", *encoder.network.layers)
    expected = oracles.encode(pictures[0], encoder, layers)
    for name, feature in encode(pictures[0], encoder, layers).items():
        assert oracles.relative_error(feature, expected[name]) <= 1e-5, name


def test_gradient_of_the_maximum_agrees_with_pytorch(rng):
    torch = pytest.importorskip("torch", reason="the oracle extra (PyTorch) is not installed")
    x, dy = (rng.normal(size=shape).astype(np.float32) for shape in [(9, 7, 4), (4, 3, 4)])
    t = torch.from_numpy(x).permute(2, 0, 1)[None].requires_grad_()
    torch.nn.functional.max_pool2d(t, 2).backward(torch.from_numpy(dy).permute(2, 0, 1)[None])
    (dx,) = jax.vjp(lambda x: pool(x, "max"), jnp.asarray(x))[1](jnp.asarray(dy))
    np.testing.assert_array_equal(dx, t.grad[0].permute(1, 2, 0))


def test_equal_maxima_share_the_gradient():
    (dx,) = jax.vjp(lambda x: pool(x, "max"), jnp.zeros((4, 4, 2)))[1](jnp.ones((2, 2, 2)))
    np.testing.assert_array_equal(dx, np.full((4, 4, 2), 0.25))


def test_prepared_encoder_gives_the_same_gradient(encoder, pictures):
    def energy(image, encoder):
        return jnp.square(encode(image, encoder, ("conv3_1",))["conv3_1"]).sum()

    plain = jax.grad(energy)(pictures[0], encoder)
    ready = jax.grad(energy)(pictures[0], encoder.prepare(("conv3_1",)))
    np.testing.assert_array_equal(plain, ready)


def test_encode_under_vmap(encoder, pictures):
    images = jnp.stack([pictures[0], pictures[0][::-1]])
    batch = jax.vmap(lambda image: encode(image, encoder, ("conv2_2",))["conv2_2"])(images)
    for i, image in enumerate(images):
        single = encode(image, encoder, ("conv2_2",))["conv2_2"]
        assert oracles.relative_error(batch[i], single) <= 1e-6


def test_layers_behind_the_deepest_are_not_computed(encoder, pictures):
    jaxpr = jax.make_jaxpr(lambda i: encode(i, encoder, ("conv2_1", "conv1_2")))(pictures[0])
    assert str(jaxpr).count("conv_general_dilated[") == 3


def test_replicated_padding_keeps_a_flat_image_flat(encoder):
    encoder = encoder.replace(network=encoder.network.clone(padding="replicate"))
    grey = jnp.full((24, 24, 3), 0.3)
    feature = encode(grey, encoder, ("conv3_1",))["conv3_1"]
    assert float(jnp.ptp(feature, axis=(0, 1)).max()) <= 1e-5


def test_image_too_small_for_the_layer(encoder):
    with pytest.raises(InputError, match="32×3 px: too small for conv3_1; at least 4 px"):
        encode(jnp.zeros((3, 32, 3)), encoder, ("conv3_1",))


@pytest.mark.parametrize("pad", [(1, 1), (3, 0), (0, 2)], ids=str)
@pytest.mark.parametrize(("padding", "mode"), [("replicate", "edge"), ("circular", "wrap")])
def test_padding_agrees_with_numpy(padding, mode, pad, rng):
    x = rng.normal(size=(5, 4, 2)).astype(np.float32)
    expected = np.pad(x, (*((n, n) for n in pad), (0, 0)), mode=mode)
    np.testing.assert_array_equal(vgg.pad_by(padding, jnp.asarray(x), pad), expected)
    # The gradient is how often each position occurs.
    indices = np.pad(
        np.arange(x.size).reshape(x.shape), (*((n, n) for n in pad), (0, 0)), mode=mode
    )
    gradient = jax.grad(lambda x: vgg.pad_by(padding, x, pad).sum())(jnp.asarray(x))
    np.testing.assert_array_equal(gradient.ravel(), np.bincount(indices.ravel(), minlength=x.size))
