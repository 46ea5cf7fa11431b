"""Information about a photograph that is copied to pictures made from it."""

import contextlib
import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from PIL import ExifTags
from PIL.Image import Exif

_LONGEST = 1000
_DATE = re.compile(r"\d{4}:\d\d:\d\d \d\d:\d\d:\d\d")
_INCH, _CENTIMETRE = 2, 3


class PhotoInfo(NamedTuple):
    """Date, author and resolution of a photograph; a field that is unknown is empty.

    Attributes:
        date: When it was taken, as EXIF has it: ``2024:05:31 12:00:00``.
        artist: Who took it.
        copyright: The copyright notice.
        dpi: Horizontal and vertical resolution in pixels per inch, or None.
    """

    date: str = ""
    artist: str = ""
    copyright: str = ""
    dpi: tuple[float, float] | None = None


def read_photo_info(tags: Mapping[int, Any], taken: Any, dpi: Any) -> PhotoInfo:
    """Makes a :class:`PhotoInfo`; invalid values are left out.

    Args:
        tags: Tags of EXIF or TIFF by their number.
        taken: EXIF's DateTimeOriginal, or None.
        dpi: The resolution in pixels per inch if the tags have none, or None.
    """
    dates = (_text(value) for value in (taken, tags.get(ExifTags.Base.DateTime)))
    return PhotoInfo(
        date=next((date for date in dates if _DATE.fullmatch(date)), ""),
        artist=_text(tags.get(ExifTags.Base.Artist)),
        copyright=_text(tags.get(ExifTags.Base.Copyright)),
        dpi=_resolution(_tagged_dpi(tags) or dpi),
    )


def _tagged_dpi(tags: Mapping[int, Any]) -> tuple[float, ...] | None:
    scale = {_INCH: 1.0, _CENTIMETRE: 2.54}.get(tags.get(ExifTags.Base.ResolutionUnit, _INCH))
    values: Any = tags.get(ExifTags.Base.XResolution), tags.get(ExifTags.Base.YResolution)
    if scale is None or None in values:
        return None
    try:  # Pillow has numbers, and tifffile numerators and denominators.
        return tuple(scale * (v[0] / v[1] if isinstance(v, tuple) else float(v)) for v in values)
    except (TypeError, ValueError, ZeroDivisionError):
        return None


def make_exif(description: str, info: PhotoInfo) -> Exif:
    """Returns EXIF data with a description and what is known about the photograph."""
    exif = Exif()
    texts = {
        ExifTags.Base.ImageDescription: description,
        ExifTags.Base.DateTime: info.date,
        ExifTags.Base.Artist: info.artist,
        ExifTags.Base.Copyright: info.copyright,
    }
    # As bytes, because Pillow would replace all but ASCII by question marks.
    exif.update((tag, text.encode()) for tag, text in texts.items() if text)
    if info.date:
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = info.date
    if info.dpi is not None:
        exif[ExifTags.Base.XResolution], exif[ExifTags.Base.YResolution] = info.dpi
        exif[ExifTags.Base.ResolutionUnit] = _INCH
    return exif


def _text(value: Any) -> str:
    """Returns a tag's text. Pillow reads it as Latin-1, while most programs write UTF-8."""
    if not isinstance(value, str):
        return ""
    with contextlib.suppress(UnicodeError):
        value = value.encode("latin-1").decode()
    return " ".join(value.replace("\0", " ").split())[:_LONGEST]


def _resolution(dpi: Any) -> tuple[float, float] | None:
    try:
        x, y = (float(value) for value in dpi)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    usable = all(math.isfinite(value) and 1 <= value < 1e5 for value in (x, y))
    return (round(x, 2), round(y, 2)) if usable else None
