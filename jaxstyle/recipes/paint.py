"""Paint by a recipe: what the command, scripts, sweeps and batches call."""

import os
from collections.abc import Sequence
from typing import cast, get_args

from jaxstyle.arrays import Image, Masks, check_image
from jaxstyle.encoder import Encoder
from jaxstyle.encoder.base import check_layers
from jaxstyle.encoder.vgg_encoder import VGGEncoder
from jaxstyle.errors import InputError, unknown
from jaxstyle.large.mesh import Mesh
from jaxstyle.losses.loss import Extra
from jaxstyle.losses.targets import StyleTargets
from jaxstyle.losses.tiles import Scratch
from jaxstyle.ops import resize
from jaxstyle.pretrained import load_encoder
from jaxstyle.pretrained.load import RANDOM
from jaxstyle.recipes.demand import demand_of
from jaxstyle.recipes.fitting import choose
from jaxstyle.recipes.recipe import Recipe
from jaxstyle.run.checkpoint import Checkpoint
from jaxstyle.run.progress import Callback, Result
from jaxstyle.run.sources import scale_style_targets
from jaxstyle.run.start import Init
from jaxstyle.run.stylize import stylize
from jaxstyle.run.texture import texture


def encoder_of(recipe: Recipe, cache: str | os.PathLike[str] | None = None) -> VGGEncoder:
    """Loads the encoder that a recipe names; it never downloads one.

    Args:
        recipe: How a picture is painted.
        cache: Where downloads are kept; None as for ``cache_folder``.

    Raises:
        InputError: The encoder is unknown or not here, or has none of the recipe's layers.
    """
    encoder = load_named(recipe, cache)
    check_layers(encoder, recipe.make_objective().layers)
    return encoder


def encoder_key(recipe: Recipe) -> tuple[str | int | None, ...]:
    """Returns what recipes with the same encoder have in common."""
    seed = recipe.seed if recipe.encoder == RANDOM else 0
    return recipe.encoder, recipe.pooling, recipe.padding, recipe.precision, seed


def load_named(recipe: Recipe, cache: str | os.PathLike[str] | None = None) -> VGGEncoder:
    """Loads the encoder that a recipe names, whatever its layers."""
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
    content: Image | None,
    styles: Image | Sequence[Image],
    *,
    encoder: Encoder | None = None,
    init: Image | None = None,
    blend: Sequence[float] | None = None,
    content_masks: Masks | None = None,
    style_masks: Sequence[Masks] | None = None,
    style_targets: Sequence[StyleTargets] | None = None,
    extra: Extra | None = None,
    callback: Callback | None = None,
    callback_every: Sequence[int] = (),
    resume: Checkpoint | None = None,
    scratch: Scratch | None = None,
    mesh: Mesh | None = None,
) -> Result:
    """Paints by a recipe: pictures in, of any size, and the picture out.

    Args:
        recipe: How it is painted.
        content: The photograph, ``f32[h, w, 3]``, sRGB in [0, 1]; None for a texture.
        styles: The painting, ``f32[h', w', 3]``, or several.
        encoder: Network and pretrained parameters; what the recipe names if None.
        init: The image to start from; what the recipe says if None.
        blend: How much each of several styles counts; all alike if None.
        content_masks: One per region, ``f32[r, _, _]`` in [0, 1], of any size.
        style_masks: For each style as many.
        style_targets: What the styles ask for, from :func:`prepare_styles`; not of textures.
        extra: A term of one's own, a pure function of the image; none if None.
        callback: Hears of the progress after every chunk of iterations; returns True to stop.
        callback_every: As for :func:`jaxstyle.stylize`.
        resume: A ``Progress.checkpoint`` of the same run to go on from; None begins anew.
        scratch: Makes arrays for what tiles read in parts; in memory if None.
        mesh: The devices that share the image, from :func:`jaxstyle.mesh`; one if None. Not for a
            texture.

    Raises:
        InputError: As for :func:`jaxstyle.stylize`; or the encoder is not here.

    Examples:
        >>> import jax, jaxstyle as js
        >>> photograph, painting = jax.random.uniform(jax.random.key(0), (2, 48, 64, 3))
        >>> layers = {"content_layers": {"conv2_1": 1.0}, "style_layers": {"conv1_1": 1.0}}
        >>> recipe = js.Recipe(encoder="random", size=32, iterations=2, **layers)
        >>> js.paint(recipe, photograph, painting).image.shape
        (24, 32, 3)
    """
    styles = list(styles) if isinstance(styles, Sequence) else [styles]
    for name, pictures in (("content", [] if content is None else [content]), ("style", styles)):
        for picture in pictures:
            check_image(name, picture)
    recipe = recipe if mesh is None else shared(recipe)
    encoder = encoder_of(recipe) if encoder is None else encoder
    regions = 0 if content_masks is None else len(content_masks)
    recipe = with_plan(recipe, content, styles, encoder, regions=regions)
    start = named_init(recipe.init) if init is None else init
    options = recipe.make_options() | {
        "blend": blend,
        "extra": extra,
        "callback": callback,
        "callback_every": callback_every,
        "resume": resume,
    }
    if content is None and mesh is not None:
        raise InputError("mesh: a texture is of one device; leave it out")
    if content is None:
        shape = texture_shape(recipe)
        seen = fit_styles(styles, texture_side(recipe), shape)
        return texture(seen, shape, encoder, init=start, **options)
    shape = recipe.shape_of(resize.shape_of(content))
    fitted = fit_styles(styles, recipe, shape)
    return stylize(
        resize.resize(content, shape),
        fitted,
        encoder,
        init=start,
        colour=recipe.colour,
        content_masks=None if content_masks is None else resize.resize_masks(content_masks, shape),
        style_masks=fit_masks(style_masks, fitted),
        style_targets=style_targets,
        scratch=scratch,
        mesh=mesh,
        **options,
    )


