"""TIFF: which of its pages is the picture, and any depth of it, by tifffile.

What tifffile alone cannot decompress Pillow's libtiff can, and imagecodecs all of it.
"""

import itertools
import math
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from jaxstyle.errors import InputError
from jaxstyle.files.known import raw_photograph
from jaxstyle.files.profiles import to_srgb
from jaxstyle.files.samples import (
    MAX_PIXELS,
    Decoded,
    aligned,
    check_size,
    split,
    turning,
    unit_range,
)

ORDERS = (b"II", b"MM")
WHITE_IS_ZERO, RGB = 0, 2
_SENSOR = {32803, 34892}  # Photometric interpretations: colour filters, linear raw.
_ASSOCIATED, _UNASSOCIATED = 1, 2
_LOSSY = {6, 7, 34712, 34892, 50001}  # JPEG, old and new, JPEG 2000, DNG's JPEG, WebP.
_REDUCED_OR_MASK = 1 | 4
_ORIENTATION, _DNG_VERSION = 274, 50706
_MOST_PAGES = 32
_MOST_BYTES = 12 * MAX_PIXELS  # What the largest picture takes as float32.


class NeedsCodec(Exception):
    """What tifffile alone cannot read."""


class Place(NamedTuple):
    """Where in the file the picture is: the page, and its number unless it is under another."""

    page: Any
    number: int | None

    @property
    def orientation(self) -> int:
        """How the page is turned."""
        return self.page.tags.valueof(_ORIENTATION, 1)

    @property
    def lossy(self) -> bool:
        """Whether the compression may change pixels."""
        return int(self.page.compression) in _LOSSY


def find_picture(file: BinaryIO) -> Place:
    """Finds the first page that is neither reduced nor a mask; checks its size.

    Raises:
        InputError: The file is a raw photograph or a volume, or too large.
    """
    import tifffile  # Here, because only TIFF files need it.

    file.seek(0)
    places = list(_places(tifffile.TiffFile(file)))
    if not places:
        raise InputError("is TIFF without a picture (0×0 px); choose another file")
    if any(int(page.photometric) in _SENSOR for page, _ in places):
        raise raw_photograph()
    if _DNG_VERSION in places[0].page.tags:
        raise raw_photograph()
    full = (place for place in places if not place.page.subfiletype & _REDUCED_OR_MASK)
    place = next(full, places[0])
    _check(place.page)
    return place


def _places(tiff: Any) -> Iterator[Place]:
    for number, page in enumerate(itertools.islice(tiff.pages, _MOST_PAGES)):
        yield Place(page, number)
        for below in itertools.islice(page.pages or (), _MOST_PAGES):
            yield Place(below, None)


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
    """Decodes a page of any depth, upright.

    Raises:
        NeedsCodec: tifffile cannot, for want of imagecodecs.
        InputError: The page is of an uncommon kind.
    """
    # Whole strips are read at once, however long they are said to be.
    if max(page.databytecounts, default=0) > page.parent.filehandle.size:
        raise InputError("is damaged, or cut off; save it again")
    photometric = int(page.photometric)
    if photometric > RGB:
        raise InputError("is TIFF of an uncommon kind; save it as RGB with 8 or 16 bits")
    samples = _samples(page)
    if not managed and samples.dtype == np.uint32 and samples.max() <= 65535:
        samples = samples.astype(np.uint16)  # Numbers, which as parts of 2³² would vanish.
    bits = page.bitspersample if page.bitspersample < 8 * samples.itemsize else None
    values = unit_range(samples, bits)
    count = 3 if photometric == RGB else 1
    if photometric == WHITE_IS_ZERO:
        values[..., :1] = 1 - values[..., :1]
    kind = page.extrasamples[0] if page.extrasamples else _UNASSOCIATED
    values = values[..., : count + (kind in (_ASSOCIATED, _UNASSOCIATED))]
    colours, opacity = split(values, None, premultiplied=kind == _ASSOCIATED)
    turn = turning(page.tags.valueof(_ORIENTATION, 1))
    opacity = None if opacity is None else turn(opacity)
    return turn(to_srgb(colours, page.iccprofile if managed else None)), opacity


def _samples(page: Any) -> np.ndarray:
    try:
        # As JAX takes it over without a copy.
        plain = page.dtype == np.float32 and math.prod(page.shape) > 0
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
