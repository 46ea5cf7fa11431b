"""What a run paints from: a content image, styles, their shares and their masks."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.arrays import Image, Masks, check_image
from jaxstyle.encoder import Encoder
from jaxstyle.errors import InputError
from jaxstyle.losses.measure import masks_at
from jaxstyle.losses.objective import Objective
from jaxstyle.losses.targets import StyleTargets, Targets, content_targets, style_targets
from jaxstyle.losses.tiles import Scratch
from jaxstyle.ops.resize import MIN_SIDE, resize, resize_masks, scale_to, shape_of


class Sources(NamedTuple):
    """What a run paints from.

    Attributes:
        content: ``f32[h, w, 3]``.
        styles: Each ``f32[h', w', 3]``.
        blend: How much each style counts, ``f32[styles]``.
        content_masks: One per region, ``f32[r, h, w]``, or None.
        style_masks: For each style as many, ``f32[r, h', w']``, or None.
        made: The style targets of every scale, if they were made before; else None.
    """

    content: Image
    styles: list[Image]
    blend: Float[Array, "_"]
    content_masks: Masks | None
    style_masks: list[Masks] | None
    made: Sequence[StyleTargets] | None = None

    def at(self, shape: tuple[int, int]) -> "Sources":
        """Returns the sources for a scale: the styles shrink along with the content."""
        ratio = max(shape) / max(shape_of(self.content))
        styles, style_masks = scale_styles(self.styles, self.style_masks, ratio)
        masks = self.content_masks
        return Sources(
            resize(self.content, shape),
            styles,
            self.blend,
            None if masks is None else resize_masks(masks, shape),
            style_masks,
        )

    def targets(
        self,
        encoder: Encoder,
        objective: Objective,
        style: StyleTargets | None = None,
        scratch: Scratch | None = None,
    ) -> Targets:
        """Returns what the sources of a scale ask for.

        Args:
            encoder: Network and pretrained parameters.
            objective: Which layers and which statistic.
            style: What the styles ask for, if that is known.
            scratch: Makes arrays for what tiles read in parts; in memory if None.
        """
        masks, shape = self.content_masks, shape_of(self.content)
        if style is None:
            style = style_targets(
                self.styles,
                encoder,
                objective,
                shape=shape,
                blend=self.blend,
                masks=self.style_masks,
            )
        return Targets(
            content_targets(self.content, encoder, objective, scratch=scratch),
            style,
            {} if masks is None else masks_at(masks, encoder, objective.style_layers),
        )


def scale_style_targets(
    styles: Sequence[Image],
    shape: tuple[int, int],
    scales: Sequence[tuple[int, int]],
    encoder: Encoder,
    objective: Objective,
    *,
    blend: Sequence[float] | None = None,
    style_masks: Sequence[Masks] | None = None,
) -> list[StyleTargets]:
    """Returns what styles ask for at each scale, for several runs to share.

    Args:
        styles: Each ``f32[h', w', 3]``, of the size that they have beside the result.
        shape: Height and width of the result.
        scales: Those of every scale.
        encoder: Network and pretrained parameters.
        objective: Which layers and which statistic.
        blend: How much each style counts; all alike if None.
        style_masks: For each style one per region, ``f32[r, h', w']``.
    """
    shares = check_shares(len(styles), blend)
    pictures = [jnp.array(style, jnp.float32) for style in styles]
    masks = None if style_masks is None else list(style_masks)
    made = []
    for scale in scales:
        scaled, scaled_masks = scale_styles(pictures, masks, max(scale) / max(shape))
        made.append(
            style_targets(scaled, encoder, objective, shape=scale, blend=shares, masks=scaled_masks)
        )
    return made


def scale_styles(
    styles: Sequence[Image], masks: Sequence[Masks] | None, ratio: float
) -> tuple[list[Image], list[Masks] | None]:
    """Returns styles, and their masks, as a scale sees them."""
    scaled = [scale_style(style, ratio) for style in styles]
    if masks is None:
        return scaled, None
    return scaled, [resize_masks(m, shape_of(s)) for m, s in zip(masks, scaled, strict=True)]


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
    shares = check_shares(len(styles), blend)
    check_masks(shares.tolist(), content_masks, style_masks)
    masks = None if style_masks is None else list(style_masks)
    # Of one type, whatever they were computed from, or they would compile again.
    content, *styles = (jnp.array(picture, jnp.float32) for picture in (content, *styles))
    return Sources(content, styles, shares, content_masks, masks)


def check_shares(count: int, blend: Sequence[float] | None) -> Float[Array, "_"]:
    """Returns how much each of several styles counts, the largest 1.

    Raises:
        InputError: There are as many numbers as styles, or they are none.
    """
    shares = [1.0] * count if blend is None else list(blend)
    if len(shares) != count:
        raise InputError(f"blend: {len(shares)} numbers for {count} styles; give as many")
    if not (all(0 <= share < math.inf for share in shares) and any(shares)):
        raise InputError("blend: no shares; give numbers ≥ 0, not all of them 0")
    # Divided before they become float32, which may not hold them.
    return jnp.asarray([share / max(shares) for share in shares], jnp.float32)


def check_masks(
    shares: Sequence[float], content_masks: Masks | None, style_masks: Sequence[Masks] | None
) -> None:
    """Refuses masks that do not go together.

    Raises:
        InputError: Numbers of styles and masks disagree, or a region of the content is in no style.
    """
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
