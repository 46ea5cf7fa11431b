"""What a run does: pictures and recipe in, finished pictures in the visitor's folder."""

import secrets
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

import jaxstyle as js
from jaxstyle import files, pretrained
from jaxstyle.arrays import Image
from jaxstyle.errors import InputError
from jaxstyle.files.result import digests, opacity_of, portable, provenance_of
from jaxstyle.ops import resize
from jaxstyle.recipes.paint import encoder_of
from jaxstyle.recipes.recipe import Recipe
from jaxstyle.web.limits import Limits
from jaxstyle.web.pictures import DECODING, to_jpeg
from jaxstyle.web.runs import Painted, Run
from jaxstyle.web.sessions import Upload

_STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
_SHEET_SIZE, _SHEET_ITERATIONS = 256, 40
_SHAPE = tuple[int, int]


class Tools(NamedTuple):
    """What the host gives to the page.

    Attributes:
        cache: Where downloads are kept; None as for ``load_encoder``.
        within_memory: Runs what fits into the memory, or refuses it: takes the encoder, the
            recipe, the result's shape, those of the paintings, the masks, and what runs a recipe;
            returns the recipe that it was and what came of it.
    """

    cache: Path | None
    within_memory: Callable[..., tuple[Recipe, js.Result]]


class Order(NamedTuple):
    """What is to be painted.

    Attributes:
        recipe: How.
        preset: Name of the preset that it was made of.
        content: The photograph.
        styles: The paintings.
        blend: How much each of them counts.
        content_mask: The photograph's regions in flat colours; None if there are no masks.
        style_masks: Those of the paintings.
        init: The preview to go on from, as numbers; None to begin anew.
        continued_from: The recipe's table of the preview that was begun anew; None as for ``init``.
    """

    recipe: Recipe
    preset: str
    content: Upload
    styles: list[Upload]
    blend: list[float]
    content_mask: Path | None = None
    style_masks: tuple[Path, ...] = ()
    init: Path | None = None
    continued_from: dict[str, Any] | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """What is needed to paint it, to go on from it, and to show the photograph beside it."""
        masks = () if self.content_mask is None else (self.content_mask, *self.style_masks)
        return self.content.path, *(style.path for style in self.styles), *masks


class _Loaded(NamedTuple):
    content: files.Picture
    styles: list[Image]
    masks: files.Masks | None


class Painter:
    """Paints runs, one at a time.

    Args:
        tools: The host's.
        limits: How large a result may be.
    """

    def __init__(self, tools: Tools, limits: Limits) -> None:
        self._tools, self._limits = tools, limits
        # Kept prepared for the next visitor.
        self._encoder = lru_cache(maxsize=2)(lambda **key: encoder_of(Recipe(**key), tools.cache))

    def __call__(self, run: Run) -> None:
        """Paints a run; puts the pictures into its results."""
        order: Order = run.order
        recipes = _strengths(order) if run.kind == "sheet" else [order.recipe]
        loaded = self._load(order, recipes[0])  # whose sizes are those of all
        for i, recipe in enumerate(recipes):
            if run.stopping:
                break
            self._paint(run, recipe, loaded, i / len(recipes), 1 / len(recipes))

    def _load(self, order: Order, recipe: Recipe) -> _Loaded:
        shape = recipe.shape_of(order.content.shape)
        seen = [recipe.style_shape_of(style.shape, shape) for style in order.styles]
        check_shapes([shape, *seen], self._limits)
        with DECODING:
            content = files.load_picture(order.content.path)
            # One after the other: six at their full size would fill the memory.
            styles = [_load_style(style.path, recipe, shape) for style in order.styles]
            return _Loaded(content, styles, _load_masks(order))

    def _paint(self, run: Run, recipe: Recipe, loaded: _Loaded, before: float, part: float) -> None:
        order: Order = run.order
        shape = recipe.shape_of(resize.shape_of(loaded.content.image))
        seen = [recipe.style_shape_of(resize.shape_of(style), shape) for style in loaded.styles]
        encoder, masks = self._encoder_of(recipe), loaded.masks

        def paint(recipe: Recipe) -> js.Result:
            return js.paint(
                recipe,
                loaded.content.image,
                loaded.styles,
                encoder=encoder,
                init=None if order.init is None else _load_image(order.init),
                blend=order.blend,
                content_masks=masks and masks.content,
                style_masks=masks and masks.styles,
                callback=lambda progress: run.show(progress, before, part),
                scratch=files.scratch,
            )

        recipe, result = self._tools.within_memory(encoder, recipe, shape, seen, masks, paint)
        if result.status == "non-finite":
            run.message = "the loss was no longer finite; a smaller strength may help"
        if len(result.terms.style) or not recipe.iterations:
            run.results.append(self._keep(run, recipe, loaded.content, encoder, result))
            run.version += 1

    def _encoder_of(self, recipe: Recipe) -> js.VGGEncoder:
        names = ("encoder", "pooling", "padding", "precision")
        key = {name: getattr(recipe, name) for name in names}
        return self._encoder(**key, seed=recipe.seed if recipe.encoder == "random" else 0)

    def _keep(
        self,
        run: Run,
        recipe: Recipe,
        content: files.Picture,
        encoder: js.VGGEncoder,
        result: js.Result,
    ) -> Painted:
        path = run.session.folder / secrets.token_hex(8)
        alpha = opacity_of(content, result.image)
        layers = [result.image] if alpha is None else [result.image, alpha[..., None]]
        with path.open("wb") as file:
            np.save(file, np.concatenate([np.asarray(layer) for layer in layers], -1))
        sources = _sources(run.order)
        return Painted(
            path=path,
            preview=to_jpeg(result.image),
            shape=resize.shape_of(result.image),
            recipe=recipe,
            provenance=provenance_of(result, pretrained.fingerprint(encoder), sources),
        )


