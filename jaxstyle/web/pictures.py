"""Uploads: checked before they are decoded, kept in the visitor's folder, shown as small JPEGs."""

import io
import secrets
import threading
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from jaxstyle import files
from jaxstyle.arrays import Image
from jaxstyle.errors import InputError
from jaxstyle.ops import resize
from jaxstyle.recipes.recipe import Recipe
from jaxstyle.web.limits import Limits
from jaxstyle.web.sessions import Session, Upload

PREVIEW = 1024
"""Longer side of pictures for display, in pixels."""

# One picture is decoded at a time, to limit the memory.
DECODING = threading.Lock()


def take_in(session: Session, name: str, role: str, content: bytes, limits: Limits) -> Upload:
    """Checks and keeps an uploaded picture; call it for one picture of a session at a time.

    Args:
        session: The visitor's session.
        name: The name of the visitor's file.
        role: ``content`` or ``style``.
        content: The bytes of the file.
        limits: How large it may be.

    Raises:
        InputError: It is not a picture, damaged or too large, or there are too many.
    """
    if len(session.kept) >= limits.max_files:
        raise InputError(f"{name}: you have {limits.max_files} pictures here; remove one first")
    if session.used + len(content) > limits.max_bytes:
        most = f"{limits.max_bytes / 1e6:g} MB"
        raise InputError(f"{name}: you would have more than {most} here; remove a picture first")
    key = secrets.token_urlsafe(12)
    path = session.folder / key
    path.write_bytes(content)
    try:
        with DECODING:
            check_pixels(path, limits.max_pixels)
            picture = files.load_picture(path)
            settings, sources = _read_metadata(path)
    except InputError as error:
        path.unlink()
        raise InputError(str(error).replace(str(path), name)) from None
    upload = Upload(
        id=key,
        name=name,
        role=role,
        path=path,
        preview=to_jpeg(picture.image),
        shape=resize.shape_of(picture.image),
        # A print's own settings are useless without its preview.
        settings=_whole(sources.get("continued_from", settings)),
        sources=sources,
    )
    session.uploads[key] = upload
    return upload


def _read_metadata(path: Path) -> files.Metadata:
    """Returns the metadata of a picture, which is empty if jaxstyle did not make it."""
    try:
        return files.load_metadata(path)
    except InputError:
        return files.Metadata({}, {})


def check_pixels(path: Path, most: int) -> None:
    """Refuses a picture that is too large by its header, before it fills the memory.

    Args:
        path: The picture's file.
        most: Largest number of pixels.

    Raises:
        InputError: It has too many pixels.
    """
    height, width = files.read_shape(path)
    if height * width > most:
        raise InputError(
            f"{path}: has {width}×{height} pixels; at most {most / 1e6:g} million: reduce it first"
        )


def _whole(settings: object) -> dict[str, object]:
    """Returns a recipe's whole table; the defaults of this version fill the gaps."""
    if not settings or not isinstance(settings, dict):
        return {}
    try:
        return Recipe().updated(settings).to_table()
    except (InputError, TypeError, ValueError):  # from another version or another program
        return {}


def to_jpeg(image: Image, longest: int = PREVIEW) -> bytes:
    """Returns a small JPEG for display; values outside [0, 1] are clipped."""
    pixels = np.rint(np.clip(np.nan_to_num(np.asarray(image)), 0, 1) * 255).astype(np.uint8)
    small = PillowImage.fromarray(pixels)
    small.thumbnail((longest, longest), PillowImage.Resampling.LANCZOS)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=88)
    return file.getvalue()
