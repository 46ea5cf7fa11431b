"""From an image to its statistics: the one road that targets and the loss go by.

All that is measured are sums over positions, so that parts of an image, in strips, tiles or on
several devices, add up to the whole.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.arrays import Features, Image, Masks, Scalar, check_image, widen
from jaxstyle.configuration import configured
from jaxstyle.encoder import Encoder, encode, shape_at, wraps
from jaxstyle.losses.objective import LossWeights, Objective
from jaxstyle.losses.statistics import region_sums
from jaxstyle.losses.strips import encode_in_strips
from jaxstyle.losses.tiles import measure_in_tiles, needs_tiles
from jaxstyle.ops.gradients import with_gradient_norm
from jaxstyle.ops.pooling import pool
from jaxstyle.ops.resize import resize_masks
from jaxstyle.ops.variation import total_variation


class Stats(NamedTuple):
    """Sums over the positions of an image.

    Attributes:
        pixels: How many positions the image has.
        positions: Per style layer, how many positions each region has been summed over, ``f32[r]``;
            an image without masks is one region.
        style: Per style layer, what the statistic sums, with an axis of regions in front.
        distance: Per content layer, ``Σ ‖f − p‖²`` to the content features ``p``.
        variation: Total variation of the objective's kind.
    """

    pixels: Scalar
    positions: dict[str, Float[Array, "_"]]
    style: dict[str, Any]
    distance: dict[str, Scalar]
    variation: Scalar


@configured
def statistics(
    image: Image,
    encoder: Encoder,
    objective: Objective,
    *,
    content: Mapping[str, Array] | None = None,
    masks: Mapping[str, Masks] | None = None,
    loss_weights: LossWeights | None = None,
) -> Stats:
    """Returns the statistics of an image: everything that the loss knows of it.

    Derivatives in reverse mode are exact, with respect to every array.

    Args:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        encoder: Network and pretrained parameters.
        objective: Which style layers, which statistic and variation, and how it is computed.
        content: Content features to measure the distance to, of an image of the same size; none if
            None.
        masks: Per style layer, one mask per region, from :func:`masks_at`; one region if None.
        loss_weights: What the layers' gradients are scaled to where the objective normalises them.

    Raises:
        InputError: The image is none, a layer is unknown, or the image is too small for it.

    Examples:
        >>> import jax.numpy as jnp, jaxstyle as js
        >>> objective = js.Objective(style_layers=("image",))
        >>> stats = statistics(jnp.zeros((4, 6, 3)), js.load_encoder("random"), objective)
        >>> float(stats.pixels), stats.style["image"].shape
        (24.0, (1, 4, 4))
    """
    content, masks = content or {}, masks or {}
    check_image("image", image)
    image = widen(image)
    if needs_tiles(image, encoder, objective):
        distance, style = measure_in_tiles(image, encoder, objective, content, masks)
    else:
        kept, style = _measure(image, encoder, objective, tuple(content), masks, loss_weights)
        distance = {name: jnp.square(kept[name] - p).sum() for name, p in content.items()}
    return gathered(image, encoder, objective, masks, style, distance)


def gathered(
    image: Image,
    encoder: Encoder,
    objective: Objective,
    masks: Mapping[str, Masks],
    style: dict[str, Any],
    distance: dict[str, Scalar],
) -> Stats:
    """Returns the statistics of an image whose features have been summed, in whatever way.

    Args:
        image: ``f32[h, w, 3]``, the whole.
        encoder: Network and pretrained parameters.
        objective: Which style layers, and which variation.
        masks: Per style layer, one mask per region.
        style: Per style layer, what has been summed.
        distance: Per content layer, the distance from its features.
    """
    shape, positions = (image.shape[0], image.shape[1]), {}
    for name in objective.style_layers:
        h, w = shape_at(encoder, name, shape)
        whole = jnp.full(1, h * w, image.dtype)
        positions[name] = masks[name].sum((1, 2)) if name in masks else whole
    return Stats(
        pixels=jnp.asarray(shape[0] * shape[1], image.dtype),
        positions=positions,
        style=style,
        distance=distance,
        variation=total_variation(image, objective.tv, wrap=wraps(encoder)),
    )


def content_features(image: Image, encoder: Encoder, objective: Objective) -> Features:
    """Returns the features of the content layers, computed as :func:`statistics` does.

    Args:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        encoder: Network and pretrained parameters.
        objective: Which layers, and how they are computed.
    """
    check_image("content", image)
    if objective.memory == "low":
        layers = objective.content_layers
        return encode_in_strips(widen(image), encoder, layers, {}, objective.statistic)[0]
    return encode(image, encoder, objective.content_layers)


def _measure(
    image: Image,
    encoder: Encoder,
    objective: Objective,
    content: tuple[str, ...],
    masks: Mapping[str, Masks],
    loss_weights: LossWeights | None,
) -> tuple[Features, dict[str, Any]]:
    """Returns the features of content layers, and what is summed of the style layers."""
    layers, statistic = objective.style_layers, objective.statistic
    features, sums = {}, {}
    kept: Any
    style: Any
    if objective.memory != "low":
        features = encode(image, encoder, (*content, *layers))
    elif objective.adds_up:
        summed = {name: masks.get(name) for name in layers}
        features, sums = encode_in_strips(image, encoder, content, summed, statistic)
    else:  # What is no sum is the whole layer's, and so is the norm of a gradient.
        features, _ = encode_in_strips(image, encoder, (*content, *layers), {}, statistic)
    kept = {name: features[name] for name in content}
    style = {name: features[name] for name in layers if name not in sums}
    if objective.normalise_gradients and loss_weights is not None:
        kept = {n: with_gradient_norm(f, loss_weights.of_content(n)) for n, f in kept.items()}
        style = {n: with_gradient_norm(f, loss_weights.of_style(n)) for n, f in style.items()}
    return kept, sums | {n: region_sums(f, masks.get(n), statistic) for n, f in style.items()}


@configured
def masks_at(masks: Masks, encoder: Encoder, layers: tuple[str, ...]) -> dict[str, Masks]:
    """Returns how much of each region every position of some layers sees.

    Halved by averages, which keep shares of regions exact, as a VGG halves its features; where a
    layer has another size, resized to it.

    Args:
        masks: One per region, ``f32[r, h, w]`` in [0, 1].
        encoder: Whose layers they are.
        layers: Layer names.

    Examples:
        >>> import jax.numpy as jnp, jaxstyle as js
        >>> encoder = js.load_encoder("random")
        >>> masks_at(jnp.ones((2, 16, 24)), encoder, ("image", "conv3_1"))["conv3_1"].shape
        (2, 4, 6)
    """
    shape = masks.shape[1], masks.shape[2]
    levels = {shape: jnp.moveaxis(masks, 0, -1)}
    while min(shape) > 1:
        shape, above = (shape[0] // 2, shape[1] // 2), levels[shape]
        levels[shape] = pool(above, "average")
    whole, found = (masks.shape[1], masks.shape[2]), {}
    for name in layers:
        wanted = shape_at(encoder, name, whole)
        found[name] = (
            jnp.moveaxis(levels[wanted], -1, 0) if wanted in levels else resize_masks(masks, wanted)
        )
    return found
