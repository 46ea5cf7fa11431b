"""Targets: what the statistics of an image should become, read off the pictures.

Content and style are apart, so that one painting serves a thousand photographs, and measured in
programs of their own, so that pictures and scales of one shape share them.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.arrays import Feature, Features, Image, Masks, Scalar, check_image, is_traced
from jaxstyle.compilation import jit
from jaxstyle.configuration import configured
from jaxstyle.encoder import Encoder, shape_at, unwrapped
from jaxstyle.errors import InputError
from jaxstyle.losses.measure import Stats, content_features, masks_at, statistics
from jaxstyle.losses.objective import Objective
from jaxstyle.losses.tiles import Scratch, features_in_tiles, needs_tiles

# Of a picture: a region that covers less is missing there.
_LEAST = 1e-6


class ContentTargets(NamedTuple):
    """What a content image asks for.

    Attributes:
        features: Per content layer, the features to keep, ``f32[h', w', c]``.
        energy: Per content layer, ``Σ‖p‖²``.
    """

    features: Features
    energy: dict[str, Scalar]


class StyleTargets(NamedTuple):
    """What style images ask for.

    Attributes:
        statistics: Per style layer, the statistic's target, with an axis of regions in front.
        energy: Per style layer and region, how far features that are all zero would be from it.
    """

    statistics: dict[str, Any]
    energy: dict[str, Float[Array, "_"]]


class Targets(NamedTuple):
    """What the statistics should become.

    Attributes:
        content: From :func:`content_targets`.
        style: From :func:`style_targets`.
        masks: Per style layer, where each region is in the image, ``f32[r, h', w']``, from
            ``masks_at``; empty if it is all one region.
    """

    content: ContentTargets
    style: StyleTargets
    masks: dict[str, Masks]


@configured
def make_targets(
    content: Image,
    style: Image | Sequence[Image],
    encoder: Encoder,
    objective: Objective,
    *,
    blend: Float[Array, "_"] | None = None,
    content_masks: Masks | None = None,
    style_masks: Sequence[Masks] | None = None,
    scratch: Scratch | None = None,
) -> Targets:
    """Returns the targets that a content image and one or several style images set.

    Styles are blended as statistics. With masks each region takes over the style of its own region
    (Gatys et al. 2017, arXiv:1611.07865); styles in which a region is missing have no say in it.
    Derivatives in reverse mode are exact, with respect to every array.

    Args:
        content: ``f32[h, w, 3]``, of the size of the image to be optimised.
        style: ``f32[h', w', 3]``, of any size, or several.
        encoder: Network and pretrained parameters.
        objective: Which layers and which statistic.
        blend: How much each style counts, ``f32[styles]``; all alike if None.
        content_masks: One per region, ``f32[r, h, w]`` in [0, 1].
        style_masks: For each style as many, ``f32[r, h', w']``.
        scratch: Makes the arrays of the content's features where the objective's memory is
            ``tiles``, such as files that are mapped into memory; in memory if None.

    Raises:
        InputError: A picture is none, numbers of styles, shares and masks disagree, a layer is none
            of the encoder's, or a picture is too small for it.
    """
    kept = content_targets(content, encoder, objective, scratch=scratch)
    check_masks("content", content, content_masks)
    return Targets(
        kept,
        style_targets(
            style,
            encoder,
            objective,
            shape=(content.shape[0], content.shape[1]),
            blend=blend,
            masks=style_masks,
        ),
        {} if content_masks is None else masks_at(content_masks, encoder, objective.style_layers),
    )


@configured
def content_targets(
    content: Image, encoder: Encoder, objective: Objective, *, scratch: Scratch | None = None
) -> ContentTargets:
    """Returns what a content image asks for: its own features.

    Args:
        content: ``f32[h, w, 3]``, of the size of the image to be optimised.
        encoder: Network and pretrained parameters.
        objective: Which layers.
        scratch: As for :func:`make_targets`.

    Raises:
        InputError: The picture is none, or too small for a layer, or the layer is unknown.
    """
    check_image("content", content)
    if is_traced(content, encoder, jnp.zeros(())) or not needs_tiles(content, encoder, objective):
        return _content_targets(content, encoder, objective)
    features = features_in_tiles(content, encoder, objective, scratch)
    return ContentTargets(features, {name: _energy(p) for name, p in features.items()})


@jit(static_argnames=("objective",))
def _content_targets(content: Image, encoder: Encoder, objective: Objective) -> ContentTargets:
    features = content_features(content, encoder, objective)
    return ContentTargets(features, {name: jnp.square(p).sum() for name, p in features.items()})


@jit()
def _energy(features: Feature) -> Scalar:
    return jnp.square(features).sum()


@configured
def style_targets(
    style: Image | Sequence[Image],
    encoder: Encoder,
    objective: Objective,
    *,
    shape: tuple[int, int],
    blend: Float[Array, "_"] | None = None,
    masks: Sequence[Masks] | None = None,
) -> StyleTargets:
    """Returns what one or several style images ask for.

    Args:
        style: ``f32[h', w', 3]``, of any size, or several.
        encoder: Network and pretrained parameters.
        objective: Which layers and which statistic.
        shape: Height and width of the image to be optimised, which only ``Sliced`` minds.
        blend: How much each style counts, ``f32[styles]``; all alike if None.
        masks: For each style one per region, ``f32[r, h', w']``.

    Raises:
        InputError: As for :func:`make_targets`.
    """
    styles = check_styles(style, blend, masks)
    # A painting is no tile, even where the image is to be one.
    for_styles = unwrapped(encoder)
    measured = [
        _measure_style(picture, for_styles, objective, mask)
        for picture, mask in zip(styles, masks or [None] * len(styles), strict=True)
    ]
    return style_targets_of(measured, encoder, objective, shape=shape, blend=blend)


def check_styles(
    style: Image | Sequence[Image],
    blend: Float[Array, "_"] | None,
    masks: Sequence[Masks] | None,
) -> list[Image]:
    """Returns the styles as a list.

    Raises:
        InputError: One is no image, or numbers of styles, shares and masks disagree.
    """
    styles = list(style) if isinstance(style, Sequence) else [style]
    if not styles:
        raise InputError("style: none; give at least one")
    for picture in styles:
        check_image("style", picture)
    if masks is not None and len(masks) != len(styles):
        raise InputError(f"masks: {len(masks)} for {len(styles)} styles; give as many")
    for picture, mask in zip(styles, masks or (), strict=masks is not None):
        check_masks("style", picture, mask)
    if blend is not None and jnp.shape(blend) != (len(styles),):
        given = list(jnp.shape(blend))
        raise InputError(f"blend: numbers{given} for {len(styles)} styles; give as many")
    return styles


def check_masks(what: str, picture: Image, masks: Masks | None) -> None:
    """Refuses masks that are not of a picture's size.

    Raises:
        InputError: They are not.
    """
    if masks is not None and masks.shape[1:] != picture.shape[:2]:
        raise InputError(f"{what}_masks: not of the {what}'s size; give f32[r, h, w]")


@configured
def style_targets_of(
    stats: Sequence[Stats],
    encoder: Encoder,
    objective: Objective,
    *,
    shape: tuple[int, int],
    blend: Float[Array, "_"] | None = None,
) -> StyleTargets:
    """Returns what styles ask for whose statistics are known, however they were measured.

    Args:
        stats: Of each style.
        encoder: Network and pretrained parameters.
        objective: Which layers and which statistic.
        shape: Height and width of the image to be optimised, which only ``Sliced`` minds.
        blend: How much each style counts, ``f32[styles]``; all alike if None.
    """
    kind = jnp.promote_types(jnp.float32, stats[0].pixels.dtype)
    sizes = tuple(_positions(encoder, name, shape) for name in objective.style_layers)
    shares = jnp.ones(len(stats), kind) if blend is None else jnp.asarray(blend, kind)
    return _combine(stats, shares, objective, sizes)


@jit(static_argnames=("objective",))
def _measure_style(
    picture: Image, encoder: Encoder, objective: Objective, masks: Masks | None
) -> Stats:
    guides = None if masks is None else masks_at(masks, encoder, objective.style_layers)
    return statistics(picture, encoder, objective, masks=guides)


def _positions(encoder: Encoder, layer: str, shape: tuple[int, int]) -> int:
    h, w = shape_at(encoder, layer, shape)
    return h * w


@jit(static_argnames=("objective", "sizes"))
def _combine(
    stats: Sequence[Stats],
    blend: Float[Array, "_"],
    objective: Objective,
    sizes: tuple[int, ...],
) -> StyleTargets:
    targets = {}
    for name, size in zip(objective.style_layers, sizes, strict=True):
        positions = jnp.stack([s.positions[name] for s in stats])
        present = blend[:, None] * (positions > _LEAST * positions.sum(1, keepdims=True))
        total = present.sum(0)
        present = present / jnp.where(total > 0, total, 1.0)
        targets[name] = jax.vmap(partial(objective.statistic.target, size=size))(
            [s.style[name] for s in stats], list(positions), blend=present.T
        )
    energy = jax.vmap(objective.statistic.energy)
    return StyleTargets(targets, {name: energy(target) for name, target in targets.items()})
