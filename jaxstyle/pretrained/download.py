"""Downloading: into a temporary folder of the cache, checked, converted, and only then in place.

The only place of the library that reaches for the network.
"""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from jaxstyle.atomic import name_temporary, remove_abandoned
from jaxstyle.encoder.vgg_encoder import VGGEncoder
from jaxstyle.errors import InputError
from jaxstyle.pretrained.cache import CACHE_VARIABLE, cache_folder
from jaxstyle.pretrained.convert import convert, foreign_encoder
from jaxstyle.pretrained.registry import (
    PACKAGED,
    Original,
    Source,
    calibrations,
    find_source,
    packaged_file,
    sources,
)
from jaxstyle.pretrained.store import read_encoder
from jaxstyle.pretrained.transfer import DownloadProgress, TransferError, transfer

_DOWNLOAD = ".download-"
_MOST_BYTES = 2_000_000_000


def cached_file(name: str, cache: str | os.PathLike[str] | None = None) -> Path:
    """Returns where an encoder of the registry lies once it has been downloaded."""
    return cache_folder(cache) / f"{name}.h5"


def cached_calibration(name: str, cache: str | os.PathLike[str] | None = None) -> Path:
    """Returns where a calibration of the registry lies once it has been downloaded."""
    return cache_folder(cache) / f"{name}.pth"


def _get(source: Original, raw: Path, progress: DownloadProgress | None, otherwise: str) -> None:
    """Downloads the original file and checks it.

    Raises:
        InputError: Something went wrong; it ends in what to do otherwise.
        OSError: The file cannot be written.
    """
    host = urlsplit(source.url).netloc
    algorithm = source.checksum.partition(":")[0]
    trouble = f"what {host} sent has the wrong {algorithm} checksum"
    try:
        transfer(source.url, raw, source.size or _MOST_BYTES, progress)
        if _is_whole(source, raw):
            return
    except TransferError as error:
        trouble = str(error)
    raise InputError(
        f"encoder {source.name}: {trouble}; try again, or fetch {source.url} yourself and "
        f"{otherwise}"
    )


def _is_whole(source: Original, raw: Path) -> bool:
    algorithm, _, expected = source.checksum.partition(":")
    with raw.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest() == expected.lower()


@contextlib.contextmanager
def _beside(destination: Path) -> Iterator[Path]:
    """A temporary folder beside a file that is to be made in it, which a fault leaves empty."""
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(destination.parent, _DOWNLOAD)
        with tempfile.TemporaryDirectory(
            dir=destination.parent, prefix=name_temporary(_DOWNLOAD), ignore_cleanup_errors=True
        ) as folder:
            yield Path(folder)
    except OSError as error:
        raise InputError(
            f"{destination.parent}: cannot be written ({error.strerror}); choose another cache "
            f"folder, or set {CACHE_VARIABLE}"
        ) from error


def fetch_calibration(
    original: Original,
    *,
    cache: str | os.PathLike[str] | None = None,
    progress: DownloadProgress | None = None,
) -> Path:
    """Downloads a calibration, as it is, unless the cache holds it unharmed.

    Args and errors as for :func:`download`.
    """
    destination = cached_calibration(original.name, cache)
    if destination.is_file() and _is_whole(original, destination):
        return destination
    with _beside(destination) as folder:
        _get(original, folder / "raw", progress, f"save it as {destination}")
        os.replace(folder / "raw", destination)
    return destination


def fetch(
    source: Source,
    *,
    cache: str | os.PathLike[str] | None = None,
    progress: DownloadProgress | None = None,
) -> Path:
    """Downloads and converts one entry of the registry, unless the cache holds it unharmed.

    Args and errors as for :func:`download`.
    """
    destination = cached_file(source.name, cache)
    if destination.is_file():
        # A damaged file is fetched again, as the message about the damage says.
        with contextlib.suppress(InputError):
            read_encoder(destination)
            return destination
    with _beside(destination) as folder:
        raw, converted = folder / "raw", folder / "converted.h5"
        _get(source, raw, progress, f"run: jaxstyle weights convert FILE {destination}")
        attributes = {
            "source": source.url,
            "source_checksum": source.checksum,
            "licence": source.licence,
        }
        encoder = convert(raw, converted, preprocessing=source.preprocessing, attributes=attributes)
        if encoder.network != source.vgg:
            raise InputError(f"encoder {source.name}: {source.url} holds another network")
        os.replace(converted, destination)
    return destination


def download(
    name: str,
    *,
    cache: str | os.PathLike[str] | None = None,
    progress: DownloadProgress | None = None,
) -> Path:
    """Downloads an encoder of the registry and converts it, unless it is here already.

    Args:
        name: An encoder of the registry, such as ``vgg19``; ``vgg16`` needs no download. Or a
            calibration: ``lpips``, ``dists``.
        cache: The folder to keep it in; None as for :func:`cache_folder`.
        progress: Is told how far the download has come.

    Returns:
        Our file: in the cache, or that of the package.

    Raises:
        InputError: The name is unknown, the download failed, or what came is not what the
            registry's checksum says. Nothing is left behind then.
    """
    if name == PACKAGED:
        return packaged_file()
    if name in calibrations():
        return fetch_calibration(calibrations()[name], cache=cache, progress=progress)
    return fetch(find_source(name), cache=cache, progress=progress)


def read_original(
    original: str | os.PathLike[str], *, progress: DownloadProgress | None = None
) -> VGGEncoder:
    """Returns the encoder of an original file; nothing of it is kept.

    Args:
        original: A name of the registry, whose file is downloaded, or another library's file.
        progress: Is told how far the download has come.

    Raises:
        InputError: The name is unknown, the download failed, or the file holds no VGG network.
    """
    name, path = os.fspath(original), Path(original)
    if name not in sources() and path.is_file():
        return foreign_encoder(path)
    source = find_source(name)
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder, "raw")
        _get(source, raw, progress, "give that file in place of the name")
        return foreign_encoder(raw, source.preprocessing)
