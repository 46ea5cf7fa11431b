"""What the settings of a sweep paint from: what all share, and what differs between them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxstyle.arrays import Image, Masks, check_image
from jaxstyle.encoder import Encoder
from jaxstyle.errors import InputError
from jaxstyle.losses.measure import masks_at
from jaxstyle.losses.objective import LossWeights, Objective
from jaxstyle.losses.targets import StyleTargets, Targets, content_targets, style_targets
from jaxstyle.ops import resize
from jaxstyle.run.schedule import Scale
from jaxstyle.run.sources import check_masks, scale_styles
from jaxstyle.run.start import Init, initial_image


class SweepSources(NamedTuple):
    """What the settings paint from; an axis of settings in front of what differs between them."""

    content: Any
    style: Any
    blend: Any
    content_masks: Masks | None
    style_masks: list[Masks] | None


def make_sweep_sources(
    content: Any,
    style: Any,
    blend: Any,
    content_masks: Masks | None,
    style_masks: Sequence[Masks] | None,
) -> SweepSources:
    """Checks that all that settings paint from goes together."""
    listed = isinstance(style, Sequence)
    check_masks([1.0] * (len(style) if listed else 1), content_masks, style_masks)
    for name, given in (
        ("content", content),
        *(("style", s) for s in (style if listed else [style])),
    ):
        batched = jnp.ndim(given) == 4 and not (listed and name == "style")
        check_image(name, given[0] if batched else given, least=resize.MIN_SIDE)
    return SweepSources(
        jnp.asarray(content, jnp.float32),
        [jnp.asarray(s, jnp.float32) for s in style] if listed else jnp.asarray(style, jnp.float32),
        None if blend is None else jnp.asarray(blend, jnp.float32),
        content_masks,
        None if style_masks is None else list(style_masks),
    )


def count_settings(sources: SweepSources, weights: LossWeights, seeds: Sequence[int] | None) -> int:
    """Returns how many settings there are."""
    counts = {"loss_weights": {w.shape[0] for w in jax.tree.leaves(weights) if w.ndim}}
    counts["seeds"] = set() if seeds is None else {len(seeds)}
    counts["content"] = {len(sources.content)} if sources.content.ndim == 4 else set()
    batched = not isinstance(sources.style, list) and sources.style.ndim == 4
    counts["style"] = {len(sources.style)} if batched else set()
    shares = sources.blend
    counts["blend"] = {len(shares)} if shares is not None and shares.ndim == 2 else set()
    found = set().union(*counts.values())
    if len(found) > 1:
        told = ", ".join(f"{name} {sorted(n)}" for name, n in counts.items() if n)
        raise InputError(f"settings: their numbers disagree ({told}); give as many of each")
    return found.pop() if found else 1


def starts(
    sources: SweepSources,
    init: Init | Image,
    shape: tuple[int, int],
    seeds: Sequence[int] | None,
    count: int,
) -> Array:
    """Returns the image that each setting starts from, ``f32[n, h, w, 3]``."""
    contents, styles = _each(sources.content), _each_style(sources.style)
    return jnp.stack(
        [
            initial_image(
                init,
                contents[i % len(contents)],
                styles[i % len(styles)][0],
                shape,
                0 if seeds is None else seeds[i],
            )
            for i in range(count)
        ]
    )


def _each(content: Array) -> list[Array]:
    return list(content) if content.ndim == 4 else [content]


def _each_style(style: Any) -> list[list[Array]]:
    """Returns the styles of each setting, or of all."""
    return [style] if isinstance(style, list) else [[s] for s in _each(style)]


def targets_at(
    sources: SweepSources,
    scale: Scale,
    encoder: Encoder,
    objective: Objective,
    shape: tuple[int, int],
    made: StyleTargets | None,
) -> Targets:
    """Returns the targets, with an axis in front: of the settings, or of length 1."""
    masks = {}
    if sources.content_masks is not None:
        guides = resize.resize_masks(sources.content_masks, scale.shape)
        masks = _stack([masks_at(guides, encoder, objective.style_layers)])
    kept = [
        content_targets(resize.resize(c, scale.shape), encoder, objective)
        for c in _each(sources.content)
    ]
    wanted = _style_targets(sources, scale, encoder, objective, shape) if made is None else made
    return Targets(_stack(kept), wanted, masks)


def _style_targets(
    sources: SweepSources,
    scale: Scale,
    encoder: Encoder,
    objective: Objective,
    shape: tuple[int, int],
) -> StyleTargets:
    blends = [None] if sources.blend is None else list(jnp.atleast_2d(sources.blend))
    styles, ratio = _each_style(sources.style), max(scale.shape) / max(shape)
    made = []
    for i in range(max(len(styles), len(blends))):
        scaled, masks = scale_styles(styles[i % len(styles)], sources.style_masks, ratio)
        made.append(
            style_targets(
                scaled,
                encoder,
                objective,
                shape=scale.shape,
                blend=blends[i % len(blends)],
                masks=masks,
            )
        )
    return _stack(made)


def _stack(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
