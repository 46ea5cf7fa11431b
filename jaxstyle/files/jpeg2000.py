"""JPEG 2000: its header, and depths above 8 bits, where Pillow turns white into black.

Pillow adds a half before it shifts deep samples to 8 bits, and stores the 256 that white becomes
as 0.
"""

import struct
from typing import BinaryIO, NamedTuple

import numpy as np

from jaxstyle.errors import InputError
from jaxstyle.files.sample_values import Decoded, split, unit_range

_START = b"\xff\x4f\xff\x51"  # Start of the codestream, and its sizes (ISO 15444-1, A.4).
_STYLE = b"\xff\x52"
_SEARCHED = 1 << 24
_CONVERTED = (12, 18, 14)  # CMYK, sYCC, Lab (ISO 15444-1, I.5.3.3).


class Codestream(NamedTuple):
    """The header of a JPEG 2000 file.

    Attributes:
        depths: Bits of each channel.
        signed: Whether any channel has signed samples.
        reversible: Whether the compression is lossless.
        space: Number of the colour space, or None.
    """

    depths: tuple[int, ...]
    signed: bool
    reversible: bool
    space: int | None


def read_codestream(file: BinaryIO) -> Codestream:
    """Reads the header.

    Raises:
        ValueError: There is none.
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
        InputError: The extra ``formats`` is missing, or the file is an uncommon variant.
    """
    depths = codestream.depths
    if codestream.signed or codestream.space in _CONVERTED or len(set(depths)) > 1:
        raise InputError("is an uncommon variant of JPEG 2000; save it as 16-bit PNG or TIFF")
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
