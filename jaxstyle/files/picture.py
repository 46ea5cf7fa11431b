"""Loading pictures, or refusing them with one line that says why."""

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from jaxstyle.arrays import Image
from jaxstyle.errors import InputError, InputWarning
from jaxstyle.files.decode import decode
from jaxstyle.files.header import FORMATS, Header, read_header
from jaxstyle.files.photo_info import PhotoInfo
from jaxstyle.files.sample_values import MAX_PIXELS, Colours, Opacity
from jaxstyle.files.signatures import HEIC_SUFFIXES
from jaxstyle.ops.resize import scale_to
from jaxstyle.paths import existing

# Colours count in full from an opacity of 1/16; below, many programs store rounding errors.
_TRUSTED = 16
_BAND = 32


class Picture(NamedTuple):
    """An image, its transparency, and what the file says about the photograph.

    Attributes:
        image: ``f32[h, w, 3]``, sRGB in [0, 1]. Invisible regions have plausible colours.
        alpha: Opacity, ``f32[h, w]`` in [0, 1], or None if the whole picture is opaque.
        info: Date, author and resolution.
    """

    image: Image
    alpha: Float[Array, "h w"] | None
    info: PhotoInfo = PhotoInfo()


def load_picture(path: str | os.PathLike[str]) -> Picture:
    """Loads an image of any common format, upright, in sRGB, with its transparency.

    Supports 8 bits per channel in all formats, 16 bits in PNG and TIFF, and floating-point TIFF (in
    [0, 1], gamma-encoded unless its profile says otherwise); greyscale, palettes, CMYK and Lab. Of
    several frames the first that is not a thumbnail is loaded. EXIF orientation and an embedded ICC
    profile are applied, as are the colour code points of PNG, AVIF and HEIC, and gAMA with cHRM of
    PNG. A JPEG file that ends early is loaded with a warning.

    The extra ``formats`` (imagecodecs) adds JPEG 2000 of more than 8 bits, and more compressions
    and depths of TIFF; ``heif`` (pillow-heif) adds HEIC.

    Visible regions have the file's own colours, not blended with a backdrop. Into transparent
    regions the colours of their surroundings are spread (pull-push, Gortler et al. 1996, The
    Lumigraph): the border of a fixed backdrop would be stylized like any other contour.

    Args:
        path: A JPEG, PNG, WebP, TIFF, AVIF, GIF, BMP, PSD, … file.

    Returns:
        Image, opacity, and what the file says about the photograph.

    Raises:
        InputError: The file is missing, unreadable, empty, damaged, not an image, of a size outside
            ``MIN_SIDE`` and ``MAX_PIXELS``, or transparent everywhere.

    Examples:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("RGBA", (32, 16), (255, 0, 51, 128)).save(f"{folder}/logo.png")
        ...     picture = load_picture(f"{folder}/logo.png")
        >>> picture.image.shape, picture.alpha.shape
        ((16, 32, 3), (16, 32))
        >>> [round(float(value), 3) for value in picture.image[0, 0]]
        [1.0, 0.0, 0.2]
    """
    header, colours, opacity = read_file(Path(path))
    info = header.photo_info
    if opacity is not None and not opacity.any():
        problem = "is transparent everywhere, and so would the result be; save it without opacity"
        raise InputError(f"{path}: {problem}")
    if opacity is None or opacity.min() == 1:
        return Picture(_to_jax(colours), None, info)
    trust = opacity * _TRUSTED
    np.minimum(trust, 1, out=trust)
    colours *= trust[..., None]  # In place, because pictures are large.
    _pull_push(colours, trust)
    del trust
    np.clip(colours, 0, 1, out=colours)
    return Picture(_to_jax(colours), _to_jax(opacity), info)


def read_file(path: Path, *, managed: bool = True) -> tuple[Header, Colours, Opacity]:
    """Reads a file's header and pixels; arguments as for ``decode``.

    Raises:
        InputError: As :func:`load_picture`.

    Warns:
        InputWarning: The file is a JPEG file that ends early.
    """
    notes: list[str] = []
    with reading(path) as file:
        header = read_header(file)
        colours, opacity = decode(file, managed=managed, notes=notes)
    for note in notes:
        warnings.warn(f"{path}: {note}", InputWarning, stacklevel=3)
    return header, colours, opacity


def _to_jax(values: np.ndarray) -> Array:
    """Converts an array that is not written to any more, on CPUs without a copy."""
    return jax.device_put(np.ascontiguousarray(values, np.float32), may_alias=True)


