"""Reads damaged pictures and parameter files in a process that may crash or hang."""

import contextlib
import io
import multiprocessing
import os
import resource
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import tifffile
from PIL import Image, ImageCms

import jaxstyle as js
from jaxstyle import files, pretrained
from jaxstyle.encoder.vgg import VGG
from jaxstyle.errors import InputError, ResourceError

from .mutations import mutated

_LIMIT_S, _MEMORY, _STDERR = 90, 8 << 30, 2


def pictures(count: int, seed: int, folder: Path) -> Iterator[tuple[str, str]]:
    """Reads damaged pictures."""
    return _read_all(_read_picture, _good_pictures(), count, seed, folder)


def parameters(count: int, seed: int, folder: Path) -> Iterator[tuple[str, str]]:
    """Reads and converts damaged parameter files."""
    return _read_all(_read_parameters, _good_parameters(), count, seed, folder)


def _read_picture(path: Path) -> None:
    image = np.asarray(js.load_image(path))
    if not (np.isfinite(image).all() and image.min() >= 0 and image.max() <= 1):
        raise ValueError("values outside [0, 1]")
    with contextlib.suppress(InputError):
        files.load_metadata(path)


def _read_parameters(path: Path) -> None:
    pretrained.verify(path)
    js.load_encoder(path)
    with tempfile.TemporaryDirectory() as folder:
        pretrained.convert(path, Path(folder, "ours.h5"))


def _read_all(
    read: Callable, good: Mapping[str, bytes], count: int, seed: int, folder: Path
) -> Iterator[tuple[str, str]]:
    """Each file must be read, or refused in one line with its name; others are not deleted."""
    spawn, process, connection = multiprocessing.get_context("spawn"), None, None
    for name, data in mutated(good, count, seed):
        path = folder / name
        path.write_bytes(data)
        if process is None or connection is None:
            connection, end = spawn.Pipe()
            process = spawn.Process(target=_serve, args=(end, read), daemon=True)
            process.start()
            end.close()
        connection.send(path)
        try:
            problem = connection.recv() if connection.poll(_LIMIT_S) else "took too long"
        except (EOFError, ConnectionError):
            problem = "the process crashed"
        if problem:  # the next file finds a new process
            process.kill()
            process = None
        else:
            path.unlink()
        yield str(path), problem


def _serve(connection: Connection, read: Callable) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    warnings.simplefilter("ignore")  # as the command does
    with tempfile.TemporaryFile() as printed:
        os.dup2(printed.fileno(), _STDERR)  # C libraries print there
        while True:
            path = connection.recv()
            problem = judge(lambda path=path: read(path), path.name)
            if size := os.fstat(_STDERR).st_size:
                problem = problem or f"printed: {os.pread(_STDERR, min(size, 200), 0)!r}"
            connection.send(problem)


def judge(act: Callable[[], object], name: str) -> str:
    """Returns what is wrong with how an action ends: well, or with one line that has a name."""
    try:
        act()
    except (js.InputError, ResourceError) as error:
        return "" if name in str(error) else f"the message lacks the name: {error}"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _good_pictures() -> dict[str, bytes]:
    """Returns small good pictures of each format."""
    rng = np.random.default_rng(0)
    values = (np.cumsum(rng.integers(0, 9, (40, 56, 4)), 1) % 256).astype(np.uint8)
    rgba, deep = Image.fromarray(values), values[..., :3].astype(np.uint16) * 257
    rgb, exif = rgba.convert("RGB"), Image.Exif()
    exif[274], exif[270] = 6, '{"jaxstyle": {"seed": "1"}}'
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    metadata = {"icc_profile": profile, "exif": exif}
    kinds = ("AVIF", "BMP", "DDS", "GIF", "ICO", "JPEG2000", "PCX", "PPM", "SGI", "TGA")
    big = io.BytesIO()
    tifffile.imwrite(big, deep, photometric="rgb", tile=(16, 16), bigtiff=True)
    return {
        **{kind: _saved(rgb, kind) for kind in kinds},
        **{f"metadata.{k}": _saved(rgb, k, **metadata) for k in ("PNG", "JPEG", "WEBP", "TIFF")},
        **{f"transparent.{kind}": _saved(rgba, kind) for kind in ("PNG", "WEBP", "TGA")},
        "palette.png": _saved(rgb.quantize(16), "PNG", transparency=3),
        "deep.png": _saved(Image.fromarray(deep[..., 0]), "PNG"),
        "progressive.jpg": _saved(rgb, "JPEG", progressive=True, subsampling=0),
        "cmyk.jpg": _saved(rgb.convert("CMYK"), "JPEG"),
        **{f"{k}.tif": _saved(rgb, "TIFF", compression=k) for k in ("tiff_lzw", "jpeg")},
        "big.tif": big.getvalue(),
    }


def torchvision() -> bytes:
    """Returns the parameters of a tiny network in torchvision's layout."""
    arrays = {f"features.{n}.weight": np.ones((4, c, 3, 3), "f4") for n, c in ((0, 3), (3, 4))}
    arrays |= {f"features.{n}.bias": np.zeros(4, "f4") for n in (0, 3)}
    return safetensors.numpy.save(arrays)


def _good_parameters() -> dict[str, bytes]:
    """Returns small good files of each layout."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ours.h5")
        pretrained.save_encoder(path, pretrained.random_encoder(VGG((1, 1), (4, 4))), {})
        return {path.name: path.read_bytes(), "torchvision.safetensors": torchvision()}
