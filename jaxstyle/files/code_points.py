"""Colour code points (ITU-T H.273), which PNG stores in cICP and AVIF and HEIC in nclx."""

from collections.abc import Callable
from typing import BinaryIO

import numpy as np

from jaxstyle.errors import InputError
from jaxstyle.files.profiles import SRGB_CHROMATICITIES, Shaper, from_chromaticities, srgb_to_linear

_NCLX = b"colrnclx"
_SEARCHED = 1 << 16
_WHITE = SRGB_CHROMATICITIES[:2]
# Tables 2 and 3.
_PRIMARIES = {
    1: SRGB_CHROMATICITIES,
    9: (*_WHITE, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    12: (*_WHITE, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
}
_HDR = {16: "PQ", 18: "HLG"}
_VIDEO, _UNSPECIFIED, _SRGB = (1, 6, 14, 15), 2, 13


def power(exponent: float) -> Callable[[np.ndarray], np.ndarray]:
    """Returns ``x ↦ x**exponent``."""
    return lambda x: x**exponent


def _video_to_linear(x: np.ndarray) -> np.ndarray:
    return np.where(x < 0.081, x / 4.5, ((x + 0.099) / 1.099) ** (1 / 0.45))


_TO_LINEAR: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    **dict.fromkeys(_VIDEO, _video_to_linear),
    4: power(2.2),
    5: power(2.8),
    8: power(1.0),
    _SRGB: srgb_to_linear,
}


def from_code_points(primaries: int, transfer: int) -> Shaper | None:
    """Returns the conversion to sRGB, or None if the code points are unspecified or unknown.

    Raises:
        InputError: The image has a high dynamic range.
    """
    if transfer in _HDR:
        kind = _HDR[transfer]
        raise InputError(f"has a high dynamic range ({kind}); save it in standard range")
    if primaries not in _PRIMARIES or transfer not in _TO_LINEAR:
        return None
    return from_chromaticities(_PRIMARIES[primaries], _TO_LINEAR[transfer])


def from_nclx(file: BinaryIO) -> Shaper | None:
    """Returns the conversion to sRGB for an AVIF or HEIC file, or None if it does not specify one.

    The decoder applies the matrix and the range, so only primaries and transfer are left. A
    transfer function of video is displayed like that of sRGB, as viewers do.

    Raises:
        InputError: The image has a high dynamic range.
    """
    file.seek(0)
    _, found, box = file.read(_SEARCHED).partition(_NCLX)
    primaries, transfer = int.from_bytes(box[:2]), int.from_bytes(box[2:4])
    if not found:
        return None
    srgb = transfer in (*_VIDEO, _UNSPECIFIED)
    return from_code_points(primaries, _SRGB if srgb else transfer)
