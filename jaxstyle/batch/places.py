"""Where pictures go: never over what jobs are painted from, nor over files that are not theirs."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from jaxstyle import files
from jaxstyle.batch.jobs import Job
from jaxstyle.batch.manifest import Manifest
from jaxstyle.errors import InputError
from jaxstyle.files.result import portable
from jaxstyle.recipes.recipe import Recipe


def check_inputs_stay(jobs: Iterable[Job], folder: Path) -> None:
    """Refuses jobs that would be painted over a picture that a job is painted from.

    Args:
        jobs: All jobs, those of other processes, too.
        folder: Where the pictures go.

    Raises:
        InputError: One would.
    """
    jobs = list(jobs)
    pictures = {path for job in jobs for path in job.pictures}
    inputs = {name for path in pictures for name in _names(path)}
    for job in jobs:
        output = folder / job.output
        if not inputs.isdisjoint(_names(output)):
            raise InputError(
                f"{output}: would replace a picture that is painted from; choose another folder "
                "by -o, or other names by --name"
            )


def pictures_made(folder: Path) -> set[Path]:
    """Returns the real paths of what has been painted into a folder."""
    return {Path(os.path.realpath(folder / output)) for output in Manifest(folder).made}


def _names(path: Path) -> Iterator[object]:
    """Yields what tells whether two paths are one file; some file systems ignore case."""
    try:
        yield os.path.realpath(path)
        found = path.stat()
    except (OSError, ValueError):
        return
    yield found.st_dev, found.st_ino


def check_free(job: Job, manifest: Manifest) -> None:
    """Refuses a job in whose place is a file that its batch has not made.

    Args:
        job: Which; its claim is the caller's.
        manifest: The record of the folder, read anew.

    Raises:
        InputError: There is one.
    """
    path = manifest.folder / job.output
    if os.path.lexists(path) and job.output not in manifest.made and not _is_own(path, job):
        raise InputError("exists already, and is none of this batch's; --overwrite replaces it")


def _is_own(path: Path, job: Job) -> bool:
    """Whether a picture says that it is this job's: a SIGKILL came before its line was written."""
    try:
        found = files.load_metadata(path)
        own, told = portable(job.recipe), Recipe().updated(found.settings)
        # How much is held in memory changes no picture, and is chosen anew each time.
        told = told.replace(memory=own.memory, history=own.history)
        return told == own and found.provenance["sha256"] == job.sources["sha256"]
    except (InputError, OSError, LookupError):
        return False
