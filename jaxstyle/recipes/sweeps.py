"""Several recipes on the same pictures: those that differ in numbers alone share a program."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxstyle.arrays import Image, Masks
from jaxstyle.encoder import Encoder
from jaxstyle.losses.objective import LossWeights
from jaxstyle.losses.targets import StyleTargets
from jaxstyle.ops import resize
from jaxstyle.recipes.paint import encoder_of, fit_masks, fit_styles, named_init, paint, with_plan
from jaxstyle.recipes.recipe import Recipe
from jaxstyle.run.progress import Progress, Result
from jaxstyle.run.sweep import SweepProgress, Swept, sweep

# What changes numbers, not the program.
NUMBERS = {"style_weight": 0.0, "content_weight": 0.0, "tv_weight": 0.0, "seed": 0}

Told = Callable[[float], bool | None]
"""Hears which part of all the work is done, in [0, 1]; returns True to stop."""


def paint_all(
    recipes: Sequence[Recipe],
    content: Image,
    styles: Image | Sequence[Image],
    *,
    encoder: Encoder | Sequence[Encoder] | None = None,
    init: Image | None = None,
    blend: Sequence[float] | None = None,
    content_masks: Masks | None = None,
    style_masks: Sequence[Masks] | None = None,
    lanes: int | None = None,
    callback: Told | None = None,
) -> list[Result]:
    """Paints a photograph by several recipes; of what differs in numbers alone, lanes at once.

    Args:
        recipes: How each is painted.
        content: The photograph, ``f32[h, w, 3]``, sRGB in [0, 1].
        styles: The painting, or several.
        encoder: Network and pretrained parameters of all, or for each recipe; what each names if
            None.
        init: The image to start from; what each recipe says if None.
        blend: How much each of several styles counts; all alike if None.
        content_masks: As for ``paint``.
        style_masks: As for ``paint``.
        lanes: How many at once, ≥ 1; all that share a program if None.
        callback: Hears of the progress; returns True to stop, with what is done.

    Returns:
        A result for each recipe; of a sweep its terms are those of the last iteration. After a stop
        there are fewer.

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
    styles = list(styles) if isinstance(styles, Sequence) else [styles]
    results: dict[int, Result] = {}
    for group in _groups(recipes):
        first, many = recipes[group[0]], [recipes[i] for i in group]
        given = encoder[group[0]] if isinstance(encoder, Sequence) else encoder
        own = encoder_of(first) if given is None else given
        part, before = len(group) / len(recipes), len(results) / len(recipes)
        options: dict[str, Any] = {"encoder": own, "init": init, "blend": blend}
        options |= {"content_masks": content_masks, "style_masks": style_masks}
        told = _scaled(callback, before, part)
        if len(group) == 1:
            found = [paint(first, content, styles, callback=told, **options)]
        else:
            found = _sweep(many, content, styles, lanes=lanes, callback=told, **options)
        results |= dict(zip(group, found, strict=True))
        if any(result.status == "stopped" for result in found):
            break
    return [results[i] for i in sorted(results)]


def _groups(recipes: Sequence[Recipe]) -> list[list[int]]:
    """Returns which recipes share a program."""
    groups: dict[Any, list[int]] = defaultdict(list)
    for i, recipe in enumerate(recipes):
        alone = recipe.encoder == "random" or not fits_lanes(recipe)
        groups[program_of(recipe), i if alone else None].append(i)
    return list(groups.values())


def fits_lanes(recipe: Recipe) -> bool:
    """Tells whether a sweep knows of all that a recipe asks for."""
    return recipe.average == 0 and recipe.colour == "style"


def program_of(recipe: Recipe) -> str:
    """Returns what recipes that share a program have in common, but for the sizes."""
    return repr(recipe.replace(**NUMBERS).to_table())


def _scaled(callback: Told | None, before: float, part: float) -> Any:
    def told(progress: Progress | SweepProgress) -> bool | None:
        return callback(before + part * progress.fraction) if callback else None

    return told


def _sweep(
    recipes: Sequence[Recipe],
    content: Image,
    styles: Sequence[Image],
    *,
    encoder: Encoder,
    init: Image | None,
    blend: Sequence[float] | None,
    content_masks: Masks | None,
    style_masks: Sequence[Masks] | None,
    lanes: int | None,
    callback: Any,
) -> list[Result]:
    count = min(lanes or len(recipes), len(recipes))
    regions = 0 if content_masks is None else len(content_masks)
    plan = with_plan(recipes[0], content, styles, encoder, lanes=count, regions=regions)
    recipes = [recipe.replace(memory=plan.memory, history=plan.history) for recipe in recipes]
    first = recipes[0]
    shape = first.shape_of(resize.shape_of(content))
    fitted = fit_styles(styles, first, shape)
    swept = sweep(
        resize.resize(content, shape),
        fitted,
        encoder,
        **_options(recipes),
        init=named_init(first.init) if init is None else init,
        blend=None if blend is None else np.asarray(blend, np.float32) / max(blend),
        content_masks=None if content_masks is None else resize.resize_masks(content_masks, shape),
        style_masks=fit_masks(style_masks, fitted),
        lanes=lanes,
        callback=callback,
    )
    return [_result(swept, i, first) for i in range(len(recipes))]


def paint_lanes(
    recipes: Sequence[Recipe],
    contents: Sequence[Image],
    styles: Sequence[Image],
    style_targets: Sequence[Sequence[StyleTargets]],
    encoder: Encoder,
    *,
    callback: Callable[[SweepProgress], bool | None] | None = None,
) -> list[Result]:
    """Paints as many photographs as recipes at once, a lane each; they come to one shape.

    Args:
        recipes: How each is painted; they share a program (:func:`program_of`, :func:`fits_lanes`).
        contents: The photographs, each ``f32[h, w, 3]``.
        styles: The painting of each; all come to one shape.
        style_targets: What each painting asks for, from ``prepare_styles``.
        encoder: Network and pretrained parameters.
        callback: Hears of the progress; returns True to stop.
    """
    first = recipes[0]
    shape = first.shape_of(resize.shape_of(contents[0]))
    swept = sweep(
        jnp.stack([resize.resize(content, shape) for content in contents]),
        jnp.stack([fit_styles([style], first, shape)[0] for style in styles]),
        encoder,
        **_options(recipes),
        init=named_init(first.init),
        style_targets=[
            jax.tree.map(lambda *leaves: jnp.stack(leaves), *scale)
            for scale in zip(*style_targets, strict=True)
        ],
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
