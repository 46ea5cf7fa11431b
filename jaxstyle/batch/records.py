"""The results of jobs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from jaxstyle.errors import InputError
from jaxstyle.jobs import Job, Painter, Painting, last_terms
from jaxstyle.jobs.job import work_of


class Record(NamedTuple):
    """The result of a job.

    Attributes:
        output: Name of the picture.
        digest: The job's digest when its files were read.
        status: ``done``; ``failed``; or ``stopped``, and not saved.
        seconds: How long it took to paint.
        work: The amount of work, by :func:`~jaxstyle.jobs.job.work_of`.
        terms: The weighted loss terms at the end.
        size: Size of the picture's file in bytes.
        reason: Why it failed, in one line.
    """

    output: str
    digest: str
    status: Literal["done", "failed", "stopped"]
    seconds: float = 0.0
    work: float = 0.0
    terms: Mapping[str, float] | None = None
    size: int | None = None
    reason: str = ""


def failed(job: Job, digest: str, error: Exception) -> Record:
    """Returns the record of a job that ended with an error."""
    reason = str(error).strip().partition("\n")[0] or type(error).__name__
    return Record(job.output, digest, "failed", reason=reason)


def save(
    painter: Painter, job: Job, digest: str, end: Painting | Exception, folder: Path
) -> Record:
    """Saves what was painted, and returns the job's record.

    Args:
        painter: Saves the picture.
        job: The job.
        digest: The job's digest.
        end: The painting, or the error that ended the job.
        folder: The batch's folder.
    """
    if isinstance(end, Exception):
        return failed(job, digest, end)
    if end.result.status == "stopped":
        return Record(job.output, digest, "stopped")
    if end.result.status == "non-finite":
        return failed(job, digest, InputError("the loss is not finite; try smaller weights"))
    try:
        path = folder / job.output
        path.parent.mkdir(parents=True, exist_ok=True)
        painter.save(end, path, overwrite=True)  # The loop has checked that it may.
        size = path.stat().st_size
    except Exception as error:
        return failed(job, digest, error)
    work = work_of(job.recipe, end.inputs.shapes[0])
    seconds, terms = round(end.seconds, 3), last_terms(end.result)
    return Record(job.output, digest, "done", seconds, round(work, 6), terms, size)
