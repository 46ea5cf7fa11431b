"""Samples as files store them: size limits, scaling to [0, 1], opacity and orientation."""

import contextlib
import math
import os
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

from jaxstyle.errors import InputError
from jaxstyle.ops.resize import MIN_SIDE

MAX_PIXELS = 178_000_000
"""Larger images are refused before they are decoded. Pillow's own limit is slightly higher."""

Colours: TypeAlias = np.ndarray
Opacity: TypeAlias = np.ndarray | None
Decoded: TypeAlias = tuple[Colours, Opacity]

_STDERR = 2
_ALIGNMENT = 64
_TURNED = (5, 6, 7, 8)


def check_size(width: int, height: int) -> None:
    """Refuses images that are too large to decode or too small to use."""
    if width * height > MAX_PIXELS:
        found, limit = round(width * height / 1e6), MAX_PIXELS // 1_000_000
        raise InputError(f"has {found} megapixels; at most {limit} can be read: reduce it first")
    if min(width, height) < MIN_SIDE:
        raise InputError(
            f"is {width}×{height} px; at least {MIN_SIDE} px on each side are needed: choose a "
            "larger image"
        )


def unit_range(samples: np.ndarray, bits: int | None = None) -> np.ndarray:
    """Scales samples to [0, 1]. Floating-point samples must be in that range already.

    Args:
        samples: Array of any shape.
        bits: Depth of unsigned samples. None is the depth of their type.

    Returns:
        A new array, or the same one if the samples are float32, which are clipped in place.
    """
    if samples.dtype.kind == "u":
        largest = (1 << (bits or 8 * samples.itemsize)) - 1
        return np.divide(samples, largest, dtype=np.float32, out=aligned(samples.shape))
    if samples.dtype.kind != "f":
        raise InputError("holds signed integers; save it with 8 or 16 bits per channel")
    low, high = samples.min(), samples.max()  # NaN propagates into both.
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError("holds NaN or infinite values; save it again without them")
    if low < -0.1 or high > 1.1:  # Resampling overshoots by less.
        raise InputError(
            f"holds values from {low:.4g} to {high:.4g}; floating-point images must lie in [0, 1]"
        )
    in_place = samples.dtype == np.float32 and samples.flags.writeable
    values = samples if in_place else samples.astype(np.float32)
    return np.clip(values, 0, 1, out=values)


def aligned(shape: tuple[int, ...]) -> np.ndarray:
    """Returns an uninitialised float32 array that XLA can use without a copy."""
    size = 4 * math.prod(shape)
    memory = np.empty(size + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + size].view(np.float32).reshape(shape)


def split(values: np.ndarray, opacity: Opacity, *, premultiplied: bool = False) -> Decoded:
    """Splits ``f32[h, w, 1 to 4]`` into three colours and, if it has any, opacity."""
    if values.shape[-1] in (2, 4):
        values, opacity = values[..., :-1], values[..., -1]
    colours = values if values.shape[-1] == 3 else values.repeat(3, -1)
    if premultiplied and opacity is not None:
        colours /= np.where(opacity > 0, opacity, 1)[..., None]
        np.minimum(colours, 1, out=colours)
    return colours, opacity


def turning(orientation: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function that turns an image upright, given its EXIF orientation (1 to 8)."""

    def turn(x: np.ndarray) -> np.ndarray:
        if orientation in _TURNED:
            x = x.swapaxes(0, 1)
        if orientation in (2, 3, 6, 7):
            x = x[:, ::-1]
        return x[::-1] if orientation in (3, 4, 7, 8) else x

    return turn


def upright_shape(width: int, height: int, orientation: Any) -> tuple[int, int]:
    """Returns the height and width of an image once it is turned upright."""
    return (width, height) if orientation in _TURNED else (height, width)


@contextlib.contextmanager
def quiet_library() -> Iterator[None]:
    """Discards what a C library prints to stderr, which Python cannot intercept otherwise."""
    try:
        saved = os.dup(_STDERR)
    except OSError:  # There is no stderr.
        yield
        return
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, _STDERR)
        yield
    finally:
        os.dup2(saved, _STDERR)
        os.close(saved)
        os.close(nothing)
