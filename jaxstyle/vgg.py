"""VGG16, VGG19 and their narrower kin, as pure functions of pretrained parameters.

A network is static (:class:`VGG`, hashable), its parameters are a pytree, and :class:`Encoder`
holds both together with the preprocessing that the parameters were trained with; so an encoder is
passed through ``jax.jit`` like any array, and other parameters of the same network never recompile.
Layers carry the papers' names, ``conv1_1`` to ``conv5_4``, and mean the activation after the ReLU.
Layout is HWC, kernels are HWIO.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from jaxstyle import convolution
from jaxstyle.arrays import Feature, Features, Image, Params
from jaxstyle.convolution import Kernels, adjoint_kernel, conv_relu
from jaxstyle.errors import InputError

Pooling = Literal["max", "average", "l2"]
Padding = Literal["zeros", "replicate", "replicate-first", "circular"]

IMAGE = "image"
"""The pseudo-layer whose features are the normalised pixels and a constant 1."""

# Under the root of a mean square: where all is zero, it would have no gradient.
_TINY = 1e-12

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """What an encoder does to an sRGB image in [0, 1] first: ``(scale·image − mean) / std``.

    Attributes:
        bgr: Whether the channels are then put in the order blue, green, red.
        scale: The brightest value of the range that the network was trained on.
        mean: Per channel, in the order red, green, blue, on that range.
        std: Likewise.
    """

    bgr: bool
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __call__(self, image: Image) -> Image:
        """Turns an sRGB image into the network's input."""
        x = self.normalise(image)
        return x[..., ::-1] if self.bgr else x

    def normalise(self, image: Image) -> Image:
        """Returns ``(scale·image − mean) / std``, channels in the image's order."""
        mean, std = (jnp.asarray(v, image.dtype) for v in (self.mean, self.std))
        return (image * self.scale - mean) / std

    def denormalise(self, x: Image) -> Image:
        """Returns the image that :meth:`normalise` turns into ``x``."""
        mean, std = (jnp.asarray(v, x.dtype) for v in (self.mean, self.std))
        return (x * std + mean) / self.scale


PREPROCESSINGS = {
    "caffe": Preprocessing(True, 255.0, (123.68, 116.779, 103.939), (1.0, 1.0, 1.0)),
    "torch": Preprocessing(False, 1.0, _IMAGENET_MEAN, _IMAGENET_STD),
}


class _Conv(nn.Module):
    """A 3×3 convolution with bias and ReLU that keeps the size of its input."""

    width: int
    padding: Padding

    @nn.compact
    def __call__(self, x: Feature) -> Feature:
        shape = (3, 3, x.shape[-1], self.width)
        kernel = self.param("kernel", nn.initializers.orthogonal(), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.width,))
        prepared = self.get_variable("prepared", "kernels")
        kernels = Kernels(adjoint_kernel(kernel)) if prepared is None else prepared
        if self.padding == "zeros":
            return conv_relu(x, kernel, bias, kernels, 1)
        mode = "wrap" if self.padding == "circular" else "edge"
        x = jnp.pad(x, ((1, 1), (1, 1), (0, 0)), mode=mode)
        return conv_relu(x, kernel, bias, kernels, 0)


def _corners(x: Feature) -> list[Feature]:
    h, w = x.shape[0] // 2 * 2, x.shape[1] // 2 * 2
    return [x[i:h:2, j:w:2] for i in (0, 1) for j in (0, 1)]


@jax.custom_vjp
def _max_pool(x: Feature) -> Feature:
    # Strided maxima: XLA's reduce-window has a slow gradient (select-and-scatter) on every backend.
    a, b, c, d = _corners(x)
    return jnp.maximum(jnp.maximum(a, b), jnp.maximum(c, d))


def _max_pool_forward(x: Any) -> Any:
    y = _max_pool(x)
    return y, (x, y)


def _max_pool_backward(residuals: Any, dy: Any) -> Any:
    # From the features themselves, which are kept anyway; autodiff would keep every comparison.
    x, y = residuals
    shared = dy / sum((corner == y).astype(y.dtype) for corner in _corners(x))
    y, shared = (jnp.repeat(jnp.repeat(z, 2, 0), 2, 1) for z in (y, shared))
    h, w = y.shape[:2]
    dx = jnp.where(x[:h, :w] == y, shared, 0.0)
    return (jnp.pad(dx, ((0, x.shape[0] - h), (0, x.shape[1] - w), (0, 0))),)


_max_pool.defvjp(_max_pool_forward, _max_pool_backward)


def pool(x: Feature, pooling: Pooling) -> Feature:
    """Halves a feature map in blocks of 2×2; an odd last row or column is dropped.

    Args:
        x: ``f32[h, w, c]``.
        pooling: ``max`` or ``average`` of each block, or ``l2``, its root mean square.

    Returns:
        ``f32[h // 2, w // 2, c]``.
    """
    if pooling == "max":
        return _max_pool(x)
    corners = _corners(x)
    if pooling == "average":
        return sum(corners[1:], corners[0]) * 0.25
    squares = [jnp.square(corner) for corner in corners]
    return jnp.sqrt(sum(squares[1:], squares[0]) * 0.25 + _TINY)


