"""Painting with several recipes; recipes that differ only in numbers share a program."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxstyle.arrays import Image
from jaxstyle.encoder import Encoder
from jaxstyle.losses.loss_weights import LossWeights
from jaxstyle.losses.pictures import Scene, Styles, as_scene, as_styles, shares_of
from jaxstyle.ops import resize
from jaxstyle.recipes.paint import encoder_of, fit_styles, named_init, paint
from jaxstyle.recipes.recipe import INSTANT, Recipe
from jaxstyle.run.progress import Progress, Result
from jaxstyle.run.sources import scale_scene
from jaxstyle.run.sweep import SweepProgress, Swept, sweep

# Settings that change numbers, not the program.
NUMBERS = {"style_weight": 0.0, "content_weight": 0.0, "tv_weight": 0.0, "seed": 0}

FractionCallback = Callable[[float], bool | None]
"""Called with the completed fraction of the work, in [0, 1]; returns True to stop."""


def paint_all(
    recipes: Sequence[Recipe],
    content: Image | Scene,
    style: Image | Sequence[Image] | Styles,
    *,
    encoder: Encoder | Sequence[Encoder] | None = None,
    init: Image | None = None,
    lanes: int | None = None,
    callback: FractionCallback | None = None,
) -> list[Result]:
    """Paints a photograph with several recipes; those that differ only in numbers run as lanes.

    Args:
        recipes: One recipe per picture.
        content: The photograph, as for :func:`paint`.
        style: The painting, or several, as for :func:`paint`.
        encoder: Network and pretrained parameters, for all recipes or for each; None for the
            encoder of each recipe.
        init: The initial image; None for the initial image of each recipe.
        lanes: Number of pictures painted at once, ≥ 1; None for all that share a program.
        callback: Called with the progress; returns True to stop.

    Returns:
        One result per recipe, fewer if the callback stopped the run. The terms of pictures painted
        in lanes are those of the last iteration only.

    Raises:
        InputError: As for :func:`jaxstyle.paint`.

    Examples:
        >>> import jax, jaxstyle as js
        >>> photograph, painting = jax.random.uniform(jax.random.key(0), (2, 48, 64, 3))
        >>> layers = {"content_layers": {"conv2_1": 1.0}, "style_layers": {"conv1_1": 1.0}}
        >>> recipe = js.Recipe(encoder="random", size=32, iterations=2, **layers)
        >>> recipes = [recipe.replace(style_weight=w) for w in (1.0, 9.0)]
        >>> [result.image.shape for result in paint_all(recipes, photograph, painting)]
        [(24, 32, 3), (24, 32, 3)]
    """
    scene, styles = as_scene(content), as_styles(style)
    results: dict[int, Result] = {}
    for group in _groups(recipes):
        first, many = recipes[group[0]], [recipes[i] for i in group]
        given = encoder[group[0]] if isinstance(encoder, Sequence) else encoder
        used = encoder_of(first) if given is None else given
        scaled = _scaled(callback, len(results) / len(recipes), len(group) / len(recipes))
        options: dict[str, Any] = {"encoder": used, "init": init, "callback": scaled}
        if len(group) == 1:
            painted = [paint(first, scene, styles, **options)]
        else:
            painted = _sweep(many, scene, styles, lanes=lanes, **options)
        results |= dict(zip(group, painted, strict=True))
        if any(result.status == "stopped" for result in painted):
            break
    return [results[i] for i in sorted(results)]


def _groups(recipes: Sequence[Recipe]) -> list[list[int]]:
    """Returns the indices of the recipes in groups that share a program."""
    groups: dict[Any, list[int]] = defaultdict(list)
    for i, recipe in enumerate(recipes):
        alone = recipe.encoder == "random" or not fits_lanes(recipe)
        groups[program_of(recipe), i if alone else None].append(i)
    return list(groups.values())


def fits_lanes(recipe: Recipe) -> bool:
    """Returns whether a sweep supports a recipe."""
    plain = recipe.average == 0 and recipe.init != INSTANT
    return plain and recipe.colour == "style" and recipe.memory != "tiles"


def program_of(recipe: Recipe) -> str:
    """Returns a key that is equal for recipes that share a program if the sizes agree."""
    return repr(recipe.replace(**NUMBERS).to_table())


def _scaled(callback: FractionCallback | None, before: float, part: float) -> Any:
    def scaled(progress: Progress | SweepProgress) -> bool | None:
        return callback(before + part * progress.fraction) if callback else None

    return scaled


def _sweep(
    recipes: Sequence[Recipe],
    scene: Scene,
    styles: Styles,
    *,
    encoder: Encoder,
    init: Image | None,
    lanes: int | None,
    callback: Any,
) -> list[Result]:
    first = recipes[0]
    shape = first.shape_of(resize.shape_of(scene.image))
    swept = sweep(
        scale_scene(scene, shape),
        fit_styles(styles._replace(blend=shares_of(styles)), first, shape),
        encoder,
        **_options(recipes),
        init=named_init(first.init) if init is None else init,
        lanes=lanes,
        callback=callback,
    )
    return [_result(swept, i, first) for i in range(len(recipes))]


def paint_lanes(
    recipes: Sequence[Recipe],
    contents: Sequence[Image],
    styles: Sequence[Styles],
    encoder: Encoder,
    *,
    callback: Callable[[SweepProgress], bool | None] | None = None,
) -> list[Result]:
    """Paints several photographs of one shape at once, one lane per photograph.

    Args:
        recipes: One per photograph; they share a program (:func:`program_of`, :func:`fits_lanes`).
        contents: The photographs, each ``f32[h, w, 3]``.
        styles: The painting for each, from :func:`prepare_styles`; all of one shape.
        encoder: Network and pretrained parameters.
        callback: Called with the progress; returns True to stop.
    """
    first = recipes[0]
    shape = first.shape_of(resize.shape_of(contents[0]))
    fitted = [fit_styles(own, first, shape).images[0] for own in styles]
    targets = [
        jax.tree.map(lambda *leaves: jnp.stack(leaves), *scale)
        for scale in zip(*(own.targets or () for own in styles), strict=True)
    ]
    swept = sweep(
        jnp.stack([resize.resize(content, shape) for content in contents]),
        Styles(jnp.stack(fitted), targets=targets),  # pyright: ignore[reportArgumentType]
        encoder,
        **_options(recipes),
        init=named_init(first.init),
        callback=callback,
    )
    return [_result(swept, i, recipe) for i, recipe in enumerate(recipes)]


def _options(recipes: Sequence[Recipe]) -> dict[str, Any]:
    """Returns the options of a sweep over recipes that share a program."""
    options: dict[str, Any] = recipes[0].make_options()
    del options["seed"]
    weights = LossWeights.stack([recipe.make_loss_weights() for recipe in recipes])
    return options | {"loss_weights": weights, "seeds": [recipe.seed for recipe in recipes]}


def _result(swept: Swept, i: int, recipe: Recipe) -> Result:
    planned = recipe.make_schedule().scales_of(resize.shape_of(swept.image[i]))
    done = int(swept.iterations[i])
    short = done < sum(scale.iterations for scale in planned)
    finished = "stopped" if swept.stopped and short else "converged" if short else "finished"
    return Result(
        image=swept.image[i],
        terms=jax.tree.map(lambda term: term[i : i + 1], swept.terms),
        evaluations=int(swept.evaluations[i]),
        status=finished if swept.finite[i] else "non-finite",
    )
