"""Outputs never replace a file that the batch has not painted."""

import os
from pathlib import Path

from jaxstyle import files
from jaxstyle.batch.manifest import Manifest
from jaxstyle.errors import InputError
from jaxstyle.files.result import portable
from jaxstyle.jobs import Job
from jaxstyle.jobs.provenance import sources_of
from jaxstyle.recipes.recipe import Recipe


def painted_pictures(folder: Path) -> set[Path]:
    """Returns the real paths of all pictures that were painted into a folder."""
    return {Path(os.path.realpath(folder / output)) for output in Manifest(folder).made}


def check_free(job: Job, manifest: Manifest) -> None:
    """Refuses a job whose output is a file that the batch has not painted.

    Args:
        job: The job; the caller has its claim.
        manifest: The folder's manifest.

    Raises:
        InputError: There is such a file.
    """
    path = manifest.folder / job.output
    if os.path.lexists(path) and job.output not in manifest.made and not _is_own(path, job):
        raise InputError("exists already, and this batch has not painted it; use --overwrite")


def _is_own(path: Path, job: Job) -> bool:
    """Returns whether a picture records that it is this job's: its line may have been lost."""
    try:
        settings, provenance = files.load_metadata(path)
        own, recorded = portable(job.recipe), Recipe().updated(settings)
        # The memory plan changes no picture, and is chosen each time.
        recorded = recorded.replace(memory=own.memory, history=own.history)
        return recorded == own and provenance["sha256"] == sources_of(job)["sha256"]
    except (InputError, OSError, LookupError, TypeError):
        return False
