"""The pictures of the gallery, as the page shows them."""

import functools
from pathlib import Path

from starlette.exceptions import HTTPException

from jaxstyle import files, gallery
from jaxstyle.web.pictures import to_jpeg

_THUMBNAIL = 640  # pixels


def find_work(name: str) -> Path:
    """Returns the file of a picture of the gallery."""
    for work in gallery.works():
        if work.name == name:
            return work.path
    raise HTTPException(404, "there is no such picture in the gallery")


def facts_of(work: gallery.Work) -> dict[str, str]:
    """Returns what the page shows of a picture of the gallery."""
    return {name: getattr(work, name) for name in ("name", "kind", "artist", "title", "year")}


@functools.cache
def thumbnail(path: Path) -> bytes:
    """Returns a JPEG of a picture for display."""
    return to_jpeg(files.load_image(path), _THUMBNAIL)
