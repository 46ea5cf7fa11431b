"""What a run does: it paints an order, and puts the pictures into the visitor's folder."""

import secrets
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxstyle import files
from jaxstyle.errors import InputError
from jaxstyle.files.result import opacity_of, portable, provenance_of
from jaxstyle.jobs import Inputs, Job, Painter, Painting
from jaxstyle.jobs.job import Shape
from jaxstyle.jobs.provenance import DRAWN_MASKS
from jaxstyle.ops import resize
from jaxstyle.recipes.recipe import Recipe
from jaxstyle.web.controls import STRENGTHS
from jaxstyle.web.limits import Limits
from jaxstyle.web.pictures import DECODING, to_jpeg
from jaxstyle.web.runs import FinishedPicture, QueuedRun
from jaxstyle.web.sessions import Upload

_SHEET_SIZE, _SHEET_ITERATIONS = 256, 40


class Order(NamedTuple):
    """What a visitor wants painted.

    Attributes:
        recipe: How it is painted.
        preset: Name of the preset that the recipe is based on.
        content: The photograph.
        styles: The paintings.
        blend: Weight of each painting.
        content_mask: The photograph's regions in flat colours; None without masks.
        style_masks: Those of the paintings.
        init: The finished preview to continue from, as an array; None to start from the recipe's.
        continued_from: The table of the recipe of the first preview; None if there was none.
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
        """The files needed to paint it, to continue from it, and to show the photograph."""
        masks = () if self.content_mask is None else (self.content_mask, *self.style_masks)
        return self.content.path, *(style.path for style in self.styles), *masks

    @property
    def job(self) -> Job:
        """The job; its picture records the names that the visitor's files have."""
        facts: dict[str, Any] = {"preset": self.preset}
        if self.content_mask is not None:
            facts[DRAWN_MASKS] = True
        if self.continued_from is not None:
            facts["continued_from"] = self.continued_from
        return Job(
            recipe=self.recipe,
            content=self.content.path,
            styles=tuple(style.path for style in self.styles),
            output="",
            blend=tuple(self.blend) if len(self.blend) > 1 else None,
            content_mask=self.content_mask,
            style_masks=self.style_masks,
            facts=facts,
            names={upload.path: upload.name for upload in (self.content, *self.styles)},
        )


def paint_run(run: QueuedRun, painter: Painter, limits: Limits) -> None:
    """Paints a run, and adds the pictures to its results.

    Args:
        run: The run.
        painter: Paints its jobs.
        limits: How large a result may be.

    Raises:
        InputError: The order cannot be painted.
        ResourceError: The memory is too small.
    """
    order: Order = run.order
    recipes = _strengths(order) if run.kind == "sheet" else [order.recipe]
    inputs = _load(order._replace(recipe=recipes[0]), painter, limits)
    for i, recipe in enumerate(recipes):
        if run.stopping:
            break
        each = inputs._replace(job=order._replace(recipe=recipe).job)
        show = partial(run.show, before=i / len(recipes), part=1 / len(recipes))
        painting = painter.paint(each, around=lambda _, attempt, show=show: attempt(callback=show))
        if painting.result.status == "non-finite":
            run.message = "the loss was no longer finite; a smaller strength may help"
        if painting.is_painted or not recipe.iterations:
            run.results.append(_finish(painting, run.session.folder))
            run.version += 1


def check_shapes(shapes: Sequence[Shape], limits: Limits) -> None:
    """Refuses pictures with more pixels than a visitor may ask for.

    Raises:
        InputError: One has more.
    """
    for height, width in shapes:
        if height * width > limits.max_result:
            most = f"{limits.max_result / 1e6:g} million pixels"
            raise InputError(
                f"size: {width}×{height} is too large here; at most {most} are painted"
            )


def _load(order: Order, painter: Painter, limits: Limits) -> Inputs:
    shape = order.recipe.shape_of(order.content.shape)
    seen = [order.recipe.style_shape_of(style.shape, shape) for style in order.styles]
    check_shapes([shape, *seen], limits)
    with DECODING:
        inputs = painter.load(order.job)
    if order.init is None:
        return inputs
    return inputs._replace(init=jnp.asarray(np.load(order.init, allow_pickle=False)[..., :3]))


def _finish(painting: Painting, folder: Path) -> FinishedPicture:
    """Keeps a painting as an array, from which it is saved in the format that is asked for."""
    inputs, image = painting.inputs, painting.result.image
    path = folder / secrets.token_hex(8)
    alpha = opacity_of(inputs.content, image)
    layers = [image] if alpha is None else [image, alpha[..., None]]
    with path.open("wb") as file:
        np.save(file, np.concatenate([np.asarray(layer) for layer in layers], -1))
    fingerprint = inputs.encoder.fingerprint
    return FinishedPicture(
        path=path,
        preview=to_jpeg(image),
        shape=resize.shape_of(image),
        recipe=painting.recipe,
        provenance=provenance_of(painting.result, fingerprint, inputs.sources),
    )


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
    return [small.replace(style_weight=recipe.style_weight * factor) for factor in STRENGTHS]


def encode(picture: FinishedPicture, suffix: str) -> Path:
    """Returns a finished picture as a file with its settings in it.

    Args:
        picture: The picture.
        suffix: One of ``files.SUFFIXES``.

    Raises:
        InputError: The format cannot hold a picture of this size.
    """
    path = picture.path.with_name(picture.path.name + suffix)
    if not path.exists():
        values = np.load(picture.path, allow_pickle=False)
        files.save_image(
            path,
            jnp.asarray(values[..., :3]),
            alpha=jnp.asarray(values[..., 3]) if values.shape[-1] == 4 else None,
            metadata=portable(picture.recipe).to_table(),
            provenance=picture.provenance,
            overwrite=True,  # Two requests may save it at the same time.
        )
    return path