def check_shapes(shapes: Sequence[_SHAPE], limits: Limits) -> None:
    """Refuses what has more pixels than a visitor may ask for.

    Raises:
        InputError: It has.
    """
    for height, width in shapes:
        if height * width > limits.max_result:
            most = f"{limits.max_result / 1e6:g} million pixels"
            raise InputError(
                f"size: {width}×{height} is too large here; at most {most} are painted"
            )


def _sources(order: Order) -> dict[str, Any]:
    """Returns what a picture tells of where it came from, beside the recipe."""
    sources: dict[str, Any] = {
        "content": order.content.name,
        "styles": [style.name for style in order.styles],
        "preset": order.preset,
        "sha256": digests(content=order.content.path, styles=[s.path for s in order.styles]),
    }
    if len(order.styles) > 1:
        sources["blend"] = ",".join(f"{share:g}" for share in order.blend)
    if order.content_mask is not None:
        sources["masks"] = True
    if order.continued_from is not None:
        sources["continued_from"] = order.continued_from
    return sources


def _load_masks(order: Order) -> files.Masks | None:
    if order.content_mask is None:
        return None
    return files.load_masks(
        order.content_mask,
        order.style_masks,
        content=order.content.path,
        styles=[style.path for style in order.styles],
    )


def _load_image(path: Path) -> Image:
    return jnp.asarray(np.load(path, allow_pickle=False)[..., :3])


def _load_style(path: Path, recipe: Recipe, shape: _SHAPE) -> Image:
    """Loads a painting at the size that the recipe sees it in beside a result of ``shape``."""
    image = files.load_image(path)
    seen = recipe.style_shape_of(resize.shape_of(image), shape)
    # Where rounding to a multiple would give another size the next time, it is resized once only.
    return resize.resize(image, seen) if recipe.style_shape_of(seen, shape) == seen else image


def _strengths(order: Order) -> list[Recipe]:
    """Returns recipes of small pictures, from the weakest style to the strongest."""
    recipe = order.recipe
    height, width = recipe.shape_of(order.content.shape)
    small = recipe.replace(
        size=min(_SHEET_SIZE, max(height, width)),
        side="longer",
        scales=1,
        iterations=min(recipe.iterations, _SHEET_ITERATIONS),
    )
    return [small.replace(style_weight=recipe.style_weight * by) for by in _STRENGTHS]


def encode(found: Painted, suffix: str) -> Path:
    """Returns a finished picture as a file, with the settings that made it.

    Args:
        found: The picture.
        suffix: One of ``files.SUFFIXES``.

    Raises:
        InputError: The format cannot hold a picture so large.
    """
    path = found.path.with_name(found.path.name + suffix)
    if not path.exists():
        values = np.load(found.path, allow_pickle=False)
        files.save_image(
            path,
            jnp.asarray(values[..., :3]),
            alpha=jnp.asarray(values[..., 3]) if values.shape[-1] == 4 else None,
            metadata=portable(found.recipe).to_table(),
            provenance=found.provenance,
            overwrite=True,  # by two requests at once
        )
    return path
