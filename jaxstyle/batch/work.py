"""Painting jobs one after the other; one that fails is recorded, and the rest go on."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from jaxstyle import files
from jaxstyle.arrays import Image
from jaxstyle.batch.jobs import Job
from jaxstyle.batch.manifest import Manifest
from jaxstyle.encoder.vgg_encoder import VGGEncoder
from jaxstyle.errors import InputError
from jaxstyle.recipes.paint import encoder_of, paint
from jaxstyle.run.ahead import ahead
from jaxstyle.run.progress import Result

Told = Callable[[float], bool | None]
"""Hears which part of all jobs is done, in [0, 1]; returns True to stop."""

_PAINTINGS = 8  # that are kept in memory


class Tools(NamedTuple):
    """What the host gives to a batch.

    Attributes:
        cache: Where downloads are kept; None as for ``load_encoder``.
        save: Writes a result to a path, with what it came from.
        report: Hears of each job's end: the job, and why it failed; None if it is done.
        told: Hears of the progress, and may stop it.
    """

    cache: Path | None
    save: Callable[[Path, "Loaded", Result], Any]
    report: Callable[[Job, str | None], None]
    told: Told


class Loaded(NamedTuple):
    """A job with what it is painted from."""

    job: Job
    content: files.Picture
    styles: list[Image]
    encoder: VGGEncoder


def run_jobs(jobs: Sequence[Job], folder: Path, manifest: Manifest, tools: Tools) -> int:
    """Paints jobs but those that another process has or has done, and returns how many failed.

    Args:
        jobs: In the order in which they are painted.
        folder: Where the pictures go.
        manifest: The record of that folder.
        tools: What reads, writes and tells.
    """
    failed = 0
    # The next job's pictures are decoded while this one's is painted.
    for i, (job, loaded) in enumerate(ahead(_load_all(jobs, tools.cache))):
        with manifest.claim(job) as mine:
            manifest.refresh()
            if not mine or manifest.is_done(job):
                continue
            began, last = time.monotonic(), [0.0]

            def show(progress: Any, i: int = i, last: list[float] = last) -> bool | None:
                last[0] = progress.fraction
                return tools.told((i + progress.fraction) / len(jobs))

            try:
                if isinstance(loaded, Exception):
                    raise loaded
                result = paint(
                    job.recipe,
                    loaded.content.image,
                    loaded.styles,
                    encoder=loaded.encoder,
                    callback=show,
                )
                if result.status == "stopped":
                    return failed
                if result.status == "non-finite":
                    raise InputError("the loss is not finite; try smaller weights")
                (folder / job.output).parent.mkdir(parents=True, exist_ok=True)
                tools.save(folder / job.output, loaded, result)
            except Exception as error:
                reason = str(error).strip().partition("\n")[0] or type(error).__name__
                manifest.add(job, "failed", reason=reason)
                tools.report(job, reason)
                failed += 1
            else:
                seconds = round(time.monotonic() - began, 3)
                terms = {k: float(v[-1]) for k, v in result.terms._asdict().items() if len(v)}
                manifest.add(job, "done", seconds=seconds, terms=terms)
                tools.report(job, None)
        if tools.told((i + 1) / len(jobs)):
            break
    return failed


def _load_all(jobs: Sequence[Job], cache: Path | None) -> Iterator[tuple[Job, Loaded | Exception]]:
    @lru_cache(maxsize=_PAINTINGS)
    def painting(path: Path) -> Image:
        return files.load_image(path)

    encoders: dict[tuple[Any, ...], VGGEncoder] = {}
    for job in jobs:
        recipe = job.recipe
        key = (recipe.encoder, recipe.pooling, recipe.padding, recipe.precision)
        key += (recipe.seed if recipe.encoder == "random" else 0, recipe.make_objective().layers)
        try:
            if key not in encoders:
                encoders[key] = encoder_of(recipe, cache)
            styles = [painting(path) for path in job.styles]
            yield job, Loaded(job, files.load_picture(job.content), styles, encoders[key])
        except Exception as error:
            yield job, error
