"""From an image to its statistics."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle import vgg
from jaxstyle.arrays import Features, Image, Masks, Scalar
from jaxstyle.pooling import pool
from jaxstyle.stats.base import Statistic
from jaxstyle.stats.gram import Gram


class Stats(NamedTuple):
    """Sums over the positions of an image.

    Attributes:
        pixels: How many positions the image has.
        positions: Per style layer, how many positions each region has been summed over, ``f32[r]``;
            an image without masks is one region.
        style: Per style layer, what the statistic sums, with an axis of regions in front.
        distance: Per content layer, ``Σ ‖f − p‖²`` to the content features ``p``.
    """

    pixels: Scalar
    positions: dict[str, Float[Array, "_"]]
    style: dict[str, Any]
    distance: dict[str, Scalar]


def masks_at(masks: Masks, layers: tuple[str, ...]) -> dict[str, Masks]:
    """Returns how much of each region every position of some layers sees.

    Pooled as the features are, by averages, which keeps shares of regions exact.

    Args:
        masks: One per region, ``f32[r, h, w]`` in [0, 1].
        layers: Layer names.

    Examples:
        >>> import jax.numpy as jnp
        >>> masks_at(jnp.ones((2, 16, 24)), ("image", "conv3_1"))["conv3_1"].shape
        (2, 4, 6)
    """
    levels = [jnp.moveaxis(masks, 0, -1)]
    for _ in range(1, max(map(vgg.block_of, layers), default=1)):
        levels.append(pool(levels[-1], "average"))
    return {name: jnp.moveaxis(levels[vgg.block_of(name) - 1], -1, 0) for name in layers}


def style_sums(
    features: Features, masks: Mapping[str, Masks], statistic: Statistic
) -> dict[str, Any]:
    """Returns what a statistic sums of the style layers, with an axis of regions in front.

    Args:
        features: Of the style layers.
        masks: Per style layer, one mask per region, ``f32[r, h', w']``; empty for one region.
        statistic: What is summed.
    """
    return {
        name: jax.vmap(statistic.sums, (None, 0))(feature, masks[name])
        if name in masks
        else jax.tree.map(lambda x: x[None], statistic.sums(feature, None))
        for name, feature in features.items()
    }


def summarise(
    style: Mapping[str, Any],
    kept: Features,
    image: Image,
    *,
    content: Features,
    masks: Mapping[str, Masks],
) -> Stats:
    """Returns the statistics of an image whose sums and features are at hand.

    Args:
        style: Per style layer, from :func:`style_sums`.
        kept: Features of the content layers.
        image: That they are of, ``f32[h, w, 3]``.
        content: Content features to measure the distance to.
        masks: As for the sums.
    """
    positions = {}
    for name in style:
        h, w = (side >> (vgg.block_of(name) - 1) for side in image.shape[:2])
        whole = jnp.full(1, h * w, jnp.float32)
        positions[name] = masks[name].sum((1, 2)) if name in masks else whole
    distance = {name: jnp.square(kept[name] - p).sum() for name, p in content.items()}
    pixels = jnp.float32(image.shape[0] * image.shape[1])
    return Stats(pixels, positions, dict(style), distance)


def statistics(
    image: Image,
    encoder: vgg.Encoder,
    style_layers: tuple[str, ...],
    content: Features,
    *,
    masks: Mapping[str, Masks] | None = None,
    statistic: Statistic | None = None,
) -> Stats:
    """Returns the statistics of an image.

    Args:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        encoder: Network and pretrained parameters.
        style_layers: Layers that carry style.
        content: Content features to measure the distance to, of an image of the same size; empty
            for none.
        masks: Per style layer, one mask per region, from :func:`masks_at`; one region if None.
        statistic: What the style layers sum; ``Gram()`` if None.

    Raises:
        InputError: A layer is none of the encoder's, or the image is too small for it.
    """
    features = vgg.encode(encoder, image, tuple(dict.fromkeys((*content, *style_layers))))
    style = {name: features[name] for name in style_layers}
    guides = masks or {}
    sums = style_sums(style, guides, statistic or Gram())
    return summarise(sums, features, image, content=content, masks=guides)
