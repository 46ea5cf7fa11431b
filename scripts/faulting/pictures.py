"""Pictures of every format that is read, made wrong."""

import contextlib
import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image, ImageCms

from jaxstyle import files
from jaxstyle.errors import InputError

from .mutations import mutated
from .outcome import Tally
from .workers import try_all

_LIMIT_S = 20


def read(path: Path) -> None:
    """Reads a picture in every way that a command does."""
    files.read_shape(path)
    image, alpha, _ = files.load_picture(path)
    if not (np.isfinite(image).all() and np.min(image) >= 0 and np.max(image) <= 1):
        raise ValueError("colours outside [0, 1]")
    if alpha is not None and not np.isfinite(alpha).all():
        raise ValueError("opacity that is no number")
    with contextlib.suppress(InputError):
        files.load_metadata(path)


def _psd(values: np.ndarray) -> bytes:
    h, w, c = values.shape
    head = struct.pack(">4sH6xHIIHH", b"8BPS", 1, c, h, w, 8, 3)
    return head + bytes(12) + b"\0\0" + np.moveaxis(values, 2, 0).tobytes()


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _tiff(values: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, values, **options)
    return file.getvalue()


def originals() -> dict[str, bytes]:
    """Returns small good files: every format, and of the common ones every way of writing it."""
    rng = np.random.default_rng(0)
    values = (np.cumsum(rng.integers(0, 9, (40, 56, 4)), 1) % 256).astype(np.uint8)
    rgba = Image.fromarray(values)
    rgb, grey = rgba.convert("RGB"), rgba.convert("L")
    palette, bits = rgb.quantize(16), rgb.convert("1")
    deep = values[..., :3].astype(np.uint16) * 257
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[274], exif[270] = 6, '{"jaxstyle": {"seed": "1"}}'
    with_facts: dict[str, Any] = {"icc_profile": profile, "exif": exif}
    made = {
        "rgb.png": _saved(rgb, "PNG", **with_facts),
        "rgba.png": _saved(rgba, "PNG"),
        "palette.png": _saved(palette, "PNG", transparency=3),
        "bits.png": _saved(bits, "PNG"),
        "deep.png": _saved(Image.fromarray(deep[..., 0]), "PNG"),
        "baseline.jpg": _saved(rgb, "JPEG", **with_facts),
        "progressive.jpg": _saved(rgb, "JPEG", progressive=True, subsampling=0),
        "grey.jpg": _saved(grey, "JPEG"),
        "inks.jpg": _saved(rgb.convert("CMYK"), "JPEG"),
        "lossy.webp": _saved(rgb, "WEBP", **with_facts),
        "lossless.webp": _saved(rgba, "WEBP", lossless=True),
        "frames.webp": _saved(rgb, "WEBP", save_all=True, append_images=[rgb.rotate(180)]),
        "rgb.gif": _saved(rgb, "GIF"),
        "frames.gif": _saved(palette, "GIF", save_all=True, append_images=[palette.rotate(180)]),
        "lzw.tif": _saved(rgb, "TIFF", compression="tiff_lzw", **with_facts),
        "packbits.tif": _saved(rgba, "TIFF", compression="packbits"),
        "jpeg.tif": _saved(rgb, "TIFF", compression="jpeg"),
        "fax.tif": _saved(bits, "TIFF", compression="group4"),
        "inks.tif": _saved(rgb.convert("CMYK"), "TIFF"),
        "deep.tif": _tiff(deep, photometric="rgb", compression="zlib", predictor=True),
        "unnamed.tif": _tiff(deep),
        "planes.tif": _tiff(np.moveaxis(deep, 2, 0), photometric="rgb", planarconfig="separate"),
        "tiles.tif": _tiff(deep, photometric="rgb", tile=(16, 16)),
        "float.tif": _tiff((values[..., :3] / 255).astype(np.float32), photometric="rgb"),
        "pages.tif": _tiff(np.stack([values[..., :3]] * 2), photometric="rgb"),
        "big.tif": _tiff(deep, photometric="rgb", bigtiff=True, byteorder=">"),
        "rgb.jp2": _saved(rgb, "JPEG2000"),
        "deep.jp2": _saved(Image.fromarray(deep[..., 0]), "JPEG2000", irreversible=False),
        "rgb.avif": _saved(rgb, "AVIF"),
        "rgba.avif": _saved(rgba, "AVIF"),
        "rgb.bmp": _saved(rgb, "BMP"),
        "palette.bmp": _saved(palette, "BMP"),
        "rgb.dib": _saved(rgb, "DIB"),
        "rgba.dds": _saved(rgba, "DDS"),
        "rgb.ico": _saved(rgb, "ICO", sizes=[(32, 32), (16, 16)]),
        "bmp.ico": _saved(rgb, "ICO", sizes=[(32, 32)], bitmap_format="bmp"),
        "rgb.pcx": _saved(rgb, "PCX"),
        "rgb.ppm": _saved(rgb, "PPM"),
        "plain.ppm": b"P3 16 16 255 " + b" ".join(b"%d" % (i % 256) for i in range(768)),
        "deep.pgm": _saved(Image.fromarray(deep[..., 0].astype(np.int32)), "PPM"),
        "rgb.psd": _psd(values[..., :3]),
        "rgb.sgi": _saved(rgb, "SGI"),
        "rle.tga": _saved(rgba, "TGA", compression="tga_rle"),
        "rgb.tga": _saved(rgb, "TGA"),
    }
    return made | ({"rgba.qoi": _saved(rgba, "QOI")} if "QOI" in Image.SAVE else {})


def cases(count: int, seed: int) -> Iterator[tuple[str, str, bytes]]:
    """Yields the originals, and files that differ from them."""
    good = originals()
    yield from ((f"original {name}", name, data) for name, data in good.items())
    yield from mutated(good, count, seed)


def measure(count: int, seed: int, folder: Path) -> Tally:
    """Reads pictures that are wrong in many ways: each is read, or refused in one line."""
    tally = Tally("pictures", remark=f"{len(originals())} kinds of files")
    for case, trouble in try_all(read, cases(count, seed), _LIMIT_S, folder):
        tally.add(case, trouble)
    return tally
