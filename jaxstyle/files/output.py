"""Saving pictures: written to a temporary file, which is renamed when it is complete.

Every file has the sRGB profile and the metadata. Nothing in it depends on the time, so the same
result gives the same bytes.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import jax
import numpy as np
from jaxtyping import Array, Float
from PIL import ExifTags, PngImagePlugin
from PIL import Image as PillowImage

from jaxstyle.arrays import Image, check_image
from jaxstyle.atomic import replacing
from jaxstyle.errors import InputError
from jaxstyle.files.header import DESCRIPTION
from jaxstyle.files.metadata import make_description
from jaxstyle.files.photo_info import PhotoInfo, make_exif
from jaxstyle.files.profiles import srgb_profile
from jaxstyle.ops import resize

_OVERSHOOT, _MOST_OUTSIDE = 0.25, 0.1
_LONGEST = {".jpeg": 65_500, ".jpg": 65_500, ".webp": 16_383}


def check_output(
    path: str | os.PathLike[str],
    *,
    overwrite: bool,
    shape: tuple[int, int] | None = None,
    suffixes: Sequence[str] | None = None,
) -> None:
    """Refuses a path to which an image cannot be saved, before the image is computed.

    Args:
        path: The file to save to.
        overwrite: Whether an existing file may be replaced.
        shape: Height and width of the image, if they are known.
        suffixes: Suffixes that are allowed. None allows ``SUFFIXES``.

    Raises:
        InputError: The suffix is unknown, the folder is missing or cannot be written to, the path
            is a folder, the file exists and must not be replaced, or the format cannot hold an
            image of this size.

    Examples:
        >>> check_output("result.gif", overwrite=False)
        Traceback (most recent call last):
        jaxstyle.errors.InputError: result.gif: unknown suffix; use .jpeg, .jpg, .png, .tif, \
