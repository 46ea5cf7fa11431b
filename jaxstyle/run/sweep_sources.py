"""The pictures of a sweep, shared by all settings or one for each."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxstyle.arrays import Image
from jaxstyle.encoder import Encoder
from jaxstyle.errors import InputError
from jaxstyle.evaluate.targets import Targets, content_targets, join_targets, style_targets
from jaxstyle.losses.loss_weights import LossWeights
from jaxstyle.losses.objective import Objective
from jaxstyle.losses.pictures import (
    Styles,
    as_scene,
    as_styles,
    check_regions,
    check_scene,
    check_styles,
)
from jaxstyle.ops import resize
from jaxstyle.run.initial_image import Init, initial_image
from jaxstyle.run.schedule import Scale
from jaxstyle.run.sources import Sources, scale_scene, scale_styles


def make_sweep_sources(content: Any, style: Any) -> Sources:
    """Checks that the pictures of a sweep belong together.

    Args:
        content: As for ``stylize``; the image may have a leading axis of settings.
        style: As for ``stylize``; an array with a leading axis of settings has one style for each
            setting, and a blend may have a leading axis of settings.

    Raises:
        InputError: As for ``stylize``.
    """
    scene = as_scene(content)
    own = style if isinstance(style, Styles) else Styles(style)
    batched = not isinstance(own.images, Sequence) and jnp.ndim(own.images) == 4
    styles = own if batched else as_styles(style)
    single = scene.image[0] if jnp.ndim(scene.image) == 4 else scene.image
    first = scene._replace(image=single)
    shares = None if styles.blend is None else jnp.atleast_2d(jnp.asarray(styles.blend))[0]
    samples = Styles([styles.images[0]] if batched else styles.images, shares, styles.masks)
    check_scene(first, least=resize.MIN_SIDE)
    check_styles(samples, least=resize.MIN_SIDE)
    check_regions(first, samples)
    images = styles.images
    images = (
        jnp.asarray(images, jnp.float32)
        if batched
        else [jnp.asarray(image, jnp.float32) for image in images]
    )
    blend = None if styles.blend is None else jnp.asarray(styles.blend, jnp.float32)
    return Sources(
        scene._replace(image=jnp.asarray(scene.image, jnp.float32)),
        styles._replace(images=images, blend=blend),  # pyright: ignore[reportArgumentType]
    )


def count_settings(sources: Sources, weights: LossWeights, seeds: Sequence[int] | None) -> int:
    """Returns the number of settings."""
    image, (images, blend, _, _) = sources.scene.image, sources.styles
    counts: dict[str, set[int]] = {
        "loss_weights": {w.shape[0] for w in jax.tree.leaves(weights) if w.ndim},
        "seeds": set() if seeds is None else {len(seeds)},
        "content": {len(image)} if image.ndim == 4 else set(),
        "style": set() if isinstance(images, list) else {len(images)},
        "blend": {len(blend)} if blend is not None and np.ndim(blend) == 2 else set(),
    }
    numbers = set().union(*counts.values())
    if len(numbers) > 1:
        text = ", ".join(f"{name} {sorted(n)}" for name, n in counts.items() if n)
        raise InputError(f"settings: the numbers differ ({text}); give the same number of each")
    return numbers.pop() if numbers else 1


def initial_images(
    sources: Sources,
    init: Init | Image,
    shape: tuple[int, int],
    seeds: Sequence[int] | None,
    count: int,
) -> Array:
    """Returns the initial image of each setting, ``f32[n, h, w, 3]``."""
    contents, styles = _contents(sources), _styles(sources)
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


def _contents(sources: Sources) -> list[Array]:
    image = sources.scene.image
    return list(image) if image.ndim == 4 else [image]


def _styles(sources: Sources) -> list[list[Array]]:
    """Returns the styles of each setting, or one list for all settings."""
    images = sources.styles.images
    return [images] if isinstance(images, list) else [[image] for image in images]


def targets_at(
    sources: Sources,
    scale: Scale,
    encoder: Encoder,
    objective: Objective,
    shape: tuple[int, int],
    style_part: Any,
) -> Targets:
    """Returns the targets of a scale, with a leading axis of settings, or of length 1.

    Args:
        sources: The pictures.
        scale: The scale.
        encoder: Network and pretrained parameters.
        objective: The terms.
        shape: Height and width of the results.
        style_part: The style part of each target, if already computed.
    """
    scenes = [scale_scene(sources.scene._replace(image=x), scale.shape) for x in _contents(sources)]
    content = _stack([content_targets(scene, encoder, objective) for scene in scenes])
    if style_part is None:
        style_part = _style_parts(sources, scale, encoder, objective, shape)
    return join_targets(content, style_part)


def _style_parts(
    sources: Sources,
    scale: Scale,
    encoder: Encoder,
    objective: Objective,
    shape: tuple[int, int],
) -> Any:
    blend = sources.styles.blend
    blends = [None] if blend is None else list(jnp.atleast_2d(jnp.asarray(blend)))
    styles, factor = _styles(sources), max(scale.shape) / max(shape)
    parts = []
    for i in range(max(len(styles), len(blends))):
        images, shares = styles[i % len(styles)], blends[i % len(blends)]
        scaled = scale_styles(Styles(images, shares, sources.styles.masks), factor)
        parts.append(style_targets(scaled, encoder, objective, shape=scale.shape))
    return _stack(parts)


def _stack(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
