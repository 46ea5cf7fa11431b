"""VGG16, VGG19 and their narrower kin, as pure functions of pretrained parameters.

A network is static (:class:`VGG`, hashable), its parameters are a pytree, and :class:`Encoder`
holds both together with the preprocessing that the parameters were trained with; so an encoder is
passed through ``jax.jit`` like any array, and other parameters of the same network never recompile.
Layers carry the papers' names, ``conv1_1`` to ``conv5_4``, and mean the activation after the ReLU.
Layout is HWC, kernels are HWIO.
"""

import dataclasses
import re
from collections.abc import Iterable
from functools import partial
from typing import Any, Literal, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from jaxstyle import convolution
from jaxstyle.arrays import Feature, Features, Image, Params
from jaxstyle.convolution import Kernels, Pad, Precision, adjoint_kernel, conv_relu
from jaxstyle.errors import InputError, check_choice
from jaxstyle.pooling import Pooling, pool
from jaxstyle.preprocessing import PREPROCESSINGS

Padding = Literal["zeros", "replicate", "replicate-first", "circular"]

LAYER = re.compile(r"conv([1-9])_([1-9]\d?)")
"""Names of convolution layers: block and number."""
IMAGE = "image"
"""The pseudo-layer whose features are the normalised pixels and a constant 1."""


class _Conv(nn.Module):
    """A 3×3 convolution with bias and ReLU.

    It keeps the size of its input, but for the first and the last row where the input brings the
    rows around it along.
    """

    width: int
    padding: Padding
    precision: Precision
    rows_around: bool = False

    @nn.compact
    def __call__(self, x: Feature) -> Feature:
        shape = (3, 3, x.shape[-1], self.width)
        kernel = self.param("kernel", nn.initializers.normal(0.1), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.width,))
        kernel, bias = kernel.astype(x.dtype), bias.astype(x.dtype)
        kernels = self.get_variable("prepared", "kernels")
        if kernels is None and not self.rows_around:
            # Nothing bound to the input, which would make a kernel for each lane of a vmap.
            kernels = Kernels(adjoint_kernel(kernel))
        pad = (0 if self.rows_around else 1, 1)
        if self.padding == "zeros":
            return conv_relu(x, kernel, bias, kernels, pad, self.precision)
        x = pad_by(self.padding, x, pad)
        return conv_relu(x, kernel, bias, kernels, (0, 0), self.precision)


def pad_by(padding: Padding, x: Feature, pad: Pad) -> Feature:
    """Puts rows and columns around a feature map: as many above as below, and left as right."""
    check_choice("padding", padding, get_args(Padding))
    if padding == "zeros":
        return jnp.pad(x, (*((n, n) for n in pad), (0, 0)))
    # One axis after the other, and none in vain: the gradient of jnp.pad's modes writes an image of
    # zeros for every edge, even for one without width.
    for axis, n in enumerate(pad):
        if n:
            x = _extend(padding, x, n, axis)
    return x


def _extend(padding: Padding, x: Feature, n: int, axis: int) -> Feature:
    cut = partial(jax.lax.slice_in_dim, x, axis=axis)
    if padding == "circular":
        parts = [cut(-n, None), x, cut(0, n)]
    else:
        parts = [cut(0, 1)] * n + [x] + [cut(-1, None)] * n
    return jnp.concatenate(parts, axis)


