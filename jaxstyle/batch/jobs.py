"""Jobs: which pictures are to be painted how, and into which files."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, get_args

from jaxstyle import files
from jaxstyle.errors import InputError
from jaxstyle.files.result import digests, portable
from jaxstyle.recipes.recipe import Recipe
from jaxstyle.recipes.sweeps import fits_lanes, program_of
from jaxstyle.run.start import Init


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """One picture to paint.

    Attributes:
        content: The photograph.
        styles: The painting, or several that are blended alike.
        recipe: How it is painted.
        output: Name of the picture to write, relative to the batch's folder.
        content_mask: Where the photograph's regions are; None for one region.
        style_masks: The same for each painting.
    """

    content: Path
    styles: tuple[Path, ...]
    recipe: Recipe
    output: str
    content_mask: Path | None = None
    style_masks: tuple[Path, ...] = ()

    @property
    def pictures(self) -> tuple[Path, ...]:
        """The files that it is painted from."""
        masks = () if self.content_mask is None else (self.content_mask, *self.style_masks)
        init = () if self.recipe.init in get_args(Init) else (Path(self.recipe.init),)
        return (self.content, *self.styles, *masks, *init)

    @property
    def fits_lanes(self) -> bool:
        """Whether it can be painted at once with others like it, all in one program."""
        # A painting beside the photograph, and neither masks nor a picture to start from.
        return len(self.pictures) == 2 and fits_lanes(self.recipe)

    def moved(self, content: Path, places: Mapping[Path, Path]) -> "Job":
        """Returns the same job, its pictures where they are on another machine.

        Args:
            content: Where the photograph is there.
            places: For each of the other :attr:`pictures`, where it is; one may be the photograph,
                too.
        """
        recipe = self.recipe
        if recipe.init not in get_args(Init):
            recipe = recipe.replace(init=str(places[Path(recipe.init)]))
        return dataclasses.replace(
            self,
            content=content,
            styles=tuple(places[path] for path in self.styles),
            content_mask=self.content_mask and places[self.content_mask],
            style_masks=tuple(places[path] for path in self.style_masks),
            recipe=recipe,
        )

    def shapes(self, shape_of: Callable[[Path], tuple[int, int]]) -> list[tuple[int, int]]:
        """Returns height and width of the result and of the paintings beside it.

        Args:
            shape_of: Tells those of a file.
        """
        try:
            result = self.recipe.shape_of(shape_of(self.content))
            styles = [self.recipe.style_shape_of(shape_of(path), result) for path in self.styles]
        except (InputError, ZeroDivisionError):
            return []
        return [result, *styles]

    @property
    def digest(self) -> str:
        """What tells whether settings or pictures are others than those of a job done before."""
        stamps = [stamp(path) for path in (*self.pictures, Path(self.recipe.encoder))]
        text = json.dumps([stamps, portable(self.recipe).to_table()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @property
    def sources(self) -> dict[str, Any]:
        """What the picture tells of where it comes from."""
        sources: dict[str, Any] = {
            "content": self.content.name,
            "styles": [style.name for style in self.styles],
        }
        pictures: dict[str, Any] = {"content": self.content, "styles": self.styles}
        if self.content_mask is not None:
            sources["content_mask"] = self.content_mask.name
            sources["style_masks"] = [mask.name for mask in self.style_masks]
            pictures |= {"content_mask": self.content_mask, "style_masks": self.style_masks}
        return {**sources, "sha256": digests(**pictures)}


def work_of(recipe: Recipe, shape: tuple[int, int]) -> float:
    """Returns how much there is to do for a result: megapixels × iterations, over all scales."""
    scales = recipe.make_schedule().scales_of(shape)
    return sum(h * w * iterations for (h, w), iterations in scales) / 1e6


@cache
def read_shape(path: Path) -> tuple[int, int]:
    """Reads height and width of a picture; of what is none both are 0: its job will say why."""
    try:
        return files.read_shape(path)
    except (InputError, OSError):
        return 0, 0


def stamp(path: Path) -> list[object]:
    """Returns what tells whether a file has become another, wherever its folder is mounted."""
    return [path.name, *_state(path)]


def identity(path: Path) -> tuple[object, ...]:
    """Returns what tells a file, as it is now, from all others of this machine."""
    return (os.path.realpath(path), *_state(path))


def _state(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return ()
    return found.st_size, found.st_mtime_ns


def in_order(jobs: Iterable[Job]) -> list[Job]:
    """Returns jobs so that those which share a program, and then a painting, follow each other."""

    def key(job: Job) -> tuple[str, ...]:
        return (*shared_by(job), *map(str, job.styles), job.output)

    return sorted(jobs, key=key)


def shared_by(job: Job) -> tuple[str, ...]:
    """Returns what jobs that share a compiled program have in common: settings and sizes."""
    return (program_of(job.recipe), *(str(shape) for shape in job.shapes(read_shape)))


def shard_of(jobs: Sequence[Job], index: int, count: int) -> list[Job]:
    """Returns one of ``count`` shares of jobs in order: neighbours stay together.

    Args:
        jobs: All jobs, in the same order everywhere.
        index: Which share, from 0.
        count: Number of shares.
    """
    return list(jobs[index * len(jobs) // count : (index + 1) * len(jobs) // count])
