"""Sums over positions strip by strip: memory for the activations of one strip, not of the image.

The blocks of the network run one after the other, each over horizontal strips of its input that
overlap by as many rows as the block has layers. Going back, every strip is computed once more; so
what is kept is the inputs of the blocks. The result is exact.
"""

from collections.abc import Mapping
from itertools import groupby
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxstyle.arrays import Feature, Features, Image, Masks, widen
from jaxstyle.encoder.base import IMAGE, Encoder, check_layers, check_size, pixels
from jaxstyle.encoder.vgg import Padding, block_of, pad_by
from jaxstyle.encoder.vgg_encoder import VGGEncoder, convolve, network_input
from jaxstyle.errors import InputError
from jaxstyle.losses.statistics import Statistic, region_sums
from jaxstyle.ops.pooling import pool

# Of the widest feature map of a strip: enough rows for convolutions to run at their full rate.
_BYTES = 2**24


class _Wanted(NamedTuple):
    """What a pass over the strips hands out.

    Attributes:
        whole: Layers to return the features of.
        summed: Layers to return the sums of, and their masks; None for one region.
        statistic: What is summed.
    """

    whole: tuple[str, ...]
    summed: Mapping[str, Masks | None]
    statistic: Statistic


def encode_in_strips(
    image: Image,
    encoder: Encoder,
    whole: tuple[str, ...],
    summed: Mapping[str, Masks | None],
    statistic: Statistic,
) -> tuple[Features, dict[str, Any]]:
    """Returns the features of some layers, and what a statistic sums of others.

    Args:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        encoder: A VGG with pretrained parameters.
        whole: Layers to return the features of.
        summed: Layers to return the sums of, and of each one mask per region, ``f32[r, h', w']``;
            None for one region.
        statistic: What is summed; one whose sums add up.

    Raises:
        InputError: The encoder is no VGG, a layer is none of its own, or the image is too small.
    """
    if not isinstance(encoder, VGGEncoder):
        kind = type(encoder).__name__
        raise InputError(f"memory low: computes VGGs in strips, no {kind}; choose memory high")
    layers = check_layers(encoder, (*whole, *summed))
    check_size((image.shape[0], image.shape[1]), encoder, layers)
    of_pixels = {IMAGE: pixels(image)}
    features = {name: of_pixels[name] for name in of_pixels if name in whole}
    sums = {
        name: region_sums(of_pixels[name], summed[name], statistic)
        for name in of_pixels
        if name in summed
    }
    encoder = encoder.truncate(tuple(name for name in layers if name != IMAGE))
    x = network_input(encoder, image)
    wanted = _Wanted(whole, summed, statistic)
    blocks = [tuple(names) for _, names in groupby(encoder.layers, block_of)]
    for names in blocks:
        x, kept, added = _run_block(encoder, names, x, wanted, last=names is blocks[-1])
        features |= kept
        sums |= added
    return features, sums


def _run_block(
    encoder: VGGEncoder, names: tuple[str, ...], x: Feature, wanted: _Wanted, *, last: bool
) -> tuple[Feature, Features, dict[str, Any]]:
    """Returns the next block's input, features and sums of one block."""
    height, width = x.shape[:2]
    reach, channels = len(names), encoder.params[names[-1]]["bias"].size
    count = -(-height * width * channels * x.dtype.itemsize // _BYTES)
    # Even, for pooling's sake, and not fewer than neighbours share.
    rows = max(2 * -(-height // (2 * count)), 2 * reach)
    count = -(-height // rows)
    masks = {
        name: _cut_masks(wanted.summed[name], height, width, count, rows)
        for name in names
        if wanted.summed.get(name) is not None or (name in wanted.summed and count * rows > height)
    }

    def run(strip: tuple[jax.Array, Feature, dict[str, Masks]]) -> Any:
        start, y, masks = strip
        features, sums = {}, {}
        for depth, name in enumerate(names, 1):
            y = convolve(encoder, name, y)
            inner = widen(y[reach - depth :][:rows])
            if name in wanted.whole:
                features[name] = inner
            if name in wanted.summed:
                sums[name] = region_sums(inner, masks.get(name), wanted.statistic)
            if depth < reach:
                y = _surround(
                    encoder.network.padding_of(names[depth]), y, start - (reach - depth), height
                )
        return y if last else pool(y, encoder.network.pooling), features, sums

    starts = rows * jnp.arange(count)
    strips = (starts, _cut(x, encoder.network.padding_of(names[0]), count, rows, reach), masks)
    y, features, sums = jax.lax.map(jax.checkpoint(run), strips)
    features = {name: _join(f, height) for name, f in features.items()}
    sums = jax.tree.map(lambda parts: parts.sum(0), sums)
    return _join(y, height if last else height // 2), features, sums


def _cut(x: Feature, padding: Padding, count: int, rows: int, reach: int) -> jax.Array:
    """Returns strips with the rows around them, ``f32[count, reach + rows + reach, w, c]``."""
    x = pad_by(padding, x, (reach, 0))
    # Slices of the whole: indexing by a table of rows would have a slow gradient.
    x = jnp.pad(x, ((0, (count + 1) * rows - x.shape[0]), (0, 0), (0, 0)))
    strips, after = (part.reshape(count, rows, *x.shape[1:]) for part in (x[:-rows], x[rows:]))
    return jnp.concatenate([strips, after[:, : 2 * reach]], 1)


def _cut_masks(masks: Masks | None, height: int, width: int, count: int, rows: int) -> jax.Array:
    """Returns masks in strips, ``f32[count, r, rows, w]``; what hangs over does not count."""
    masks = jnp.ones((1, height, width), jnp.float32) if masks is None else masks
    masks = jnp.pad(masks, ((0, 0), (0, count * rows - height), (0, 0)))
    return masks.reshape(-1, count, rows, width).swapaxes(0, 1)


def _surround(padding: Padding, y: Feature, start: jax.Array, height: int) -> Feature:
    """Makes of rows outside the image what the next layer's padding wants there.

    Args:
        padding: Of the next layer.
        y: Rows of a feature map.
        start: Index of the first row in the whole.
        height: Of the whole.
    """
    if padding == "circular":
        return y
    index = start + jnp.arange(y.shape[0])
    inside = jnp.clip(index, 0, height - 1)
    if padding == "replicate":
        return y[inside - start]
    return jnp.where((index == inside)[:, None, None], y, 0.0)


def _join(strips: jax.Array, height: int) -> Feature:
    return strips.reshape(-1, *strips.shape[2:])[:height]
