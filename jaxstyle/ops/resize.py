"""Sizes of images, and resampling."""

from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.arrays import Image
from jaxstyle.compilation import jit
from jaxstyle.errors import InputError

Side = Literal["longer", "shorter", "height"]

Size: TypeAlias = int | tuple[int, int] | Literal["original"]
"""One side in pixels, or width and height, or the size of the photograph."""

MIN_SIDE = 16
"""The smallest side of a picture in pixels; below it the fifth block has no positions."""

MAX_SIDE = 2**16
"""The largest side of a picture in pixels, far larger than any memory can hold."""


def parse_size(text: str) -> Size:
    """Reads ``512``, ``640x480`` or ``original``.

    Raises:
        InputError: The text is none of these.
    """
    if text.lower() == "original":
        return "original"
    try:
        sides = [int(part) for part in text.lower().split("x")]
        if len(sides) == 1:
            return sides[0]
        width, height = sides
        return width, height
    except ValueError:
        raise InputError(
            f"size {text}: not a size; give pixels, WIDTHxHEIGHT or original"
        ) from None


def size_text(size: Size) -> str:
    """Returns ``512``, ``640x480`` or ``original``."""
    return "x".join(map(str, size)) if isinstance(size, tuple) else str(size)


def sides(size: Size) -> tuple[int, ...]:
    """Returns the sides that a size specifies, in pixels."""
    if isinstance(size, tuple):
        return size
    return (size,) if isinstance(size, int) else ()


def shape_of(image: Image) -> tuple[int, int]:
    """Returns the height and width of an image in pixels."""
    height, width, _ = image.shape
    return height, width


def measure(shape: tuple[int, int], side: Side) -> int:
    """Returns the length of a side in pixels."""
    return {"longer": max(shape), "shorter": min(shape), "height": shape[0]}[side]


def fit(shape: tuple[int, int], size: int, side: Side = "longer") -> tuple[int, int]:
    """Scales height and width so that one side becomes ``size``.

    Args:
        shape: Height and width in pixels.
        size: New length of the side in pixels.
        side: Which side becomes ``size``.

    Examples:
        >>> fit((768, 1024), 512), fit((768, 1024), 512, "shorter")
        ((384, 512), (512, 683))
    """
    measured = measure(shape, side)
    return max(1, round(shape[0] * size / measured)), max(1, round(shape[1] * size / measured))


def round_to(shape: tuple[int, int], multiple: int) -> tuple[int, int]:
    """Rounds height and width to the nearest multiples of a number of pixels, at least one each.

    Raises:
        InputError: The multiple is less than 1.

    Examples:
        >>> round_to((337, 512), 32)
        (352, 512)
    """
    if multiple < 1:
        raise InputError(f"multiple {multiple}: too small; give at least 1")
    height, width = (max(1, round(side / multiple)) * multiple for side in shape)
    return height, width


def resize(image: Float[Array, "_ _ c"], shape: tuple[int, int]) -> Float[Array, "_ _ c"]:
    """Resamples an image with a Lanczos filter of three lobes, with antialiasing if it shrinks.

    Args:
        image: ``f32[h, w, c]`` in [0, 1].
        shape: New height and width in pixels.

    Returns:
        ``f32[*shape, c]``, clipped to [0, 1], because the filter rings at edges.

    Examples:
        >>> import jax.numpy as jnp
        >>> resize(jnp.ones((40, 60, 3)), (20, 30)).shape
        (20, 30, 3)
    """
    if image.shape[:2] == shape:
        return image
    return _resample(image, shape)


@jit(static_argnames=("shape",))
def _resample(image: Float[Array, "_ _ c"], shape: tuple[int, int]) -> Float[Array, "_ _ c"]:
    return jnp.clip(jax.image.resize(image, (*shape, image.shape[2]), "lanczos3"), 0.0, 1.0)


def resize_masks(masks: Float[Array, "r _ _"], shape: tuple[int, int]) -> Float[Array, "r _ _"]:
    """Resamples masks bilinearly, with antialiasing if they shrink, preserving sums over regions.

    Args:
        masks: One per region, ``f32[r, h, w]`` in [0, 1].
        shape: New height and width in pixels.

    Examples:
        >>> import jax.numpy as jnp
        >>> resize_masks(jnp.ones((2, 40, 60)), (20, 30)).shape
        (2, 20, 30)
    """
    return jax.image.resize(masks, (len(masks), *shape), "linear")


def scale_to(image: Image, size: int) -> Image:
    """Resamples an image so that its longer side is ``size``, preserving its aspect ratio.

    Args:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        size: New length of the longer side in pixels.

    Examples:
        >>> import jax.numpy as jnp
        >>> scale_to(jnp.ones((40, 60, 3)), 30).shape
        (20, 30, 3)
    """
    return resize(image, fit(shape_of(image), size))