class VGG(nn.Module):
    """The convolutional part of a VGG network (Simonyan & Zisserman 2015, arXiv:1409.1556).

    Attributes:
        depths: Convolutions per block; VGG19 has (2, 2, 4, 4, 4), VGG16 has (2, 2, 3, 3, 3).
        widths: Channels per block.
        pooling: What stands between two blocks.
        padding: What surrounds every convolution's input; ``replicate-first`` is zeros around all
            but the first, ``circular`` makes the image a tile.
    """

    depths: tuple[int, ...]
    widths: tuple[int, ...] = (64, 128, 256, 512, 512)
    pooling: Pooling = "max"
    padding: Padding = "zeros"

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of all convolution layers, from shallow to deep."""
        return tuple(
            f"conv{block}_{i}"
            for block, depth in enumerate(self.depths, 1)
            for i in range(1, depth + 1)
        )

    @nn.compact
    def __call__(self, x: Feature, layers: tuple[str, ...]) -> Features:
        """Returns the activations of the named layers and computes nothing beyond the deepest."""
        wanted, features = set(layers), {}
        for name in self.layers:
            if wanted <= features.keys():
                break
            block = block_of(name)
            if block > 1 and name.endswith("_1"):
                x = pool(x, self.pooling)
            padding = self.padding
            if padding == "replicate-first":
                padding = "replicate" if name == "conv1_1" else "zeros"
            x = _Conv(self.widths[block - 1], padding, name=name)(x)
            if name in wanted:
                features[name] = x
        return features


VGG16 = VGG(depths=(2, 2, 3, 3, 3))
VGG19 = VGG(depths=(2, 2, 4, 4, 4))


def block_of(layer: str) -> int:
    """Returns the number of a layer's block, 1 to 5; each block after the first halves the sides.

    Examples:
        >>> block_of("conv4_2"), block_of("image")
        (4, 1)
    """
    return 1 if layer == IMAGE else int(layer[4])


@struct.dataclass
class Encoder:
    """A network, its pretrained parameters and the preprocessing that belongs to them.

    Attributes:
        params: ``{layer: {"kernel": f32[3, 3, i, o], "bias": f32[o]}}``.
        vgg: The network, static.
        preprocessing: A key of ``PREPROCESSINGS``, static.
        kernels: ``{layer: Kernels}`` once :func:`prepare` has run, else None; whoever replaces
            ``params`` prepares again.
    """

    params: Params
    vgg: VGG = struct.field(pytree_node=False)
    preprocessing: str = struct.field(pytree_node=False)
    kernels: dict[str, Kernels] | None = None

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers that this encoder can be asked for."""
        return (IMAGE, *(name for name in self.vgg.layers if name in self.params))


def prepare(encoder: Encoder) -> Encoder:
    """Returns the encoder with what its layers run on computed, once and not in every step."""
    platform = jax.default_backend()
    kernels = {
        name: convolution.prepare(p["kernel"], platform=platform)
        for name, p in encoder.params.items()
    }
    return dataclasses.replace(encoder, kernels=kernels)


def unwrap(encoder: Encoder) -> Encoder:
    """Returns the encoder for pictures that are no tiles: borders repeated, not joined."""
    if encoder.vgg.padding != "circular":
        return encoder
    return dataclasses.replace(encoder, vgg=encoder.vgg.clone(padding="replicate"))


def truncate(encoder: Encoder, layers: Iterable[str]) -> Encoder:
    """Returns the encoder cut after the deepest of ``layers``.

    Raises:
        InputError: A layer is none of the encoder's.
    """
    names = encoder.layers
    positions = [0]
    for layer in layers:
        if layer not in names:
            raise InputError(f"layer {layer!r}: unknown; this encoder has {', '.join(names)}")
        positions.append(names.index(layer))
    kept = names[1 : max(positions) + 1]
    return dataclasses.replace(encoder, params={name: encoder.params[name] for name in kept})


def encode(encoder: Encoder, image: Image, layers: tuple[str, ...]) -> Features:
    """Returns the features of an image: the activations after the ReLU of the named layers.

    Args:
        encoder: Network and pretrained parameters.
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        layers: Layer names such as ``conv4_2``, and ``image`` for the normalised pixels with a
            constant 1, whose Gram matrix carries the palette's mean and covariance.

    Returns:
        ``{layer: f32[h', w', c]}``; ``h' = h // 2**(block − 1)``.

    Raises:
        InputError: A layer is unknown, or the image is too small to reach it.

    Examples:
        >>> import jax.numpy as jnp
        >>> from jaxstyle.pretrained import load_encoder
        >>> features = encode(load_encoder("random"), jnp.zeros((32, 48, 3)), ("conv2_1",))
        >>> features["conv2_1"].shape
        (16, 24, 128)
    """
    encoder = truncate(encoder, layers)
    deepest = encoder.layers[-1]
    smallest = 2 ** (block_of(deepest) - 1)
    if min(image.shape[:2]) < smallest:
        size = f"{image.shape[1]}×{image.shape[0]}"
        raise InputError(f"image of {size} px: too small for {deepest}; at least {smallest} px")
    convolutions = tuple(name for name in layers if name != IMAGE)
    variables: dict[str, Any] = {"params": encoder.params}
    if encoder.kernels is not None:
        variables["prepared"] = {name: {"kernels": k} for name, k in encoder.kernels.items()}
    x = PREPROCESSINGS[encoder.preprocessing](image)
    features: Any = encoder.vgg.apply(variables, x, convolutions) if convolutions else {}
    if IMAGE in layers:
        # The same pixels whichever encoder runs, so that this layer's weight keeps its meaning.
        pixels = PREPROCESSINGS["torch"](image)
        features[IMAGE] = jnp.concatenate([pixels, jnp.ones_like(pixels[..., :1])], -1)
    return features
