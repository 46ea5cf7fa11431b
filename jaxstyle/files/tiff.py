"""TIFF by tifffile: which page is the picture, and samples of any depth.

tifffile alone lacks some compressions. Pillow's libtiff knows most of them, and imagecodecs all.
"""

import itertools
import math
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import ExifTags

from jaxstyle.errors import InputError
from jaxstyle.files.photo_info import PhotoInfo, read_photo_info
from jaxstyle.files.profiles import to_srgb
from jaxstyle.files.sample_values import (
    MAX_PIXELS,
    Decoded,
    aligned,
    check_size,
    split,
    turning,
    unit_range,
)
from jaxstyle.files.signatures import RAW

BYTE_ORDERS = (b"II", b"MM")
WHITE_IS_ZERO, RGB = 0, 2

_SENSOR = {32803, 34892}  # Photometric interpretations of raw photographs.
_ASSOCIATED, _UNASSOCIATED = 1, 2
_LOSSY = {6, 7, 34712, 34892, 50001}  # JPEG (old, new), JPEG 2000, DNG's JPEG, WebP.
_REDUCED_OR_MASK = 1 | 4
_DNG_VERSION = 50706
_MOST_PAGES = 32
_MOST_BYTES = 12 * MAX_PIXELS  # The size of the largest picture in float32.


class NeedsCodec(Exception):
    """Raised for a compression that tifffile alone does not support."""


class Page(NamedTuple):
    """The page of a TIFF file that is the picture.

    Attributes:
        page: As tifffile has it.
        number: Its number, or None for a page that is nested in another.
    """

    page: Any
    number: int | None

    @property
    def orientation(self) -> int:
        """EXIF orientation."""
        return self.page.tags.valueof(ExifTags.Base.Orientation, 1)

    @property
    def lossy(self) -> bool:
        """Whether the compression may have changed pixels."""
        return int(self.page.compression) in _LOSSY

    @property
    def photo_info(self) -> PhotoInfo:
        """Date, author and resolution from the tags."""
        tags = {tag.code: tag.value for tag in self.page.tags}
        exif = tags.get(ExifTags.IFD.Exif)
        taken = exif.get("DateTimeOriginal") if isinstance(exif, dict) else None
        return read_photo_info(tags, taken, None)


def find_picture(file: BinaryIO) -> Page:
    """Finds the first page that is neither a thumbnail nor a mask, and checks its size.

    Raises:
        InputError: The file is a raw photograph or a volume, or it is too large.
    """
    import tifffile  # Imported here, because only TIFF files need it.

    file.seek(0)
    pages = list(_pages(tifffile.TiffFile(file)))
    if not pages:
        raise InputError("is TIFF without a picture (0×0 px); choose another file")
    sensor = any(int(page.photometric) in _SENSOR for page, _ in pages)
    if sensor or _DNG_VERSION in pages[0].page.tags:
        raise InputError(RAW)
    full = (page for page in pages if not page.page.subfiletype & _REDUCED_OR_MASK)
    found = next(full, pages[0])
    _check(found.page)
    return found


def _pages(tiff: Any) -> Iterator[Page]:
    for number, page in enumerate(itertools.islice(tiff.pages, _MOST_PAGES)):
        yield Page(page, number)
        for nested in itertools.islice(page.pages or (), _MOST_PAGES):
            yield Page(nested, None)


def _check(page: Any) -> None:
    check_size(page.imagewidth, page.imagelength)
    if page.imagedepth > 1:
        raise InputError("is a volume of several layers; save one of them as a picture")
    tile = page.tilewidth * page.tilelength * page.samplesperpixel * page.bitspersample // 8
    if max(page.nbytes, tile) > _MOST_BYTES:
        found, limit = max(page.nbytes, tile) / 1e9, _MOST_BYTES / 1e9
        raise InputError(
            f"takes {found:.1f} GB decoded, of {page.samplesperpixel} samples a pixel; at most "
            f"{limit:.1f} can be read: save it as RGB with 8 or 16 bits"
        )


def decode_page(page: Any, *, managed: bool) -> Decoded:
    """Decodes a page of any depth, and turns it upright.

    Raises:
        NeedsCodec: The compression needs imagecodecs.
        InputError: The page is an uncommon variant.
    """
    # tifffile reads a whole strip at once, however long the file says it is.
    if max(page.databytecounts, default=0) > page.parent.filehandle.size:
        raise InputError("is damaged, or cut off; save it again")
    photometric = int(page.photometric)
    if photometric > RGB:
        raise InputError("is an uncommon variant of TIFF; save it as RGB with 8 or 16 bits")
    samples = _samples(page)
    if not managed and samples.dtype == np.uint32 and samples.max() <= 65535:
        samples = samples.astype(np.uint16)  # Small region numbers would vanish next to 2³².
    bits = page.bitspersample if page.bitspersample < 8 * samples.itemsize else None
    values = unit_range(samples, bits)
    if photometric == WHITE_IS_ZERO:
        values[..., :1] = 1 - values[..., :1]
    count = 3 if photometric == RGB else 1
    kind = page.extrasamples[0] if page.extrasamples else _UNASSOCIATED
    values = values[..., : count + (kind in (_ASSOCIATED, _UNASSOCIATED))]
    colours, opacity = split(values, None, premultiplied=kind == _ASSOCIATED)
    turn = turning(page.tags.valueof(ExifTags.Base.Orientation, 1))
    opacity = None if opacity is None else turn(opacity)
    return turn(to_srgb(colours, page.iccprofile if managed else None)), opacity


def _samples(page: Any) -> np.ndarray:
    plain = page.dtype == np.float32 and math.prod(page.shape) > 0
    try:
        samples = page.asarray(out=aligned(page.shape) if plain else None)
    except ImportError as error:
        raise NeedsCodec from error
    except (ValueError, NotImplementedError) as error:
        if "imagecodecs" not in str(error):
            raise
        raise NeedsCodec from error
    if page.axes == "SYX":
        return np.moveaxis(samples, 0, -1)
    return samples[..., None] if page.axes == "YX" else samples
