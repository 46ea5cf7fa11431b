"""What jobs are between the steps of painting them, and what is told of them at the end."""

import contextlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, NamedTuple

from jaxstyle import files
from jaxstyle.arrays import Image
from jaxstyle.batch.jobs import Job
from jaxstyle.encoder.vgg_encoder import VGGEncoder
from jaxstyle.ops import resize
from jaxstyle.recipes.recipe import Recipe
from jaxstyle.recipes.sweeps import program_of
from jaxstyle.run.progress import Result

Told = Callable[[float], bool | None]
"""Hears which part of what is being painted is done, in [0, 1]; returns True to stop."""

Guard = Callable[["Loaded", int], AbstractContextManager[Recipe]]
"""Yields how so many jobs like one are painted at once in the memory that there is, or refuses."""

_MOST_LANES, _LANES_PIXELS = 8, 2**20


class Record(NamedTuple):
    """What has become of a job.

    Attributes:
        output: Name of the picture.
        digest: Of the job as it was painted.
        status: ``done``; ``failed``, for the reason; or ``stopped``, and not saved.
        seconds: That it took to paint.
        work: How much that was, by :func:`~jaxstyle.batch.jobs.work_of`.
        terms: The weighted loss terms at its end.
        reason: Why it failed, in one line.
    """

    output: str
    digest: str
    status: Literal["done", "failed", "stopped"]
    seconds: float = 0.0
    work: float = 0.0
    terms: Mapping[str, float] | None = None
    reason: str = ""


class Warm(NamedTuple):
    """An encoder that is kept.

    Attributes:
        encoder: Network and pretrained parameters.
        fingerprint: Of the parameters.
        key: What tells it from others.
    """

    encoder: VGGEncoder
    fingerprint: str
    key: tuple[Any, ...]


class Loaded(NamedTuple):
    """A job with what it is painted from.

    Attributes:
        job: Which.
        digest: Of what was loaded.
        stamps: For each of the job's pictures, what tells it from others, as it was loaded.
        sources: What the picture is to tell of where it comes from.
        content: The photograph.
        styles: The paintings.
        warm: The encoder.
        masks: Where the regions are; None for one region.
        init: The picture to start from; None if the start goes by a name.
    """

    job: Job
    digest: str
    stamps: Mapping[Path, tuple[object, ...]]
    sources: Mapping[str, Any]
    content: files.Picture
    styles: list[Image]
    warm: Warm
    masks: files.Masks | None
    init: Image | None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the result."""
        return self.job.recipe.shape_of(resize.shape_of(self.content.image))

    @property
    def style_shapes(self) -> list[tuple[int, int]]:
        """Those of the paintings beside it."""
        fit = self.job.recipe.style_shape_of
        return [fit(resize.shape_of(style), self.shape) for style in self.styles]

    @property
    def alike(self) -> Any:
        """What jobs have in common that lanes can paint at once; None if lanes cannot."""
        if not self.job.fits_lanes:
            return None
        return program_of(self.job.recipe), self.warm.key, self.shape, *self.style_shapes


class Painted(NamedTuple):
    """A job that only remains to be saved.

    Attributes:
        loaded: What it was painted from.
        recipe: How it was painted: the job's, with the memory that it was given.
        result: What it has become.
        seconds: That it took.
    """

    loaded: Loaded
    recipe: Recipe
    result: Result
    seconds: float

    @property
    def stopped(self) -> bool:
        """Whether somebody has asked for a stop before its end."""
        return self.result.status == "stopped"


def failure(job: Job, digest: str, error: Exception) -> Record:
    """Returns the record of a job that an error has ended."""
    reason = str(error).strip().partition("\n")[0] or type(error).__name__
    return Record(job.output, digest, "failed", reason=reason)


def unguarded(loaded: "Loaded", lanes: int) -> AbstractContextManager[Recipe]:
    """Yields the job's own recipe, whatever memory there is."""
    return contextlib.nullcontext(loaded.job.recipe)


def room_of(job: Job, shape: tuple[int, int], lanes: int | None, platform: str) -> int:
    """Returns how many jobs like one are painted at once.

    Args:
        job: Which.
        shape: Height and width of its picture.
        lanes: How many of those that are alike; as many as pays if None.
        platform: Of the device.
    """
    return (lanes or lanes_that_pay(shape, platform)) if job.fits_lanes else 1


def lanes_that_pay(shape: tuple[int, int], platform: str) -> int:
    """Returns how many pictures are painted at once.

    On a CPU it is one: its cores are busy with one picture, and by itself that is what ``stylize``
    paints, to the bit. An accelerator idles on a picture of few pixels; from a megapixel on it is
    full.

    Args:
        shape: Height and width of the pictures.
        platform: Of the device.
    """
    if platform == "cpu":
        return 1
    return max(1, min(_MOST_LANES, _LANES_PIXELS // (shape[0] * shape[1])))
