"""What a run paints from: a content image, styles, their shares and their masks."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.arrays import Image, Masks, check_image
from jaxstyle.errors import InputError
from jaxstyle.ops.resize import MIN_SIDE, resize, resize_masks, scale_to, shape_of


class Sources(NamedTuple):
    """What a run paints from.

    Attributes:
        content: ``f32[h, w, 3]``.
        styles: Each ``f32[h', w', 3]``.
        blend: How much each style counts, ``f32[styles]``.
        content_masks: One per region, ``f32[r, h, w]``, or None.
        style_masks: For each style as many, ``f32[r, h', w']``, or None.
    """

    content: Image
    styles: list[Image]
    blend: Float[Array, "_"]
    content_masks: Masks | None
    style_masks: list[Masks] | None

    def at(self, shape: tuple[int, int]) -> "Sources":
        """Returns the sources for a scale: the styles shrink along with the content."""
        ratio = max(shape) / max(shape_of(self.content))
        styles = [scale_style(style, ratio) for style in self.styles]
        masks = self.content_masks
        return Sources(
            resize(self.content, shape),
            styles,
            self.blend,
            None if masks is None else resize_masks(masks, shape),
            self.style_masks
            and [
                resize_masks(m, shape_of(s)) for m, s in zip(self.style_masks, styles, strict=True)
            ],
        )


def scale_style(image: Image, factor: float) -> Image:
    """Resizes a style along with its scale, but never below what the encoder can take."""
    shape = shape_of(image)
    smallest = MIN_SIDE * max(shape) / min(shape)
    return scale_to(image, round(max(max(shape) * factor, smallest)))


def make_sources(
    content: Image,
    styles: Sequence[Image],
    blend: Sequence[float] | None = None,
    content_masks: Masks | None = None,
    style_masks: Sequence[Masks] | None = None,
) -> Sources:
    """Checks that all that a run paints from goes together.

    Args:
        content: ``f32[h, w, 3]``, sRGB in [0, 1].
        styles: Each ``f32[h', w', 3]``.
        blend: How much each style counts; all alike if None.
        content_masks: One per region, ``f32[r, h, w]``.
        style_masks: For each style as many.

    Raises:
        InputError: A picture is none or under 16 px, numbers of styles, shares and masks disagree,
            or a region of the content is in no style.
    """
    styles = list(styles)
    for name, pictures in (("content", [content]), ("style", styles)):
        for picture in pictures:
            check_image(name, picture, least=MIN_SIDE)
    if not styles:
        raise InputError("style: none; give at least one")
    shares = [1.0] * len(styles) if blend is None else list(blend)
    if len(shares) != len(styles):
        raise InputError(f"blend: {len(shares)} numbers for {len(styles)} styles; give as many")
    if not (all(0 <= share < math.inf for share in shares) and any(shares)):
        raise InputError("blend: no shares; give numbers ≥ 0, not all of them 0")
    # Before they become float32, which may not hold them.
    shares = [share / max(shares) for share in shares]
    _check_masks(shares, content_masks, style_masks)
    masks = None if style_masks is None else list(style_masks)
    # Of one type, whatever they were computed from, or they would compile again.
    content, *styles = (jnp.array(picture, jnp.float32) for picture in (content, *styles))
    return Sources(content, styles, jnp.asarray(shares, jnp.float32), content_masks, masks)


def _check_masks(
    shares: Sequence[float], content_masks: Masks | None, style_masks: Sequence[Masks] | None
) -> None:
    if content_masks is None and style_masks is None:
        return
    if content_masks is None or style_masks is None:
        raise InputError("masks: of one side only; give them for the content and for every style")
    if len(style_masks) != len(shares):
        raise InputError(f"masks: {len(style_masks)} for {len(shares)} styles; give as many")
    regions = {len(masks) for masks in (content_masks, *style_masks)}
    if len(regions) > 1:
        raise InputError(f"masks: {sorted(regions)} regions; give the same number for all")
    counting = [masks for masks, share in zip(style_masks, shares, strict=True) if share > 0]
    for region, mask in enumerate(content_masks):
        if mask.any() and not any(masks[region].any() for masks in counting):
            problem = f"masks: region {region + 1} of the content is in no style"
            raise InputError(f"{problem}; mark it in one, or leave it out")
