"""What a picture records about its origin, beside its recipe: names of files, checksums, facts."""

from typing import Any

from jaxstyle.files.result import digests
from jaxstyle.jobs.job import Job

DRAWN_MASKS = "masks"
"""The fact that stands for masks that were drawn on the web page and are not kept."""


STRIP = "strip"
"""The fact that the photograph's date, artist, copyright and resolution are left out."""


def sources_of(job: Job) -> dict[str, Any]:
    """Returns the names and SHA-256 checksums of a job's files, and its facts."""
    sources: dict[str, Any] = {}
    if job.content is not None:
        sources["content"] = _name(job, job.content)
    sources["styles"] = [_name(job, path) for path in job.styles]
    sources |= job.facts
    if job.blend is not None:
        sources["blend"] = ",".join(f"{weight:g}" for weight in job.blend)
    pictures: dict[str, Any] = {"content": job.content, "styles": job.styles}
    if job.content_mask is not None and DRAWN_MASKS not in job.facts:
        sources["content_mask"] = _name(job, job.content_mask)
        sources["style_masks"] = [_name(job, path) for path in job.style_masks]
        pictures |= {"content_mask": job.content_mask, "style_masks": job.style_masks}
    return {**sources, "sha256": digests(**pictures, init=job.init)}


def _name(job: Job, path: Any) -> str:
    return job.names.get(path, path.name)
