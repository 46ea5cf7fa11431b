"""Painting with a recipe: recipe and pictures in, picture out."""

import os
from collections.abc import Sequence
from typing import cast

from jaxstyle import instant
from jaxstyle.arrays import Image, check_picture
from jaxstyle.encoder import Encoder
from jaxstyle.encoder.base import check_layers
from jaxstyle.encoder.vgg_encoder import VGGEncoder
from jaxstyle.errors import InputError, unknown
from jaxstyle.evaluate.plan import Plan
from jaxstyle.losses.pictures import Scene, Styles, as_scene, as_styles, shares_of
from jaxstyle.ops import resize
from jaxstyle.ops.colour import recolour
from jaxstyle.pretrained import load_encoder
from jaxstyle.pretrained.load import RANDOM
from jaxstyle.recipes.demand import demand_of
from jaxstyle.recipes.fitting import choose
from jaxstyle.recipes.recipe import INITS, INSTANT, Recipe
from jaxstyle.run.checkpoint import Checkpoint
from jaxstyle.run.initial_image import Init
from jaxstyle.run.progress import Callback, Result
from jaxstyle.run.sources import prepare_styles as prepare_scales
from jaxstyle.run.sources import scale_scene
from jaxstyle.run.stylize import stylize
from jaxstyle.run.texture import texture


def encoder_of(recipe: Recipe, cache: str | os.PathLike[str] | None = None) -> VGGEncoder:
    """Loads the encoder of a recipe, without downloading anything.

    Args:
        recipe: The recipe.
        cache: Folder of downloads; None for the default of ``cache_folder``.

    Raises:
        InputError: The encoder is unknown, not downloaded, or lacks one of the recipe's layers.
    """
    encoder = load_named(recipe, cache)
    check_layers(encoder, recipe.make_objective().layers)
    return encoder


def encoder_key(recipe: Recipe) -> tuple[str | int | None, ...]:
    """Returns a key that is equal for recipes with the same encoder."""
    seed = recipe.seed if recipe.encoder == RANDOM else 0
    return recipe.encoder, recipe.pooling, recipe.padding, recipe.precision, seed


def load_named(recipe: Recipe, cache: str | os.PathLike[str] | None = None) -> VGGEncoder:
    """Loads the encoder of a recipe without checking the layers."""
    return load_encoder(
        recipe.encoder,
        pooling=recipe.pooling,
        padding=recipe.padding,
        precision=recipe.precision,
        cache=cache,
        seed=recipe.seed,
    )


def paint(
    recipe: Recipe,
    content: Image | Scene | None,
    style: Image | Sequence[Image] | Styles,
    *,
    encoder: Encoder | None = None,
    init: Image | Checkpoint | None = None,
    plan: Plan | None = None,
    callback: Callback | None = None,
    callback_every: Sequence[int] = (),
) -> Result:
    """Paints a picture with a recipe.

    Args:
        recipe: The recipe.
        content: The photograph, ``f32[h, w, 3]``, sRGB in [0, 1], of any size; or a
            :class:`~jaxstyle.Scene` with masks of any size. None for a texture.
        style: The painting, ``f32[h', w', 3]``, of any size, or several; or
            :class:`~jaxstyle.Styles` with a blend, masks of any size, or targets from
            :func:`prepare_styles`.
        encoder: Network and pretrained parameters; None for the encoder of the recipe.
        init: The initial image, or a ``Progress.checkpoint`` of the same run to continue from; None
            for the initial image of the recipe.
        plan: Plan that evaluates the sums; None for the plan of the recipe, which for ``auto`` is
            the fastest one that fits into the memory.
        callback: Called with the progress after every chunk of iterations; returns True to stop.
        callback_every: As for :func:`jaxstyle.stylize`.

    Raises:
        InputError: As for :func:`jaxstyle.stylize`, or if the encoder is not available.
        ResourceError: No plan fits into the memory, with ``auto``.

    Examples:
        >>> import jax, jaxstyle as js
        >>> photograph, painting = jax.random.uniform(jax.random.key(0), (2, 48, 64, 3))
        >>> layers = {"content_layers": {"conv2_1": 1.0}, "style_layers": {"conv1_1": 1.0}}
        >>> recipe = js.Recipe(encoder="random", size=32, iterations=2, **layers)
        >>> js.paint(recipe, photograph, painting).image.shape
        (24, 32, 3)
    """
    styles = as_styles(style)
    for picture in styles.images:
        check_picture("style", picture)
    scene = None if content is None else as_scene(content)
    if scene is not None:
        check_picture("content", scene.image)
    encoder = encoder_of(recipe) if encoder is None else encoder
    if plan is None and recipe.memory == "auto":
        recipe = _fitted(recipe, scene, styles, encoder)
    if init is None and recipe.init == INSTANT and scene is not None:
        init = _instant(recipe, scene, styles)
    options = recipe.make_options() | {
        "init": named_init(recipe.init) if init is None else init,
        "plan": recipe.make_plan() if plan is None else plan,
        "callback": callback,
        "callback_every": callback_every,
    }
    if scene is None:
        shape = texture_shape(recipe)
        return texture(fit_styles(styles, texture_side(recipe), shape), shape, encoder, **options)
    shape = recipe.shape_of(resize.shape_of(scene.image))
    fitted = scale_scene(scene, shape), fit_styles(styles, recipe, shape)
    return stylize(*fitted, encoder, colour=recipe.colour, **options)


