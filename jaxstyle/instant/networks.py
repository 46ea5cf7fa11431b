"""The two networks of arbitrary style transfer in one pass.

G. Ghiasi, H. Lee, M. Kudlur, V. Dumoulin, J. Shlens, "Exploring the structure of a real-time,
arbitrary neural artistic stylization network", BMVC 2017, arXiv:1705.06830; the layers are those of
Magenta's published parameters. Batch normalisations are folded into the convolutions.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

# Channels and stride of each block of MobileNetV2, after the first convolution.
_BLOCKS = (
    *((16, 1), (24, 2), (24, 1), (32, 2), (32, 1), (32, 1), (64, 2), (64, 1), (64, 1), (64, 1)),
    *((96, 1), (96, 1), (96, 1), (160, 2), (160, 1), (160, 1), (320, 1)),
)
_EXPANSION = 6
_EPSILON = 1e-5
VECTOR = 100
"""Length of a style vector."""

Maps = Float[Array, "1 _ _ _"]


class StyleNetwork(nn.Module):
    """MobileNetV2: from a painting, ``f32[1, h, w, 3]``, to its style vector, ``f32[100]``."""

    @nn.compact
    def __call__(self, image: Maps) -> Float[Array, "100"]:
        """Returns the style vector."""
        x = nn.relu6(nn.Conv(32, (3, 3), 2, name="first")(image))
        for i, (channels, stride) in enumerate(_BLOCKS):
            x = _Bottleneck(channels, stride, 1 if i == 0 else _EXPANSION, name=f"block{i}")(x)
        x = nn.relu6(nn.Conv(1280, (1, 1), name="last")(x))
        return nn.Conv(VECTOR, (1, 1), name="vector")(x).mean((0, 1, 2))


class _Bottleneck(nn.Module):
    channels: int
    stride: int
    expansion: int

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        wide = x.shape[-1] * self.expansion
        y = x if self.expansion == 1 else nn.relu6(nn.Conv(wide, (1, 1), name="expand")(x))
        y = nn.relu6(_Depthwise(self.stride, name="depthwise")(y))
        y = nn.Conv(self.channels, (1, 1), name="project")(y)
        return x + y if x.shape == y.shape else y


class _Depthwise(nn.Module):
    """A 3×3 convolution of each channel by itself, for even sides if the stride is 2."""

    stride: int

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        channels, (h, w) = x.shape[-1], x.shape[1:3]
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (3, 3, 1, channels))
        bias = self.param("bias", nn.initializers.zeros, (channels,))
        pad = (2 - self.stride, 1)
        x = jnp.pad(x, ((0, 0), pad, pad, (0, 0)))
        # On a CPU the network takes a tenth of the time that XLA's grouped convolutions take.
        places = ((i, j) for i in range(3) for j in range(3))
        shifted = (
            kernel[i, j, 0] * x[:, i : i + h : self.stride, j : j + w : self.stride]
            for i, j in places
        )
        return sum(shifted, bias)


class Transformer(nn.Module):
    """From a photograph, ``f32[1, h, w, 3]``, and a style vector to the picture, of any size."""

    @nn.compact
    def __call__(self, image: Maps, vector: Float[Array, "100"]) -> Maps:
        """Returns the picture."""
        x = image
        for i, (channels, side, stride) in enumerate(((8, 9, 1), (16, 3, 2), (32, 3, 2))):
            x = nn.relu(_conv(x, channels, side, stride, name=f"contract{i + 1}", use_bias=True))
        for i in range(5):
            x = x + _Pair(name=f"residual{i + 1}")(x, vector)
        for i, channels in enumerate((16, 8)):
            x = x.repeat(2, 1).repeat(2, 2)
            x = nn.relu(_Styled(channels, 3, name=f"expand{i + 1}")(x, vector))
        x = nn.sigmoid(_Styled(3, 9, name="expand3")(x, vector))
        # Halving rounds up, so an odd side comes back longer.
        return x[:, : image.shape[1], : image.shape[2]]


class _Pair(nn.Module):
    @nn.compact
    def __call__(self, x: Maps, vector: Float[Array, "100"]) -> Maps:
        x = nn.relu(_Styled(32, 3, name="conv1")(x, vector))
        return _Styled(32, 3, name="conv2")(x, vector)


class _Styled(nn.Module):
    """A convolution, normalised to the mean and standard deviation that the style asks for."""

    channels: int
    side: int

    @nn.compact
    def __call__(self, x: Maps, vector: Float[Array, "100"]) -> Maps:
        x = _conv(x, self.channels, self.side, name="conv")
        mean = x.mean((1, 2), keepdims=True)
        variance = jnp.square(x - mean).mean((1, 2), keepdims=True)
        scale = nn.Dense(self.channels, name="scale")(vector)
        shift = nn.Dense(self.channels, name="shift")(vector)
        return (x - mean) * (jax.lax.rsqrt(variance + _EPSILON) * scale) + shift


def _conv(x: Maps, channels: int, side: int, stride: int = 1, **options: Any) -> Maps:
    pad = side // 2
    x = jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)), "reflect")
    options = {"use_bias": False, **options}
    return nn.Conv(channels, (side, side), stride, "VALID", **options)(x)
