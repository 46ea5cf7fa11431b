"""PNG chunks that Pillow does not apply or refuses: colour, transparency, large text."""

import io
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from PIL import ImageFile

from jaxstyle.errors import InputError
from jaxstyle.files.code_points import from_code_points, power
from jaxstyle.files.profiles import SRGB_CHROMATICITIES, Shaper, from_chromaticities, srgb_to_linear

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_TEXT = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")
_LARGE = 1 << 20  # Pillow refuses a file in which compressed text is longer.
_LARGEST_PROFILE = 1 << 26
_SRGB_GAMMA = 1 / 2.2
_TOLERANCE = 0.05  # libpng treats gammas this close as equal, too.


class _Chunk(NamedTuple):
    kind: bytes
    start: int
    size: int

    def read(self, file: BinaryIO | io.BytesIO) -> bytes:
        file.seek(self.start + 8)
        return file.read(self.size)


def _chunks(file: BinaryIO | io.BytesIO) -> Iterator[_Chunk]:
    start = len(SIGNATURE)
    file.seek(start)
    while len(head := file.read(8)) == 8:
        chunk = _Chunk(head[4:], start, int.from_bytes(head[:4]))
        yield chunk
        start += chunk.size + 12
        file.seek(start)


def _find(file: BinaryIO, kind: bytes) -> bytes | None:
    return next((chunk.read(file) for chunk in _chunks(file) if chunk.kind == kind), None)


def _contents(kind: bytes, data: bytes, most: int) -> bytes:
    """Returns the text or profile in a chunk, decompressed, up to a number of bytes."""
    _, _, rest = data.partition(b"\0")
    compressed, content = kind != b"tEXt", rest[kind != b"tEXt" :]
    if kind == b"iTXt":
        compressed, content = rest[:1] == b"\1", rest[2:].split(b"\0", 2)[-1]
    if not compressed:
        return content[:most]
    try:
        return zlib.decompressobj().decompress(content, most)
    except zlib.error:
        return b""


def without_large_text(file: BinaryIO | io.BytesIO) -> BinaryIO | io.BytesIO:
    """Returns a PNG file without the text and profiles that Pillow refuses for their size."""
    large = [
        chunk
        for chunk in _chunks(file)
        if chunk.kind in _TEXT and len(_contents(chunk.kind, chunk.read(file), _LARGE + 1)) > _LARGE
    ]
    if not large:
        return file
    file.seek(0)
    data = file.read()
    for chunk in reversed(large):
        data = data[: chunk.start] + data[chunk.start + chunk.size + 12 :]
    return io.BytesIO(data)


def colours_of(file: BinaryIO, image: ImageFile.ImageFile) -> Shaper | bytes | None:
    """Returns the conversion or ICC profile that the chunks specify, or None for sRGB.

    cICP comes before iCCP, sRGB, and gAMA with cHRM (PNG 3, 4.3).

    Raises:
        InputError: The picture has a high dynamic range, or video levels.
    """
    code = _find(file, b"cICP")
    if code is not None and len(code) == 4:
        primaries, transfer, matrix, full = code
        shaper = from_code_points(primaries, transfer)
        if not full:
            raise InputError("holds video levels (cICP); save it in full range")
        if shaper is not None and matrix == 0:
            return shaper
    profile = _find(file, b"iCCP")
    if profile is not None:
        return _contents(b"iCCP", profile, _LARGEST_PROFILE)
    return None if "srgb" in image.info else _from_gamma(image.info)


def _from_gamma(info: dict[Any, Any]) -> Shaper | None:
    gamma = info.get("gamma", 0)
    if not gamma > 0:
        return None
    same = abs(gamma / _SRGB_GAMMA - 1) < _TOLERANCE
    return from_chromaticities(
        info.get("chromaticity", SRGB_CHROMATICITIES), srgb_to_linear if same else power(1 / gamma)
    )


def transparent_colour(image: ImageFile.ImageFile, raw_mode: str) -> Any:
    """Returns the colour that means transparent, at the depth that Pillow decodes to."""
    colour = image.info["transparency"]
    if raw_mode not in ("L;2", "L;4") or not isinstance(colour, int):
        return colour
    largest = (1 << int(raw_mode[2:])) - 1
    return (colour & largest) * (255 // largest)
