"""Painting jobs: what a device keeps warm for one after the other, on whatever machine it is.

A :class:`Painter` takes jobs and gives records, both plain enough to be sent; it knows nothing of
manifests. Its steps, loading, painting and saving, may run beside each other.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from jaxstyle import files, pretrained
from jaxstyle.arrays import Image
from jaxstyle.batch.jobs import Job
from jaxstyle.encoder.base import check_layers
from jaxstyle.encoder.vgg_encoder import VGGEncoder
from jaxstyle.errors import InputError
from jaxstyle.files.result import save_result
from jaxstyle.recipes.paint import load_named, paint
from jaxstyle.recipes.recipe import Recipe
from jaxstyle.run.stylize import Result

Told = Callable[[float], bool | None]
"""Hears which part of what is being painted is done, in [0, 1]; returns True to stop."""

_PAINTINGS = 8  # that are kept in memory


class Record(NamedTuple):
    """What has become of a job.

    Attributes:
        output: Name of the picture.
        digest: Of the job as it was painted.
        status: ``done``; ``failed``, for the reason; or ``stopped``, and not saved.
        seconds: That it took to paint.
        terms: The weighted loss terms at its end.
        reason: Why it failed, in one line.
    """

    output: str
    digest: str
    status: Literal["done", "failed", "stopped"]
    seconds: float = 0.0
    terms: Mapping[str, float] | None = None
    reason: str = ""


class Warm(NamedTuple):
    """An encoder that is kept.

    Attributes:
        encoder: Network and pretrained parameters.
        fingerprint: Of the parameters.
    """

    encoder: VGGEncoder
    fingerprint: str


class Loaded(NamedTuple):
    """A job with what it is painted from.

    Attributes:
        job: Which.
        digest: Of what was loaded.
        content: The photograph.
        styles: The paintings.
        warm: The encoder.
    """

    job: Job
    digest: str
    content: files.Picture
    styles: list[Image]
    warm: Warm


class Painted(NamedTuple):
    """A job that only remains to be saved.

    Attributes:
        loaded: What it was painted from.
        result: What it has become.
        seconds: That it took.
    """

    loaded: Loaded
    result: Result
    seconds: float


class Painter:
    """Paints jobs into a folder, and keeps warm what the next ones take, too."""

    def __init__(
        self, folder: Path, *, cache: Path | None = None, sources: Mapping[str, Any] | None = None
    ) -> None:
        """Makes a painter, which has nothing loaded yet.

        Args:
            folder: Where the pictures go.
            cache: Where downloads are kept; None as for ``load_encoder``.
            sources: What every picture tells of where it comes from, beside the names of files.
        """
        self._folder, self._cache = folder, cache
        self._sources = dict(sources or {})
        self._paintings = lru_cache(maxsize=_PAINTINGS)(files.load_image)
        self._encoders: dict[tuple[Any, ...], Warm] = {}

    def __call__(self, jobs: Sequence[Job]) -> list[Record]:
        """Loads, paints and saves jobs of one shape, and tells what has become of each."""
        steps = [self.load(job) for job in jobs]
        loaded = [step for step in steps if isinstance(step, Loaded)]
        failed = [step for step in steps if isinstance(step, Record)]
        return failed + [self.save(painted) for painted in self.paint(loaded)]

    def load(self, job: Job) -> Loaded | Record:
        """Loads what a job is painted from."""
        digest = job.digest  # Before any file is read: what changes later is painted again.
        try:
            warm = self.encoder(job.recipe)
            check_layers(warm.encoder, job.recipe.make_objective().layers)
            styles = [self._paintings(path) for path in job.styles]
            return Loaded(job, digest, files.load_picture(job.content), styles, warm)
        except Exception as error:
            return failure(job, digest, error)

    def paint(self, group: Sequence[Loaded], told: Told | None = None) -> list[Painted | Record]:
        """Paints jobs of one shape.

        Args:
            group: What they are painted from.
            told: Hears of the progress, and may stop it.
        """
        return [self._paint(loaded, told) for loaded in group]

    def save(self, painted: Painted | Record) -> Record:
        """Saves a picture; what has failed before is handed through."""
        if isinstance(painted, Record):
            return painted
        loaded, result, seconds = painted
        job, digest = loaded.job, loaded.digest
        if result.status == "stopped":
            return Record(job.output, digest, "stopped")
        try:
            path = self._folder / job.output
            path.parent.mkdir(parents=True, exist_ok=True)
            save_result(
                path,
                result,
                job.recipe,
                fingerprint=loaded.warm.fingerprint,
                sources=job.sources | self._sources,
                content=loaded.content,
                overwrite=True,  # The manifest says that it is another picture.
            )
        except Exception as error:
            return failure(job, digest, error)
        terms = {k: float(v[-1]) for k, v in result.terms._asdict().items() if len(v)}
        return Record(job.output, digest, "done", round(seconds, 3), terms)

    def encoder(self, recipe: Recipe) -> Warm:
        """Returns the encoder that a recipe names, loaded once."""
        key = encoder_key(recipe)
        if key not in self._encoders:
            self._encoders[key] = load_warm(recipe, self._cache)
        return self._encoders[key]

    def _paint(self, loaded: Loaded, told: Told | None) -> Painted | Record:
        began = time.monotonic()
        try:
            result = paint(
                loaded.job.recipe,
                loaded.content.image,
                loaded.styles,
                encoder=loaded.warm.encoder,
                callback=told and (lambda progress: told(progress.fraction)),
            )
            if result.status == "non-finite":
                raise InputError("the loss is not finite; try smaller weights")
        except Exception as error:
            return failure(loaded.job, loaded.digest, error)
        return Painted(loaded, result, time.monotonic() - began)


def encoder_key(recipe: Recipe) -> tuple[Any, ...]:
    """Returns what recipes of one encoder have in common."""
    key = (recipe.encoder, recipe.pooling, recipe.padding, recipe.precision)
    return (*key, recipe.seed if recipe.encoder == "random" else 0)


def load_warm(recipe: Recipe, cache: Path | None = None) -> Warm:
    """Loads the encoder that a recipe names."""
    encoder = load_named(recipe, cache)
    return Warm(encoder, pretrained.fingerprint(encoder))


def failure(job: Job, digest: str, error: Exception) -> Record:
    """Returns the record of a job that an error has ended."""
    reason = str(error).strip().partition("\n")[0] or type(error).__name__
    return Record(job.output, digest, "failed", reason=reason)