def _instant(recipe: Recipe, scene: Scene, styles: Styles) -> Image:
    """Returns the initial image ``instant``, of the size of the first scale.

    Raises:
        InputError: There are masks, and no iterations that could follow them.
    """
    shape = recipe.shape_of(resize.shape_of(scene.image))
    scales = recipe.make_schedule().scales_of(shape)
    if scene.masks is not None and not scales:
        raise InputError("masks: not in an instant picture; give iterations of at least 1")
    first = scales[0].shape if scales else shape
    content, images = recolour(recipe.colour, resize.resize(scene.image, first), styles.images)
    blend, params = shares_of(styles), instant.load_instant()
    return instant.apply(content, images, params, blend=blend, strength=recipe.strength)


def _fitted(recipe: Recipe, scene: Scene | None, styles: Styles, encoder: Encoder) -> Recipe:
    """Returns the recipe with the fastest memory plan that fits; custom encoders are not known."""
    if not isinstance(encoder, VGGEncoder):
        return recipe
    fit = texture_side(recipe) if scene is None else recipe
    size = (1, 1) if scene is None else resize.shape_of(scene.image)
    shape = texture_shape(recipe) if scene is None else recipe.shape_of(size)
    seen = [fit.style_shape_of(resize.shape_of(image), shape) for image in styles.images]
    regions = 0 if scene is None or scene.masks is None else len(scene.masks)
    return choose(demand_of(encoder, recipe, shape, seen, regions=regions))[0].recipe


def prepare_styles(
    recipe: Recipe,
    style: Image | Sequence[Image] | Styles,
    shape: tuple[int, int],
    encoder: Encoder,
    *,
    plan: Plan | None = None,
) -> Styles:
    """Returns styles with their targets, for :func:`paint` to use with any photograph.

    Args:
        recipe: The recipe.
        style: The painting, ``f32[h', w', 3]``, of any size, or several; or
            :class:`~jaxstyle.Styles`.
        shape: Height and width of the results.
        encoder: Network and pretrained parameters.
        plan: Plan that evaluates the sums; None for the plan of the recipe.

    Returns:
        The styles; without targets if these depend on the colours of the photograph.
    """
    styles = as_styles(style)
    if recipe.colour != "style":
        return styles
    made = prepare_scales(
        fit_styles(styles, recipe, shape),
        shape,
        [scale.shape for scale in recipe.make_schedule().scales_of(shape)],
        encoder,
        recipe.make_objective(),
        plan=recipe.make_plan() if plan is None else plan,
    )
    return styles._replace(targets=made.targets)


def texture_shape(recipe: Recipe) -> tuple[int, int]:
    """Returns the height and width of a texture.

    Raises:
        InputError: The size is ``original``, and there is no photograph.
    """
    if recipe.size == "original":
        raise InputError("size original: a texture has no photograph; give WIDTHxHEIGHT")
    return recipe.shape_of((1, 1))


def texture_side(recipe: Recipe) -> Recipe:
    """Returns the recipe for resizing the paintings of a texture.

    It refers to the longer side of the texture and preserves the paintings' aspect ratios.
    """
    return recipe.replace(size=max(texture_shape(recipe)), side="longer")


def fit_styles(styles: Styles, recipe: Recipe, shape: tuple[int, int]) -> Styles:
    """Resizes styles and their masks as a recipe specifies for a result of a shape."""
    images = [
        resize.resize(s, recipe.style_shape_of(resize.shape_of(s), shape)) for s in styles.images
    ]
    if styles.masks is None:
        return styles._replace(images=images)
    if len(styles.masks) != len(images):
        raise InputError(f"masks: {len(styles.masks)} for {len(images)} styles; give as many")
    pairs = zip(styles.masks, images, strict=True)
    masks = [resize.resize_masks(mask, resize.shape_of(image)) for mask, image in pairs]
    return styles._replace(images=images, masks=masks)


def named_init(init: str) -> Init:
    """Checks the name of an initial image.

    Raises:
        InputError: The name is unknown.
    """
    if init == INSTANT:
        raise InputError("init instant: a texture has no photograph; choose noise, grey or style")
    if init not in INITS:
        raise unknown("init", init, INITS, "; or pass an image")
    return cast(Init, init)
