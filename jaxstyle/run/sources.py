"""The pictures of a run, and their targets at each scale."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxstyle.arrays import Image
from jaxstyle.encoder import Encoder
from jaxstyle.errors import InputError
from jaxstyle.evaluate.plan import Plan
from jaxstyle.evaluate.targets import Targets, content_targets, join_targets, style_targets
from jaxstyle.evaluate.whole import WHOLE
from jaxstyle.losses.objective import Objective
from jaxstyle.losses.pictures import (
    Scene,
    Styles,
    as_scene,
    as_styles,
    check_regions,
    check_scene,
    check_styles,
    shares_of,
)
from jaxstyle.ops.resize import MIN_SIDE, resize, resize_masks, scale_to, shape_of


class Sources(NamedTuple):
    """The pictures of a run.

    Attributes:
        scene: The content picture.
        styles: The style pictures.
    """

    scene: Scene
    styles: Styles

    def at(self, shape: tuple[int, int]) -> "Sources":
        """Returns the pictures for a scale, with the styles resized by the same factor."""
        factor = max(shape) / max(shape_of(self.scene.image))
        return Sources(scale_scene(self.scene, shape), scale_styles(self.styles, factor))

    def targets(
        self,
        encoder: Encoder,
        objective: Objective,
        plan: Plan,
        style: Mapping[str, Any] | None = None,
    ) -> Targets:
        """Returns the targets of a scale.

        Args:
            encoder: Network and pretrained parameters.
            objective: The terms.
            plan: Plan that evaluates features and sums.
            style: The style part of each target, if already computed.
        """
        if style is None:
            shape = shape_of(self.scene.image)
            style = style_targets(self.styles, encoder, objective, shape=shape, plan=plan)
        else:
            style = plan.replicate(style)
        return join_targets(content_targets(self.scene, encoder, objective, plan=plan), style)

    def check_scales(self, scales: int) -> None:
        """Checks that style targets computed before are those of a number of scales.

        Raises:
            InputError: They are not.
        """
        made = self.styles.targets
        if made is not None and len(made) != scales:
            count = f"{len(made)} for {scales} scales"
            raise InputError(f"style targets: {count}; make them for this size and schedule")

    def parts(self, scales: int) -> list[Any]:
        """Returns the style parts that are already computed, for the last scales of a run."""
        return (
            [None] * scales if self.styles.targets is None else list(self.styles.targets)[-scales:]
        )


def make_sources(content: Image | Scene, style: Image | Sequence[Image] | Styles) -> Sources:
    """Checks that the pictures of a run belong together.

    Args:
        content: ``f32[h, w, 3]``, sRGB in [0, 1]; or a scene with masks and data.
        style: ``f32[h', w', 3]``, or several; or styles with a blend and masks.

    Raises:
        InputError: A picture has a wrong shape, type or range or is smaller than 16 px; the numbers
            of styles, weights and masks differ; or a region of the content is missing from
            all styles.
    """
    scene, styles = as_scene(content), as_styles(style)
    check_scene(scene, least=MIN_SIDE)
    check_styles(styles, least=MIN_SIDE)
    check_regions(scene, styles)
    # Convert to one type, because other types would recompile programs.
    images = [jnp.array(picture, jnp.float32) for picture in styles.images]
    return Sources(
        scene._replace(image=jnp.array(scene.image, jnp.float32)),
        styles._replace(images=images, blend=shares_of(styles)),
    )


def prepare_styles(
    style: Image | Sequence[Image] | Styles,
    shape: tuple[int, int],
    scales: Sequence[tuple[int, int]],
    encoder: Encoder,
    objective: Objective,
    *,
    plan: Plan = WHOLE,
) -> Styles:
    """Returns styles with the style part of the targets at each scale, to share between runs.

    Args:
        style: Style pictures, at their size for the finest scale.
        shape: Height and width of the result.
        scales: Height and width of every scale.
        encoder: Network and pretrained parameters.
        objective: The terms.
        plan: Plan that evaluates the sums.
    """
    styles = as_styles(style)
    targets = [
        style_targets(
            scale_styles(styles, max(scale) / max(shape)),
            encoder,
            objective,
            shape=scale,
            plan=plan,
        )
        for scale in scales
    ]
    return styles._replace(targets=targets)


def scale_scene(scene: Scene, shape: tuple[int, int]) -> Scene:
    """Resizes a content picture and its masks to a height and width."""
    masks = None if scene.masks is None else resize_masks(scene.masks, shape)
    return scene._replace(image=resize(scene.image, shape), masks=masks)


def scale_styles(styles: Styles, factor: float) -> Styles:
    """Resizes styles and their masks by a factor."""
    images = [scale_style(jnp.asarray(image, jnp.float32), factor) for image in styles.images]
    if styles.masks is None:
        return styles._replace(images=images, targets=None)
    pairs = zip(styles.masks, images, strict=True)
    masks = [resize_masks(mask, shape_of(image)) for mask, image in pairs]
    return styles._replace(images=images, masks=masks, targets=None)


def scale_style(image: Image, factor: float) -> Image:
    """Resizes a style picture, but not below the smallest size that encoders support."""
    shape = shape_of(image)
    smallest = MIN_SIDE * max(shape) / min(shape)
    return scale_to(image, round(max(max(shape) * factor, smallest)))
