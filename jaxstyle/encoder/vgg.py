"""VGG16, VGG19 and narrower networks of the same form, without parameters.

Layers are named as in the papers, ``conv1_1`` to ``conv5_4``, and refer to activations after the
ReLU. The layout is HWC; kernels are HWIO.
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

    The output has the size of the input, without the first and last row if the input includes its
    surrounding rows.
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
            # Not computed from the input, which would create a kernel for each lane of a vmap.
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
    # One axis at a time, because the gradient of jnp.pad's modes writes an image of zeros for every
    # edge, even one of width 0.
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
    """The treatment of borders and pooling in a network; this class is for whole images.

    Other ways of evaluating the network are subclasses.

    Attributes:
        recompute: Whether activations are recomputed block by block for the gradient instead of
            being stored.
    """

    recompute: bool = False

    def surround(self, x: Feature, layer: str, padding: Padding) -> tuple[Feature, bool]:
        """Returns the input of a convolution, and whether it includes its surrounding rows."""
        return x, False

    def pool(self, x: Feature, pooling: Pooling) -> Feature:
        """Returns a feature map of half the size, for the next block."""
        return pool(x, pooling)


WHOLE = Border()


class VGG(nn.Module):
    """The convolutional part of a VGG network (Simonyan & Zisserman 2015, arXiv:1409.1556).

    Attributes:
        depths: Number of convolutions per block; (2, 2, 4, 4, 4) for VGG19, (2, 2, 3, 3, 3) for
            VGG16.
        widths: Number of channels per block.
        pooling: Pooling between two blocks.
        padding: Padding of every convolution. ``replicate-first`` replicates the border for the
            first convolution and pads the others with zeros; ``circular`` joins opposite borders.
        precision: Precision of products on an accelerator: float32 (``highest``), TensorFloat-32 or
            bfloat16; with the last, activations are bfloat16 as well.
        derivatives: ``reverse`` uses handwritten adjoints, which are faster and exact in reverse
            mode; ``any`` uses plain convolutions and products, so that forward mode works.
    """

    depths: tuple[int, ...]
    widths: tuple[int, ...] = (64, 128, 256, 512, 512)
    pooling: Pooling = "max"
    padding: Padding = "zeros"
    precision: Precision = "tf32"
    derivatives: Derivatives = "reverse"

    @property
    def dtype(self) -> jnp.dtype:
        """Data type of the activations."""
        return jnp.dtype(jnp.bfloat16 if self.precision == "bf16" else jnp.float32)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of all convolution layers, from shallow to deep."""
        return tuple(
            f"conv{block}_{i}"
            for block, depth in enumerate(self.depths, 1)
            for i in range(1, depth + 1)
        )

    def shape_at(self, layer: str, shape: tuple[int, int]) -> tuple[int, int]:
        """Returns the height and width of a layer's features for an image of a shape.

        Examples:
            >>> VGG19.shape_at("conv3_1", (50, 64))
            (12, 16)
        """
        halvings = block_of(layer) - 1
        return shape[0] >> halvings, shape[1] >> halvings

    def field_at(self, layer: str) -> tuple[int, int]:
        """Returns the stride and reach of a layer's receptive field, in pixels.

        Each convolution extends the reach by one position of its block.

        Examples:
            >>> VGG19.field_at("conv2_1")
            (2, 4)
        """
        behind = self.layers[: self.layers.index(layer) + 1]
        return 2 ** (block_of(layer) - 1), sum(2 ** (block_of(name) - 1) for name in behind)

    def padding_of(self, layer: str) -> Padding:
        """Returns the padding of a layer, which is never ``replicate-first``."""
        if self.padding == "replicate-first":
            return "replicate" if layer == "conv1_1" else "zeros"
        return self.padding

    def blocks(self, deepest: str) -> list[tuple[str, ...]]:
        """Returns the layers of each block, up to a layer.

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
        """Returns the activations of layers; computes no deeper layers.

        Args:
            x: Input of the network, or the output of the previous block, ``f32[h, w, c]``.
            layers: Layer names.
            border: Treatment of the borders of feature maps.
            block: The layers of a single block to run, from :meth:`blocks`; None for all blocks.
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
    """Returns the number of a layer's block, 1 to 5.

    Each block after the first halves the sides.

    Examples:
        >>> block_of("conv4_2")
        4
    """
    return int(layer[4])
