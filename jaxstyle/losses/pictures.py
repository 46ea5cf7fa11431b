"""The pictures that targets are made from: a content picture and style pictures."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxstyle.arrays import Image, Masks, check_picture, is_traced
from jaxstyle.errors import InputError
from jaxstyle.ops.pooling import pool
from jaxstyle.ops.resize import resize_masks


class Scene(NamedTuple):
    """A content picture, with its masks and further data.

    Attributes:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        masks: One per region, ``f32[r, h, w]`` in [0, 1], adding up to 1 everywhere; None for one
            region.
        data: Arrays for custom terms, by name; each term resizes its arrays to the scale of the
            target.
    """

    image: Image
    masks: Masks | None = None
    data: Mapping[str, Any] = {}


class Styles(NamedTuple):
    """One or several style pictures.

    Attributes:
        images: Each ``f32[h', w', 3]``, sRGB in [0, 1], of any size.
        blend: Weight of each style, ≥ 0; None for equal weights.
        masks: For each style one mask per region, ``f32[r, h', w']``: each region of the content
            takes over the style of the same region; None for one region.
        targets: For each scale of a run, from coarse to fine, the style part of each term's target,
            from :func:`jaxstyle.style_targets`, to share them between runs; None to compute them.
    """

    images: Sequence[Image]
    blend: Sequence[float] | Float[Array, "_"] | None = None
    masks: Sequence[Masks] | None = None
    targets: Sequence[Mapping[str, Any]] | None = None


def as_scene(content: Image | Float[Array, "_ _ _ 3"] | Scene) -> Scene:
    """Returns a content picture as a scene."""
    return content if isinstance(content, Scene) else Scene(content)


def as_styles(style: Image | Sequence[Image] | Styles) -> Styles:
    """Returns one or several style pictures as styles."""
    if isinstance(style, Styles):
        return style._replace(images=list(style.images))
    return Styles(list(style) if isinstance(style, Sequence) else [style])


def check_scene(scene: Scene, *, least: int = 1) -> None:
    """Checks a content picture and its masks.

    Args:
        scene: The picture.
        least: Minimum length of each side in pixels.

    Raises:
        InputError: The picture is not an image, or the masks do not have its size.
    """
    check_picture("content", scene.image, least=least)
    _check_masks("content", scene.image, scene.masks)


def check_styles(styles: Styles, *, least: int = 1) -> None:
    """Checks style pictures, their blend and their masks.

    Args:
        styles: The pictures.
        least: Minimum length of each side in pixels.

    Raises:
        InputError: A picture is not an image, or the numbers of styles, weights and masks differ.
    """
    count = len(styles.images)
    if not count:
        raise InputError("style: no picture; give at least one")
    for picture in styles.images:
        check_picture("style", picture, least=least)
    if styles.masks is not None:
        if len(styles.masks) != count:
            raise InputError(f"masks: {len(styles.masks)} for {count} styles; give as many")
        for picture, masks in zip(styles.images, styles.masks, strict=True):
            _check_masks("style", picture, masks)
    if styles.blend is not None:
        given = list(np.shape(styles.blend))
        if given != [count]:
            raise InputError(f"blend: numbers{given} for {count} styles; give as many")
        if not is_traced(styles.blend):
            shares = np.asarray(styles.blend, np.float64)
            if not (np.isfinite(shares).all() and (shares >= 0).all() and shares.any()):
                raise InputError("blend: not weights; give numbers ≥ 0, at least one above 0")


def check_regions(scene: Scene, styles: Styles) -> None:
    """Checks that the masks of the content and of the styles belong together.

    Raises:
        InputError: Only content or only styles have masks, the numbers of regions differ, or a
            region of the content is missing from all styles.
    """
    content_masks, style_masks = scene.masks, styles.masks
    if content_masks is None and style_masks is None:
        return
    if content_masks is None or style_masks is None:
        raise InputError("masks: on one side only; give them for the content and for every style")
    regions = {len(masks) for masks in (content_masks, *style_masks)}
    if len(regions) > 1:
        raise InputError(f"masks: {sorted(regions)} regions; give the same number for all")
    if is_traced(content_masks, style_masks, styles.blend):
        return
    shares = [1.0] * len(style_masks) if styles.blend is None else styles.blend
    used = [masks for masks, share in zip(style_masks, shares, strict=True) if share > 0]
    for region, mask in enumerate(content_masks):
        if mask.any() and not any(masks[region].any() for masks in used):
            problem = f"masks: region {region + 1} of the content is in no style"
            raise InputError(f"{problem}; mark it in one, or leave it out")


def _check_masks(side: str, picture: Image, masks: Masks | None) -> None:
    if masks is None:
        return
    shape = jnp.shape(masks)
    if len(shape) != 3 or shape[1:] != jnp.shape(picture)[:2]:
        h, w = jnp.shape(picture)[:2]
        raise InputError(
            f"{side} masks: {list(shape)} for a picture of {w}×{h} px; give f32[r, {h}, {w}]"
        )


def shares_of(styles: Styles) -> Float[Array, "_"]:
    """Returns the weight of each style, scaled to a maximum of 1 unless they are JAX arrays."""
    if styles.blend is None:
        return jnp.ones(len(styles.images), jnp.float32)
    if is_traced(styles.blend) or isinstance(styles.blend, jax.Array):
        return jnp.asarray(styles.blend)
    # Divide before the conversion to float32, which may overflow.
    largest = max(float(share) for share in styles.blend)
    return jnp.asarray([float(share) / largest for share in styles.blend], jnp.float32)


def masks_at(masks: Masks, sizes: dict[str, tuple[int, int]]) -> dict[str, Array]:
    """Resizes masks to layers, ``f32[h', w', r]``.

    They are halved by averaging, as a VGG halves its features, which preserves the areas of
    regions. For layers of other sizes they are resampled.

    Args:
        masks: One per region, ``f32[r, h, w]`` in [0, 1].
        sizes: Height and width of each layer.

    Examples:
        >>> import jax.numpy as jnp
        >>> masks_at(jnp.ones((2, 16, 24)), {"conv3_1": (4, 6)})["conv3_1"].shape
        (4, 6, 2)
    """
    shape = masks.shape[1], masks.shape[2]
    levels = {shape: jnp.moveaxis(masks, 0, -1)}
    while min(shape) > 1:
        shape, above = (shape[0] // 2, shape[1] // 2), levels[shape]
        levels[shape] = pool(above, "average")
    return {
        name: levels[size] if size in levels else jnp.moveaxis(resize_masks(masks, size), 0, -1)
        for name, size in sizes.items()
    }