def load_image(path: str | os.PathLike[str], size: int | None = None) -> Image:
    """Loads the image of :func:`load_picture` without its transparency.

    Args:
        path: An image file.
        size: Longer side of the result in pixels. None keeps the size.

    Returns:
        ``f32[h, w, 3]``, sRGB in [0, 1].

    Raises:
        InputError: The size is too small, or as :func:`load_picture`.

    Examples:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("L", (32, 16), 51).save(f"{folder}/grey.png")
        ...     image = load_image(f"{folder}/grey.png", size=20)
        >>> image.shape, round(float(image.max()), 3)
        ((10, 20, 3), 0.2)
    """
    if size is not None and size < 1:
        raise InputError(f"size {size}: must be at least 1 pixel")
    image = load_picture(path).image
    return image if size is None else scale_to(image, size)


def read_shape(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Reads the height and width of a file's image, upright, from its header.

    Raises:
        InputError: As :func:`load_picture`, as far as the header shows it.
    """
    with reading(Path(path)) as file:
        return read_header(file).shape


def has_picture_suffix(path: Path) -> bool:
    """Returns whether a name has the suffix of a format that :func:`load_picture` reads."""
    PillowImage.init()
    suffix = path.suffix.lower()
    return suffix in HEIC_SUFFIXES or PillowImage.EXTENSION.get(suffix) in FORMATS


@contextlib.contextmanager
def reading(path: Path) -> Iterator[BinaryIO]:
    """Opens an image file, and turns whatever goes wrong into an :class:`InputError` of one line.

    Warnings and logs of Pillow and tifffile are dropped, because users can do nothing about them.
    """
    with _open(path) as file, _silence(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not os.fstat(file.fileno()).st_size:
            raise InputError(f"{path}: is empty; choose another file")
        try:
            yield file
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        except PillowImage.DecompressionBombError as error:
            limit = MAX_PIXELS // 1_000_000
            problem = f"has more than the {limit} megapixels that can be read; reduce it first"
            raise InputError(f"{path}: {problem}") from error
        except UnidentifiedImageError as error:
            problem = "is not an image of a known format; use JPEG, PNG, WebP or TIFF"
            raise InputError(f"{path}: {problem}") from error
        except MemoryError:
            raise
        except Exception as error:  # A decoder may raise anything for a damaged file.
            reason = " ".join(str(error).split()) or type(error).__name__
            problem = f"is damaged, or an uncommon variant of its format ({reason}); save it again"
            raise InputError(f"{path}: {problem}") from error


def _open(path: Path) -> BinaryIO:
    path = existing(path)
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a folder; name an image file")
        if path.exists() and not path.is_file():  # Reading a pipe could wait for ever.
            raise InputError(f"{path}: is not an ordinary file; save the image first")
        return path.open("rb")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the name") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be opened ({error.strerror})") from error


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Drops the logs of Pillow and tifffile; a logger's filter does not apply to its children."""

    def drop(_: logging.LogRecord) -> bool:
        return False

    names = [name for name in logging.root.manager.loggerDict if name.startswith("PIL.")]
    loggers = [logging.getLogger(name) for name in ("tifffile", *names)]
    for logger in loggers:
        logger.addFilter(drop)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(drop)


def _pull_push(colours: np.ndarray, weight: np.ndarray) -> None:
    """Fills in invisible pixels from ever coarser averages of their surroundings.

    Args:
        colours: ``f32[h, w, 3]``, already multiplied by the weights; ``(1 − weight)·coarser`` is
            added in place.
        weight: ``f32[h, w]`` in [0, 1].
    """
    if weight.shape == (1, 1):
        colours /= weight
        return
    coarser, coverage = _halve(colours), _halve(weight)
    # Half a block of visible pixels is enough: the weight saturates.
    full = np.maximum(coverage, 1)
    coarser /= full[..., None]
    coverage /= full
    _pull_push(coarser, coverage)
    for top in range(0, len(coarser), _BAND):
        rows = np.s_[2 * top : 2 * (top + _BAND)]
        near = np.arange(top - 1, min(top + _BAND, len(coarser)) + 1).clip(0, len(coarser) - 1)
        columns = _double(coarser[near]).swapaxes(0, 1)
        finer = _double(np.pad(columns, ((1, 1), (0, 0), (0, 0)), mode="edge")).swapaxes(0, 1)
        h, w = weight[rows].shape
        colours[rows] += (1 - weight[rows])[..., None] * finer[:h, :w]


def _halve(x: np.ndarray) -> np.ndarray:
    """Sums blocks of 2×2."""
    h, w = x.shape[:2]
    total = np.zeros(((h + 1) // 2, (w + 1) // 2, *x.shape[2:]), np.float32)
    for y in range(2):
        for x_start in range(2):
            part = x[y::2, x_start::2]
            total[: part.shape[0], : part.shape[1]] += part
    return total


def _double(padded: np.ndarray) -> np.ndarray:
    """Doubles the number of rows by linear interpolation; the two outer rows are padding."""
    x = padded[1:-1]
    pairs = np.stack([0.75 * x + 0.25 * padded[:-2], 0.75 * x + 0.25 * padded[2:]], 1)
    return pairs.reshape(-1, *x.shape[1:])