.tiff, .webp
    """
    path = Path(path)
    try:
        _check_output(path, Path(os.path.realpath(path)).parent, overwrite, suffixes or SUFFIXES)
    except OSError as error:  # A name that is too long, a folder that cannot be looked into.
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error
    longest = _LONGEST.get(path.suffix.lower())
    if shape is not None and longest is not None and max(shape) > longest:
        raise InputError(
            f"{path}: such files hold at most {longest} px on each side; use .png or .tif"
        )


def _check_output(path: Path, folder: Path, overwrite: bool, suffixes: Sequence[str]) -> None:
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file in it")
    if path.suffix.lower() not in suffixes:
        raise InputError(f"{path}: unknown suffix; use {', '.join(suffixes)}")
    if not folder.exists():
        raise InputError(f"{path}: its folder does not exist; create {folder} first")
    if not folder.is_dir():
        raise InputError(f"{path}: {folder} is not a folder; choose another path")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{path}: no permission to write into {folder}; choose another folder")
    if os.path.lexists(path) and not overwrite:  # Also as a link that leads nowhere yet.
        raise InputError(f"{path}: exists already; choose another name, or set overwrite")


def save_image(
    path: str | os.PathLike[str],
    image: Image,
    *,
    alpha: Float[Array, "_ _"] | None = None,
    metadata: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    photo: PhotoInfo | None = None,
    overwrite: bool = False,
) -> Path:
    """Saves an image in the format of its suffix: the whole file or, on any failure, nothing.

    PNG has 8 bits and TIFF 16 bits per channel, both lossless. JPEG (quality 95, no chroma
    subsampling) has no transparency: the image is laid over white. WebP is lossy, quality 95.

    Args:
        path: The file to save to, with one of ``SUFFIXES``.
        image: ``f32[h, w, 3]``, sRGB. Values outside [0, 1] are clipped.
        alpha: Opacity, ``f32[h, w]`` in [0, 1], as :func:`jaxstyle.files.load_picture` returns it.
        metadata: Settings to record: a recipe's table, or anything that JSON can represent.
        provenance: The inputs and versions that the picture was made with.
        photo: Date, author and resolution of the photograph, as
            :func:`jaxstyle.files.load_picture` returns it. None records none of them.
        overwrite: Whether an existing file may be replaced.

    Returns:
        The path.

    Raises:
        InputError: As :func:`check_output`; or the image is not an array of this kind, holds NaN or
            infinite values or has another range than [0, 1], the opacity has another size, or the
            format cannot hold metadata of this length.
        OSError: Writing failed, for instance because the disk is full.

    Examples:
        >>> import jax.numpy as jnp, tempfile
        >>> from jaxstyle.files import load_metadata
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = save_image(f"{folder}/a.png", jnp.ones((16, 16, 3)), metadata={"seed": 7})
        ...     load_metadata(path).settings
        {'seed': 7}
    """
    path = Path(path)
    if not isinstance(image, jax.Array | np.ndarray):
        kind = type(image)
        raise InputError(
            f"{path}: the image is a {kind.__module__}.{kind.__qualname__}; give an array "
            "float32[h, w, 3] in [0, 1]"
        )
    check_image(f"{path}: image", image)
    check_output(path, overwrite=overwrite, shape=resize.shape_of(image))
    pixels = _checked(path, "image", image)
    opacity = None if alpha is None else _checked(path, "alpha", alpha)
    if opacity is not None and opacity.shape != pixels.shape[:2]:
        sizes = " and ".join(f"{x.shape[1]}×{x.shape[0]}" for x in (pixels, opacity))
        raise InputError(f"{path}: image and alpha differ in size, {sizes} px; resize one of them")
    text = make_description(metadata, provenance)
    with replacing(path) as temporary, open(temporary, "x+b") as file:
        try:
            _WRITERS[path.suffix.lower()](file, pixels, opacity, text, photo or PhotoInfo())
        except ValueError as error:  # The text is too long for the format.
            raise InputError(f"{path}: {error}; use .png or .tif") from error
        file.flush()
        os.fsync(file.fileno())  # A full disk may show only here.
    return path


def _checked(path: Path, name: str, values: Array) -> np.ndarray:
    array = np.asarray(values, np.float32)
    if not np.isfinite(array).all():
        raise InputError(f"{path}: {name} holds NaN or infinite values; nothing was written")
    # An unclipped result overshoots in places; another range shows in much of the image.
    if (np.abs(array - 0.5) > 0.5 + _OVERSHOOT).mean() > _MOST_OUTSIDE:
        raise InputError(
            f"{path}: {name} has values from {array.min():.4g} to {array.max():.4g}; scale it to "
            "[0, 1]"
        )
    return np.clip(array, 0, 1)


def _quantised(pixels: np.ndarray, opacity: np.ndarray | None, dtype: type) -> np.ndarray:
    if opacity is not None:
        pixels = np.concatenate([pixels, opacity[..., None]], -1)
    return np.rint(pixels * np.iinfo(dtype).max).astype(dtype)


def _write_png(file: BinaryIO, pixels: Any, opacity: Any, text: str, photo: PhotoInfo) -> None:
    chunks = PngImagePlugin.PngInfo()
    if text:
        chunks.add_text(DESCRIPTION, text)
    options: dict[str, Any] = {"pnginfo": chunks, "icc_profile": srgb_profile()}
    if photo != PhotoInfo():
        options |= {"exif": make_exif("", photo), "dpi": photo.dpi}
    image = PillowImage.fromarray(_quantised(pixels, opacity, np.uint8))
    image.save(file, "PNG", **options)


def _write_jpeg(file: BinaryIO, pixels: Any, opacity: Any, text: str, photo: PhotoInfo) -> None:
    if opacity is not None:
        pixels = 1 - opacity[..., None] * (1 - pixels)
    image = PillowImage.fromarray(_quantised(pixels, None, np.uint8))
    options: dict[str, Any] = {"quality": 95, "subsampling": "4:4:4", "optimize": True}
    options |= {"exif": make_exif(text, photo), "icc_profile": srgb_profile()}
    image.save(file, "JPEG", **options, **({"dpi": photo.dpi} if photo.dpi else {}))


def _write_webp(file: BinaryIO, pixels: Any, opacity: Any, text: str, photo: PhotoInfo) -> None:
    image = PillowImage.fromarray(_quantised(pixels, opacity, np.uint8))
    exif = make_exif(text, photo)
    image.save(file, "WEBP", exif=exif, icc_profile=srgb_profile(), quality=95)


def _write_tiff(file: BinaryIO, pixels: Any, opacity: Any, text: str, photo: PhotoInfo) -> None:
    import tifffile  # Here, because Pillow writes no 16-bit colour and no other format needs it.

    texts = {ExifTags.Base.Artist: photo.artist, ExifTags.Base.Copyright: photo.copyright}
    tifffile.imwrite(
        file,
        _quantised(pixels, opacity, np.uint16),
        photometric="rgb",
        extrasamples=None if opacity is None else ["unassalpha"],
        compression="zlib",
        predictor=True,
        iccprofile=srgb_profile(),
        description=text or None,
        metadata=None,
        software="jaxstyle",
        datetime=photo.date or None,
        resolution=photo.dpi,
        resolutionunit=None if photo.dpi is None else "INCH",
        extratags=[(int(tag), "s", 0, text.encode(), True) for tag, text in texts.items() if text],
    )


_WRITERS = {
    ".jpeg": _write_jpeg,
    ".jpg": _write_jpeg,
    ".png": _write_png,
    ".tif": _write_tiff,
    ".tiff": _write_tiff,
    ".webp": _write_webp,
}

SUFFIXES = tuple(_WRITERS)
"""Suffixes of the formats that can be saved."""
