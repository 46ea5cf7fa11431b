"""Targets: what the statistics of an image should become, read off the pictures.

In two compiled parts, so that pictures and scales of one shape share a program.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle import vgg
from jaxstyle.arrays import Features, Image, Masks, Scalar
from jaxstyle.compilation import jit
from jaxstyle.objective import Objective
from jaxstyle.stats import Stats, masks_at, style_sums, summarise
from jaxstyle.vgg import Encoder

# Of a picture: a region that covers less is missing there.
_LEAST = 1e-6


class Targets(NamedTuple):
    """What the statistics should become.

    Attributes:
        content: Per content layer, the features to keep, ``f32[h', w', c]``.
        content_energy: Per content layer, ``Σ‖p‖²``.
        style: Per style layer, the statistic's target, with an axis of regions in front.
        style_energy: Per style layer and region, the energy of the target: of :attr:`style`.
        masks: Per style layer, where each region is in the image, ``f32[r, h', w']``; empty if it
            is all one region.
    """

    content: Features
    content_energy: dict[str, Scalar]
    style: dict[str, Any]
    style_energy: dict[str, Float[Array, "_"]]
    masks: dict[str, Masks]


def make_targets(
    content: Image,
    style: Image | Sequence[Image],
    encoder: Encoder,
    objective: Objective,
    *,
    blend: Float[Array, "_"] | None = None,
    content_masks: Masks | None = None,
    style_masks: Sequence[Masks] | None = None,
) -> Targets:
    """Returns the targets that a content image and one or several style images set.

    Styles are blended as statistics. With masks each region takes over the style of its own region
    (Gatys et al. 2017, arXiv:1611.07865); styles in which a region is missing have no say in it.

    Args:
        content: ``f32[h, w, 3]``, of the size of the image to be optimised.
        style: ``f32[h', w', 3]``, of any size, or several.
        encoder: Network and pretrained parameters.
        objective: Which layers and which statistic.
        blend: How much each style counts, ``f32[styles]``; all alike if None.
        content_masks: One per region, ``f32[r, h, w]`` in [0, 1].
        style_masks: For each style as many, ``f32[r, h', w']``.

    Raises:
        InputError: A layer is none of the encoder's, or a picture is too small for it.
    """
    styles = list(style) if isinstance(style, Sequence) else [style]
    # A painting is no tile, even where the image is to be one.
    for_styles = vgg.unwrap(encoder)
    guides = list(style_masks or [None] * len(styles))
    return combine(
        observe(content, encoder, objective),
        [observe(s, for_styles, objective, m) for s, m in zip(styles, guides, strict=True)],
        objective,
        shape=(content.shape[0], content.shape[1]),
        blend=jnp.ones(len(styles)) if blend is None else jnp.asarray(blend, jnp.float32),
        content_masks=content_masks,
    )


@jit(static_argnames=("objective",))
def observe(
    picture: Image, encoder: Encoder, objective: Objective, masks: Masks | None = None
) -> tuple[Features, Stats]:
    """Returns the features of the content layers and the statistics of the style layers."""
    guides = {} if masks is None else masks_at(masks, objective.style_layers)
    features, sums = objective.encode(encoder, picture, guides)
    style = {name: features[name] for name in objective.style_layers if name not in sums}
    sums |= style_sums(style, guides, objective.statistic)
    kept = {name: features[name] for name in objective.content_layers}
    return kept, summarise(sums, {}, picture, content={}, masks=guides)


@jit(static_argnames=("objective", "shape"))
def combine(
    content: tuple[Features, Stats],
    styles: Sequence[tuple[Features, Stats]],
    objective: Objective,
    *,
    shape: tuple[int, int],
    blend: Float[Array, "_"],
    content_masks: Masks | None,
) -> Targets:
    """Returns the targets that observed pictures set; ``shape`` is the content image's."""
    kept, stats = content[0], [s for _, s in styles]
    targets = {}
    for name in objective.style_layers:
        h, w = (side >> (vgg.block_of(name) - 1) for side in shape)
        positions = jnp.stack([s.positions[name] for s in stats])
        present = blend[:, None] * (positions > _LEAST * positions.sum(1, keepdims=True))
        total = present.sum(0)
        present = present / jnp.where(total > 0, total, 1.0)
        targets[name] = jax.vmap(partial(objective.statistic.target, size=h * w))(
            [s.style[name] for s in stats], list(positions), blend=present.T
        )
    return Targets(
        content=kept,
        content_energy={name: jnp.square(p).sum() for name, p in kept.items()},
        style=targets,
        style_energy={name: jax.vmap(objective.statistic.energy)(t) for name, t in targets.items()},
        masks={} if content_masks is None else masks_at(content_masks, objective.style_layers),
    )
