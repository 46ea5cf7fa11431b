"""JPEG 2000: what its header says, and more than 8 bits, which Pillow rounds up into nought.

Of more than one channel, and of grey with 9 bits, Pillow adds a half to what it shifts to 8 bits;
white, rounded up to 256, is then stored as 0.
"""

import struct
from typing import BinaryIO, NamedTuple

import numpy as np

from jaxstyle.errors import InputError
from jaxstyle.files.samples import Decoded, split, unit_range

_START = b"\xff\x4f\xff\x51"  # ISO 15444-1, A.4: a codestream, and its sizes.
_STYLE = b"\xff\x52"
_SEARCHED = 1 << 24
_CONVERTED = {12: "CMYK", 18: "sYCC", 14: "Lab"}


class Codestream(NamedTuple):
    """What a file says of its samples.

    Attributes:
        depths: Bits of each channel.
        signed: Whether there are signed samples.
        reversible: Whether the wavelets lose nothing.
        space: The number of the colour space (ISO 15444-1, I.5.3.3), or None.
    """

    depths: tuple[int, ...]
    signed: bool
    reversible: bool
    space: int | None


def read_codestream(file: BinaryIO) -> Codestream:
    """Reads the header of a JPEG 2000 file.

    Raises:
        ValueError: It has none.
    """
    file.seek(0)
    data = file.read(_SEARCHED)
    start = data.index(_START)
    (count,) = struct.unpack_from(">H", data, start + 40)
    sizes = data[start + 42 : start + 42 + 3 * count : 3]
    style = data.index(_STYLE, start)
    box = data.find(b"colr\1", 0, start)
    space = struct.unpack_from(">I", data, box + 7)[0] if box >= 0 else None
    depths = tuple((size & 127) + 1 for size in sizes)
    return Codestream(depths, max(sizes) > 127, data[style + 13] == 1, space)


def decode_deep(file: BinaryIO, codestream: Codestream) -> Decoded:
    """Decodes more than 8 bits per channel.

    Raises:
        InputError: It takes an extra that is missing, or the file is of an uncommon kind.
    """
    depths = codestream.depths
    if codestream.signed or codestream.space in _CONVERTED or len(set(depths)) > 1:
        raise InputError("is JPEG 2000 of an uncommon kind; save it as 16-bit PNG or TIFF")
    try:
        import imagecodecs  # pyright: ignore[reportMissingImports] - an extra
    except ImportError:
        raise InputError(
            f'is JPEG 2000 with {depths[0]} bits per channel; pip install "jaxstyle[formats]" to '
            "read it, or save it as 16-bit PNG or TIFF"
        ) from None
    file.seek(0)
    samples = np.asarray(imagecodecs.jpeg2k_decode(file.read()))
    samples = samples if samples.ndim == 3 else samples[..., None]
    return split(unit_range(samples, depths[0]), None)
