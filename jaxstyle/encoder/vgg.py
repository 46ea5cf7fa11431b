"""VGG16, VGG19 and narrower networks of the same form, without parameters.

Layers carry the papers' names, ``conv1_1`` to ``conv5_4``, and mean the activation after the ReLU.
Layout is HWC, kernels are HWIO.
"""

import dataclasses
import re
from functools import partial
from itertools import groupby
from typing import Literal, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxstyle.arrays import Feature, Features
from jaxstyle.errors import check_choice
from jaxstyle.ops.convolution import Kernels, Pad, Precision, adjoint_kernel, conv_relu
from jaxstyle.ops.derivatives import Derivatives
from jaxstyle.ops.pooling import Pooling, pool

Padding = Literal["zeros", "replicate", "replicate-first", "circular"]

LAYER = re.compile(r"conv([1-9])_([1-9]\d?)")
"""Names of convolution layers: block and number."""


class Conv(nn.Module):
    """A 3×3 convolution with bias and ReLU.

    The output has the size of the input, without the first and last row if the input includes the
    rows around it.
    """

    width: int
    padding: Padding
    precision: Precision
    rows_around: bool = False

    @nn.compact
    def __call__(self, x: Feature) -> Feature:
        """Returns the activations after the ReLU."""
        shape = (3, 3, x.shape[-1], self.width)
        kernel = self.param("kernel", nn.initializers.normal(0.1), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.width,))
        kernel, bias = kernel.astype(x.dtype), bias.astype(x.dtype)
        kernels = self.get_variable("prepared", "kernels")
        # An image in double precision may be used with parameters in single precision.
        kernels = jax.tree.map(lambda k: k.astype(x.dtype), kernels)
        if kernels is None and not self.rows_around:
            # Not computed from the input, which would make a kernel for each lane of a vmap.
            kernels = Kernels(adjoint_kernel(kernel))
        pad = (0 if self.rows_around else 1, 1)
        if self.padding == "zeros":
            return conv_relu(x, kernel, bias, kernels, pad, self.precision)
        x = pad_by(self.padding, x, pad)
        return conv_relu(x, kernel, bias, kernels, (0, 0), self.precision)


def pad_by(padding: Padding, x: Feature, pad: Pad) -> Feature:
    """Adds rows above and below a feature map and columns on either side."""
    check_choice("padding", padding, get_args(Padding))
    if padding == "zeros":
        return jnp.pad(x, (*((n, n) for n in pad), (0, 0)))
    # One axis after the other: the gradient of jnp.pad's modes writes an image of zeros for every
    # edge, even for an edge without width.
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


@dataclasses.dataclass(frozen=True)
class Border:
    """How a network treats the rows around feature maps, and halves them: here as a whole image.

    Other ways of evaluating the network are subclasses.

    Attributes:
        recompute: Whether blocks are computed again for the gradient instead of kept.
    """

    recompute: bool = False

    def surround(self, x: Feature, layer: str, padding: Padding) -> tuple[Feature, bool]:
        """Returns a convolution's input, and whether it includes the rows around it."""
        return x, False

    def pool(self, x: Feature, pooling: Pooling) -> Feature:
        """Returns a feature map of half the size, for the next block."""
        return pool(x, pooling)


WHOLE = Border()


class VGG(nn.Module):
    """The convolutional part of a VGG network (Simonyan & Zisserman 2015, arXiv:1409.1556).

    Attributes:
        depths: Convolutions per block; VGG19 has (2, 2, 4, 4, 4), VGG16 has (2, 2, 3, 3, 3).
        widths: Channels per block.
        pooling: How a feature map is halved between two blocks.
        padding: What surrounds the input of every convolution; ``replicate-first`` pads the first
            with the border and the others with zeros, ``circular`` joins opposite borders.
        precision: Precision of products on an accelerator: float32 (``highest``), TensorFloat-32 or
            bfloat16; with the last, activations are bfloat16, too.
        derivatives: ``reverse`` uses adjoints written by hand, which are faster and exact in
            reverse mode; ``any`` uses plain convolutions and products, so that forward mode works.
    """

    depths: tuple[int, ...]
    widths: tuple[int, ...] = (64, 128, 256, 512, 512)
    pooling: Pooling = "max"
    padding: Padding = "zeros"
    precision: Precision = "tf32"
    derivatives: Derivatives = "reverse"

    @property
    def dtype(self) -> jnp.dtype:
        """Type of the activations."""
        return jnp.dtype(jnp.bfloat16 if self.precision == "bf16" else jnp.float32)

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of all convolution layers, from shallow to deep."""
        return tuple(
            f"conv{block}_{i}"
            for block, depth in enumerate(self.depths, 1)
            for i in range(1, depth + 1)
        )

    def shape_at(self, layer: str, shape: tuple[int, int]) -> tuple[int, int]:
        """Returns height and width of a layer's features for an image of height and width.

        Examples:
            >>> VGG19.shape_at("conv3_1", (50, 64))
            (12, 16)
        """
        halvings = block_of(layer) - 1
        return shape[0] >> halvings, shape[1] >> halvings

    def field_at(self, layer: str) -> tuple[int, int]:
        """Returns stride and reach of a layer's receptive field, in pixels.

        Each convolution extends the reach by one position of its block.

        Examples:
            >>> VGG19.field_at("conv2_1")
            (2, 4)
        """
        behind = self.layers[: self.layers.index(layer) + 1]
        return 2 ** (block_of(layer) - 1), sum(2 ** (block_of(name) - 1) for name in behind)

    def padding_of(self, layer: str) -> Padding:
        """Returns the padding of one layer, which is never ``replicate-first``."""
        if self.padding == "replicate-first":
            return "replicate" if layer == "conv1_1" else "zeros"
        return self.padding

    def blocks(self, deepest: str) -> list[tuple[str, ...]]:
        """Returns the layers of each block, as far as a layer.

        Examples:
            >>> VGG16.blocks("conv2_1")
            [('conv1_1', 'conv1_2'), ('conv2_1',)]
        """
        names = self.layers[: self.layers.index(deepest) + 1]
        return [tuple(block) for _, block in groupby(names, block_of)]

    @nn.compact
    def __call__(
        self,
        x: Feature,
        layers: tuple[str, ...],
        border: Border = WHOLE,
        block: tuple[str, ...] | None = None,
    ) -> Features:
        """Returns the activations of the named layers; computes nothing beyond the deepest.

        Args:
            x: The network's input, or the output of the block before, ``f32[h, w, c]``.
            layers: Layer names.
            border: How the rows around feature maps are treated.
            block: The layers of the only block to run, from :meth:`blocks`; all blocks if None.
        """
        features = {}
        deepest = max(layers, key=self.layers.index, default=self.layers[0])
        for names in self.blocks(deepest) if block is None else [block]:
            if block_of(names[0]) > 1:
                x = border.pool(x, self.pooling)
            for name in names:
                padding, width = self.padding_of(name), self.widths[block_of(name) - 1]
                x, rows_around = border.surround(x, name, padding)
                x = Conv(width, padding, self.precision, rows_around, name=name)(x)
                if name in layers:
                    features[name] = x
        return features


VGG16 = VGG(depths=(2, 2, 3, 3, 3))
VGG19 = VGG(depths=(2, 2, 4, 4, 4))


def block_of(layer: str) -> int:
    """Returns the number of a layer's block, 1 to 5; each block after the first halves the sides.

    Examples:
        >>> block_of("conv4_2")
        4
    """
    return int(layer[4])
