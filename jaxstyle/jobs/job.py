"""A job: which files are painted how, and into which file."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jaxstyle import files, gallery
from jaxstyle.errors import InputError
from jaxstyle.files.result import portable
from jaxstyle.pretrained import PACKAGED, sources
from jaxstyle.pretrained.load import RANDOM
from jaxstyle.recipes.paint import texture_shape, texture_side
from jaxstyle.recipes.recipe import INITS, Recipe
from jaxstyle.recipes.sweeps import fits_lanes

Shape = tuple[int, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """One picture to paint.

    Attributes:
        recipe: How it is painted.
        content: The photograph, a file or a work of the gallery; None for a texture.
        styles: The painting, or several that are blended; files or works of the gallery.
        output: The file to write. In a batch it is relative to the batch's folder.
        blend: Weight of each painting; equal weights if None.
        content_mask: The photograph's regions; None without masks.
        style_masks: The regions of each painting.
        facts: What the picture records besides, such as the name of the preset.
        names: The names that the picture records for files that are called otherwise.
    """

    recipe: Recipe
    content: Path | None = None
    styles: tuple[Path, ...]
    output: str
    blend: tuple[float, ...] | None = None
    content_mask: Path | None = None
    style_masks: tuple[Path, ...] = ()
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    names: Mapping[Path, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.content is not None:
            object.__setattr__(self, "content", gallery.resolve(self.content))
        object.__setattr__(self, "styles", tuple(map(gallery.resolve, self.styles)))

    @property
    def init(self) -> Path | None:
        """The picture to start from; None if the recipe names another start."""
        return None if self.recipe.init in INITS else Path(self.recipe.init)

    @property
    def encoder(self) -> Path | None:
        """The file of the encoder; None if it is known by name."""
        return encoder_path(self.recipe)

    @property
    def pictures(self) -> tuple[Path, ...]:
        """The picture files that it is painted from, the photograph first."""
        masks = () if self.content_mask is None else (self.content_mask, *self.style_masks)
        paths = (self.content, *self.styles, *masks, self.init)
        return tuple(path for path in paths if path is not None)

    @property
    def fits_lanes(self) -> bool:
        """Whether it can be painted together with similar jobs in one program."""
        plain = self.content is not None and self.blend is None
        # One painting, and neither masks nor a picture to start from.
        return plain and len(self.pictures) == 2 and fits_lanes(self.recipe)

    def moved(self, content: Path, others: Mapping[Path, Path]) -> "Job":
        """Returns the same job with its pictures at other paths.

        Args:
            content: The new path of the photograph.
            others: The new path of each of the other :attr:`pictures`; the photograph may be among
                them as well.
        """
        recipe = self.recipe
        if self.init is not None:
            recipe = recipe.replace(init=str(others[self.init]))
        return dataclasses.replace(
            self,
            content=content,
            styles=tuple(others[path] for path in self.styles),
            content_mask=self.content_mask and others[self.content_mask],
            style_masks=tuple(others[path] for path in self.style_masks),
            recipe=recipe,
        )

    def shapes(self, shape_of: Callable[[Path], Shape]) -> list[Shape]:
        """Returns height and width of the result and of the paintings as they are seen.

        The list is empty if a file cannot be read or a size is not possible.

        Args:
            shape_of: Returns height and width of a file.
        """
        content = None if self.content is None else shape_of(self.content)
        try:
            return shapes_of(self.recipe, content, [shape_of(path) for path in self.styles])
        except (InputError, ZeroDivisionError):
            return []

    @property
    def digest(self) -> str:
        """A hash of settings and files that changes when either of them does."""
        # A registered name is never looked up as a file: a folder may have that name.
        stamps = [_stamp(path) for path in self.pictures]
        stamps.append([self.recipe.encoder] if self.encoder is None else _stamp(self.encoder))
        table = portable(self.recipe).to_table()
        facts = [list(self.blend)] if self.blend is not None else []
        text = json.dumps([stamps, table, *facts], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def encoder_path(recipe: Recipe) -> Path | None:
    """Returns the file of a recipe's encoder; None if it is known by name."""
    name = recipe.encoder
    return None if name in (RANDOM, PACKAGED, *sources()) else Path(name)


def shapes_of(recipe: Recipe, content: Shape | None, styles: Iterable[Shape]) -> list[Shape]:
    """Returns height and width of the result and of the paintings as the network sees them.

    Args:
        recipe: How the picture is painted.
        content: Height and width of the photograph; None for a texture.
        styles: Heights and widths of the paintings.

    Raises:
        InputError: A size is not possible.
    """
    if content is None:
        fit, result = texture_side(recipe), texture_shape(recipe)
    else:
        fit, result = recipe, recipe.shape_of(content)
    return [result, *(fit.style_shape_of(style, result) for style in styles)]


def work_of(recipe: Recipe, shape: Shape) -> float:
    """Returns the amount of work for a result: megapixels × iterations, over all scales."""
    scales = recipe.make_schedule().scales_of(shape)
    return sum(h * w * iterations for (h, w), iterations, _ in scales) / 1e6


@cache
def read_shape(path: Path) -> Shape:
    """Reads height and width of a picture; 0 and 0 if it cannot be read: its job will say why."""
    try:
        return files.read_shape(path)
    except (InputError, OSError):
        return 0, 0


def identity(path: Path) -> tuple[object, ...]:
    """Returns what identifies the present content of a file on this machine."""
    return os.path.realpath(path), *_size_and_time(path)


def _stamp(path: Path) -> list[object]:
    """Returns what identifies the present content of a file, wherever its folder is mounted."""
    return [path.name, *_size_and_time(path)]


def _size_and_time(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return ()
    return status.st_size, status.st_mtime_ns


def check_inputs_kept(outputs: Iterable[Path], jobs: Iterable[Job], advice: str) -> None:
    """Refuses outputs that would replace a file that a job reads, by whatever path or link.

    Args:
        outputs: The files that will be written.
        jobs: All jobs, including those of other processes.
        advice: What to do about it.

    Raises:
        InputError: One of them would.
    """
    read = {path for job in jobs for path in (*job.pictures, job.encoder) if path is not None}
    inputs = {key for path in read for key in _keys(path)}
    for output in outputs:
        if not inputs.isdisjoint(_keys(output)):
            raise InputError(f"{output}: would replace an input; {advice}")


def _keys(path: Path) -> Iterator[object]:
    """Yields what two paths to the same file have in common; some file systems ignore case."""
    try:
        yield os.path.realpath(path)
        status = path.stat()
    except (OSError, ValueError):
        return
    yield status.st_dev, status.st_ino