def with_plan(
    recipe: Recipe,
    content: Image | None,
    styles: Sequence[Image],
    encoder: Encoder,
    *,
    lanes: int = 1,
    regions: int = 0,
) -> Recipe:
    """Returns the recipe with the fastest plan that fits into the memory in place of ``auto``.

    Raises:
        ResourceError: No plan fits.
    """
    if recipe.memory != "auto" or not isinstance(encoder, VGGEncoder):
        return recipe
    fit = recipe if content is not None else texture_side(recipe)
    shape = texture_shape(recipe) if content is None else recipe.shape_of(resize.shape_of(content))
    seen = [fit.style_shape_of(resize.shape_of(style), shape) for style in styles]
    return choose(demand_of(encoder, recipe, shape, seen, lanes=lanes, regions=regions))[0].recipe


def shared(recipe: Recipe) -> Recipe:
    """Returns a recipe as devices that share the image take it: ``auto`` is ``low`` there."""
    return recipe.replace(memory="low") if recipe.memory == "auto" else recipe


def prepare_styles(
    recipe: Recipe,
    styles: Sequence[Image],
    shape: tuple[int, int],
    encoder: Encoder,
    *,
    style_masks: Sequence[Masks] | None = None,
) -> list[StyleTargets] | None:
    """Returns what styles ask for, for :func:`paint` to take whatever the photograph.

    Args:
        recipe: How pictures are painted.
        styles: The painting, ``f32[h', w', 3]``, or several, all alike.
        shape: Height and width of the results.
        encoder: Network and pretrained parameters.
        style_masks: For each style as many, of any size.

    Returns:
        The targets of each scale; None where they depend on the photograph's colours.
    """
    if recipe.colour != "style":
        return None
    objective, fitted = recipe.make_objective(), fit_styles(styles, recipe, shape)
    scales = [scale.shape for scale in recipe.make_schedule().scales_of(shape)]
    masks = fit_masks(style_masks, fitted)
    return scale_style_targets(fitted, shape, scales, encoder, objective, style_masks=masks)


def fit_masks(masks: Sequence[Masks] | None, styles: Sequence[Image]) -> list[Masks] | None:
    """Returns masks at the sizes of their styles."""
    if masks is None:
        return None
    sized = zip(masks, styles, strict=True)
    return [resize.resize_masks(mask, resize.shape_of(style)) for mask, style in sized]


def texture_shape(recipe: Recipe) -> tuple[int, int]:
    """Returns height and width of a texture.

    Raises:
        InputError: The size is a photograph's.
    """
    if recipe.size == "original":
        raise InputError("size original: a texture has no photograph; give WIDTHxHEIGHT")
    return recipe.shape_of((1, 1))


def texture_side(recipe: Recipe) -> Recipe:
    """Returns a texture's recipe as its paintings are fitted by: to its longer side.

    They keep their own proportions: their strokes are what counts.
    """
    return recipe.replace(size=max(texture_shape(recipe)), side="longer")


def fit_styles(styles: Sequence[Image], recipe: Recipe, shape: tuple[int, int]) -> list[Image]:
    """Returns styles at the size that the recipe gives them beside a result of ``shape``."""
    return [resize.resize(s, recipe.style_shape_of(resize.shape_of(s), shape)) for s in styles]


def named_init(init: str) -> Init:
    """Returns a start that goes by its name.

    Raises:
        InputError: There is none of that name.
    """
    if init not in get_args(Init):
        raise unknown("init", init, get_args(Init), "; a picture is handed in as an image")
    return cast(Init, init)
