"""PNG's own words for colour: cICP, and gAMA with cHRM (PNG 3, 11.3.2)."""

from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from PIL import ImageFile

from jaxstyle.errors import InputError
from jaxstyle.files.profiles import SRGB_CHROMATICITIES, Shaper, from_chromaticities, srgb_to_linear

_WHITE = SRGB_CHROMATICITIES[:2]
# ITU-T H.273, tables 2 and 3.
_PRIMARIES = {
    1: SRGB_CHROMATICITIES,
    9: (*_WHITE, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    12: (*_WHITE, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
}
_HDR = {16: "PQ", 18: "HLG"}
_SRGB_GAMMA = 1 / 2.2
_SAME = 0.05  # Of gamma: what libpng, too, takes for the same.


def shaper_of(file: BinaryIO, image: ImageFile.ImageFile) -> Shaper | bytes | None:
    """Returns what the file's chunks say of its colours, the first that counts; None for sRGB.

    Raises:
        InputError: The picture has a high dynamic range, or samples of less than their range.
    """
    code = _chunk(file, b"cICP")
    if code is not None and len(code) == 4 and (shaper := _from_code(*code)) is not None:
        return shaper
    profile = image.info.get("icc_profile")
    if profile is not None or "srgb" in image.info:
        return profile
    return _from_gamma(image.info)


def key_of(image: ImageFile.ImageFile, raw: str) -> Any:
    """Returns the colour that means transparent at the depth that Pillow gives to the samples."""
    key = image.info["transparency"]
    if raw not in ("L;2", "L;4") or not isinstance(key, int):
        return key
    largest = (1 << int(raw[2:])) - 1
    return (key & largest) * (255 // largest)


def _chunk(file: BinaryIO, wanted: bytes) -> bytes | None:
    file.seek(8)
    while len(head := file.read(8)) == 8 and head[4:] != b"IDAT":
        size = int.from_bytes(head[:4])
        if head[4:] == wanted:
            return file.read(size)
        file.seek(size + 4, 1)
    return None


def _from_code(primaries: int, transfer: int, matrix: int, full: int) -> Shaper | None:
    if transfer in _HDR:
        kind = _HDR[transfer]
        raise InputError(f"has a high dynamic range ({kind}); save it in standard range")
    if full != 1:
        raise InputError("holds video levels (cICP); save it in full range")
    linear = _TRANSFERS.get(transfer)
    if primaries not in _PRIMARIES or linear is None or matrix != 0:
        return None  # Rare in pictures: what else the file says counts.
    return from_chromaticities(_PRIMARIES[primaries], linear)


def _from_gamma(info: dict[Any, Any]) -> Shaper | None:
    gamma = info.get("gamma", 0)
    if not gamma > 0:
        return None
    same = abs(gamma / _SRGB_GAMMA - 1) < _SAME
    return from_chromaticities(
        info.get("chromaticity", SRGB_CHROMATICITIES),
        srgb_to_linear if same else _power(1 / gamma),
    )


def _power(exponent: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: x**exponent


def _video_to_linear(x: np.ndarray) -> np.ndarray:
    """The inverse of the transfer function of BT.709, BT.601 and BT.2020."""
    return np.where(x < 0.081, x / 4.5, ((x + 0.099) / 1.099) ** (1 / 0.45))


_TRANSFERS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    **dict.fromkeys((1, 6, 14, 15), _video_to_linear),
    4: _power(2.2),
    5: _power(2.8),
    8: _power(1.0),
    13: srgb_to_linear,
}