class VGG(nn.Module):
    """The convolutional part of a VGG network (Simonyan & Zisserman 2015, arXiv:1409.1556).

    Attributes:
        depths: Convolutions per block; VGG19 has (2, 2, 4, 4, 4), VGG16 has (2, 2, 3, 3, 3).
        widths: Channels per block.
        pooling: What stands between two blocks.
        padding: What surrounds every convolution's input; ``replicate-first`` is zeros around all
            but the first, ``circular`` makes the image a tile.
        precision: What convolutions on an accelerator multiply in: float32 (``highest``),
            TensorFloat-32 or bfloat16, the last keeping activations in it, too.
    """

    depths: tuple[int, ...]
    widths: tuple[int, ...] = (64, 128, 256, 512, 512)
    pooling: Pooling = "max"
    padding: Padding = "zeros"
    precision: Precision = "tf32"

    @property
    def dtype(self) -> jnp.dtype:
        """What activations are kept in."""
        return jnp.dtype(jnp.bfloat16 if self.precision == "bf16" else jnp.float32)

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of all convolution layers, from shallow to deep."""
        return tuple(
            f"conv{block}_{i}"
            for block, depth in enumerate(self.depths, 1)
            for i in range(1, depth + 1)
        )

    def padding_of(self, layer: str) -> Padding:
        """Returns what surrounds the input of one layer; never ``replicate-first``."""
        if self.padding == "replicate-first":
            return "replicate" if layer == "conv1_1" else "zeros"
        return self.padding

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
            padding = self.padding_of(name)
            x = _Conv(self.widths[block - 1], padding, self.precision, name=name)(x)
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
        kernels: What :func:`prepare_kernels` returns, or None; whoever replaces ``params`` prepares
            them again.
    """

    params: Params
    vgg: VGG = struct.field(pytree_node=False)
    preprocessing: str = struct.field(pytree_node=False)
    kernels: dict[str, Kernels] | None = None

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers that this encoder can be asked for."""
        return (IMAGE, *(name for name in self.vgg.layers if name in self.params))


def prepare_kernels(encoder: Encoder) -> dict[str, Kernels]:
    """Returns what the layers run on, computed once and not in every step."""
    dtype, platform = encoder.vgg.dtype, jax.default_backend()
    return {
        name: convolution.prepare(p["kernel"].astype(dtype), platform=platform)
        for name, p in encoder.params.items()
    }


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
    names, layers = encoder.layers, list(layers)
    for layer in layers:
        check_choice("layer", layer, names)
    kept = names[1 : max(map(names.index, layers), default=0) + 1]
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
        >>> features = encode(load_encoder(), jnp.zeros((32, 48, 3)), ("conv2_1",))
        >>> features["conv2_1"].shape
        (16, 24, 128)
    """
    encoder = fit(encoder, image, layers)
    convolutions = tuple(name for name in layers if name != IMAGE)
    features: Any = {}
    if convolutions:
        x = network_input(encoder, image)
        features = encoder.vgg.apply(_variables(encoder), x, convolutions)
        features = {name: widen(x) for name, x in features.items()}
    if IMAGE in layers:
        features[IMAGE] = pixels(image)
    return features


def convolve(encoder: Encoder, layer: str, x: Feature) -> Feature:
    """Returns one layer's activations, of an input that brings the rows around it along.

    Args:
        encoder: Network and pretrained parameters.
        layer: A convolution's name.
        x: ``f32[h + 2, w, i]``; columns are padded here.

    Returns:
        ``f32[h, w, o]``.
    """
    width = encoder.params[layer]["bias"].shape[0]
    network = encoder.vgg
    conv = _Conv(width, network.padding_of(layer), network.precision, rows_around=True)
    variables = {kind: tree[layer] for kind, tree in _variables(encoder).items()}
    y: Any = conv.apply(variables, x)
    return y


def network_input(encoder: Encoder, image: Image) -> Feature:
    """Returns what the first layer sees of an image."""
    x = PREPROCESSINGS[encoder.preprocessing](image)
    return x.astype(encoder.vgg.dtype) if encoder.vgg.precision == "bf16" else x


def widen(x: Feature) -> Feature:
    """Returns features in float32 at least: sums over positions need it."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def pixels(image: Image) -> Feature:
    """Returns the features of the pseudo-layer ``image``."""
    # The same pixels whichever encoder runs, so that this layer's weight keeps its meaning.
    normalised = PREPROCESSINGS["torch"](image)
    return jnp.concatenate([normalised, jnp.ones_like(normalised[..., :1])], -1)


def fit(encoder: Encoder, image: Image, layers: Iterable[str]) -> Encoder:
    """Returns the encoder cut after the deepest of ``layers``.

    Raises:
        InputError: A layer is none of the encoder's, or the image is too small for it.
    """
    encoder = truncate(encoder, layers)
    (height, width), deepest = image.shape[:2], encoder.layers[-1]
    smallest = 2 ** (block_of(deepest) - 1)
    if min(height, width) < smallest:
        size = f"{width}×{height} px"
        raise InputError(f"image of {size}: too small for {deepest}; at least {smallest} px")
    return encoder


def _variables(encoder: Encoder) -> dict[str, Any]:
    variables: dict[str, Any] = {"params": encoder.params}
    if encoder.kernels is not None:
        variables["prepared"] = {name: {"kernels": k} for name, k in encoder.kernels.items()}
    return variables
