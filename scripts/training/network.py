"""The classifier that is trained: a narrow VGG19 up to conv5_2, batch-normalised, with a head.

Convolution and batch normalisation bring their own derivatives, written for a CPU. `Layer` has the
encoder's names and shapes, so that what is trained here folds into what the library runs.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

import jaxstyle as js
from jaxstyle.convolution import adjoint_kernel
from jaxstyle.preprocessing import PREPROCESSINGS

EPSILON, STATISTICS_MOMENTUM = 1e-5, 0.9


def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=layout)


@jax.custom_vjp
def convolution(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """3×3 convolution, zero-padded, whose kernel gradient is a few matrix products."""
    return convolve(x, kernel)


def kernel_gradient(x: jax.Array, g: jax.Array) -> jax.Array:
    # XLA's CPU backend is slow at the convolution that autodiff emits here. Three matrix products
    # over shifted rows, on chunks of the batch that stay in the cache, take half to two thirds of
    # its time; looped over in a scan they lose.
    n, h, w, c = x.shape
    chunk = max(1, 32768 // (h * w))

    def part(x: jax.Array, g: jax.Array) -> jax.Array:
        padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        columns = jnp.concatenate([padded[:, :, j : j + w] for j in range(3)], -1)
        flat = g.reshape(-1, g.shape[-1])
        return jnp.stack([columns[:, i : i + h].reshape(-1, 3 * c).T @ flat for i in range(3)])

    total = sum(part(x[i : i + chunk], g[i : i + chunk]) for i in range(0, n, chunk))
    return jnp.asarray(total).reshape(3, 3, c, -1)


def _convolution_forward(x, kernel):
    return convolve(x, kernel), (x, kernel)


def _convolution_backward(saved, g):
    x, kernel = saved
    return convolve(g, adjoint_kernel(kernel)), kernel_gradient(x, g)


convolution.defvjp(_convolution_forward, _convolution_backward)


def channel_sum(x: jax.Array) -> jax.Array:
    return x.sum(2).sum((0, 1))


@jax.custom_vjp
def normalise_relu(z: jax.Array, scale: jax.Array, bias: jax.Array):
    """ReLU of the batch normalisation, with the batch's mean and variance; two passes each way."""
    return _normalise_forward(z, scale, bias)[0]


def _normalise_forward(z, scale, bias):
    count = z.size / z.shape[-1]
    mean = channel_sum(z) / count
    variance = jnp.maximum(channel_sum(z * z) / count - mean**2, 0)
    inverse = lax.rsqrt(variance + EPSILON)
    y = nn.relu((z - mean) * (inverse * scale) + bias)
    return (y, mean, variance), (z, scale, bias, mean, inverse)


def _normalise_backward(saved, cotangents):
    z, scale, bias, mean, inverse = saved
    normalised = (z - mean) * inverse
    g = jnp.where(normalised * scale + bias > 0, cotangents[0], 0)
    count = z.size / z.shape[-1]
    d_bias, d_scale = channel_sum(g), channel_sum(g * normalised)
    return scale * inverse * (g - d_bias / count - normalised * (d_scale / count)), d_scale, d_bias


normalise_relu.defvjp(_normalise_forward, _normalise_backward)


def average_pool(x: jax.Array) -> jax.Array:
    n, h, w, c = x.shape
    return x[:, : h // 2 * 2, : w // 2 * 2].reshape(n, h // 2, 2, w // 2, 2, c).mean((2, 4))


class Layer(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    width: int

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Normalise with the batch's statistics to train, else with the running ones."""
        kernel = self.param("kernel", nn.initializers.he_normal(), (3, 3, x.shape[-1], self.width))
        scale = self.param("scale", nn.initializers.ones, (self.width,))
        bias = self.param("bias", nn.initializers.zeros, (self.width,))
        mean = self.variable("batch_stats", "mean", jnp.zeros, (self.width,))
        variance = self.variable("batch_stats", "variance", jnp.ones, (self.width,))
        z = convolution(x, kernel)
        if not train:
            return nn.relu((z - mean.value) * (lax.rsqrt(variance.value + EPSILON) * scale) + bias)
        y, *now = normalise_relu(z, scale, bias)
        for kept, new in zip((mean, variance), now, strict=True):
            kept.value = STATISTICS_MOMENTUM * kept.value + (1 - STATISTICS_MOMENTUM) * new
        return y


def narrow_vgg(width: float) -> js.VGG:
    """VGG19 up to conv5_2, average-pooled, at a fraction of its width."""
    widths = tuple(round(channels * width) for channels in js.VGG19.widths)
    return js.VGG((*js.VGG19.depths[:4], 2), widths, "average")


class Classifier(nn.Module):
    """The encoder, global average pooling and a linear layer."""

    vgg: js.VGG  # the layout to follow; its own convolutions have no batch normalisation
    classes: int

    @nn.compact
    def __call__(self, pixels: jax.Array, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Logits and features of `uint8[n, h, w, 3]`."""
        x, features = PREPROCESSINGS["torch"](pixels.astype(jnp.float32) / 255), {}
        for name in self.vgg.layers:
            if name.endswith("_1") and features:
                x = average_pool(x)
            width = self.vgg.widths[int(name[4]) - 1]
            x = features[name] = Layer(width, name=name)(x, train)
        return nn.Dense(self.classes, name="head")(x.mean((1, 2))), features


def variables_of(state) -> dict[str, Any]:
    return {key: state[key] for key in ("params", "batch_stats")}
