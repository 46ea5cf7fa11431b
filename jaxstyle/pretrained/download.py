"""Downloads: into a temporary folder of the cache, verified, converted, and then renamed.

Nothing else in the library uses the network.
"""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable
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

_DOWNLOAD = ".download-"
_MOST_BYTES = 2_000_000_000
_TIMEOUT_S = 30  # To connect, and between two packets.
_CHUNK_BYTES = 1 << 16


@runtime_checkable
class DownloadProgress(Protocol):
    """An object that displays the progress of a download, such as a tqdm bar.

    Attributes:
        total: Size of the file in bytes, or 0 if the server does not send it. It is set at the
            start.
    """

    total: int

    def update(self, n: int, /) -> object:
        """Called with the number of bytes that have arrived since the last call."""
        ...

    def close(self) -> object:
        """Called at the end of the download, whether it succeeded or not."""
        ...


class _TransferError(Exception):
    """A download that failed for the reason in the message."""


def cached_file(name: str, cache: str | os.PathLike[str] | None = None) -> Path:
    """Returns the path of a downloaded encoder."""
    return cache_folder(cache) / f"{name}.h5"


def cached_calibration(name: str, cache: str | os.PathLike[str] | None = None) -> Path:
    """Returns the path of a downloaded calibration."""
    return cache_folder(cache) / f"{name}.pth"


def _get(source: Original, raw: Path, progress: DownloadProgress | None, otherwise: str) -> None:
    """Downloads a file and verifies its checksum.

    Raises:
        InputError: The download failed. The message ends in what to do instead.
        OSError: The file cannot be written.
    """
    host = urlsplit(source.url).netloc
    trouble = f"the file from {host} has the wrong {source.checksum.partition(':')[0]} checksum"
    try:
        with raw.open("xb") as file:
            _transfer(source.url, file, source.size or _MOST_BYTES, progress)
        if _is_intact(source, raw):
            return
    except _TransferError as error:
        trouble = str(error)
    finally:
        if progress is not None:
            progress.close()
    raise InputError(
        f"encoder {source.name}: {trouble}; try again, or fetch {source.url} yourself and "
        f"{otherwise}"
    )


def _transfer(url: str, file: Any, most: int, progress: DownloadProgress | None) -> None:
    """Writes what a server sends to a file, up to a number of bytes."""
    import requests  # Imported here, because it takes a tenth of a second.

    host = urlsplit(url).netloc
    # Without compression, because size and checksum are those of the file itself.
    headers = {"Accept-Encoding": "identity"}
    try:
        with requests.get(url, stream=True, timeout=_TIMEOUT_S, headers=headers) as response:
            if not response.ok:
                raise _TransferError(f"{host} answered {response.status_code} {response.reason}")
            length = response.headers.get("Content-Length", "")
            total = int(length) if length.isascii() and length.isdigit() else 0
            if progress is not None:
                progress.total = total
            while chunk := response.raw.read(_CHUNK_BYTES, decode_content=False):
                if file.tell() + len(chunk) > most:
                    raise _TransferError(f"{host} sends more than the {most} bytes of the file")
                file.write(chunk)
                if progress is not None:
                    progress.update(len(chunk))
    except _TransferError:
        raise
    except Exception as error:  # Malformed answers make the libraries raise anything.
        if isinstance(error, OSError) and not isinstance(error, requests.RequestException):
            raise  # The disk is full.
        reason = type(error).__name__
        raise _TransferError(f"the transfer from {host} failed ({reason})") from error


def _is_intact(source: Original, file: Path) -> bool:
    algorithm, _, expected = source.checksum.partition(":")
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, algorithm).hexdigest() == expected.lower()


@contextlib.contextmanager
def _temporary_folder(destination: Path) -> Iterator[Path]:
    """Makes a temporary folder beside a file that is to be made in it."""
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
    """Downloads a calibration unless the cache has an intact one; see :func:`download`."""
    destination = cached_calibration(original.name, cache)
    if destination.is_file() and _is_intact(original, destination):
        return destination
    with _temporary_folder(destination) as folder:
        _get(original, folder / "raw", progress, f"save it as {destination}")
        os.replace(folder / "raw", destination)
    return destination


def fetch(
    source: Source,
    *,
    cache: str | os.PathLike[str] | None = None,
    progress: DownloadProgress | None = None,
) -> Path:
    """Downloads and converts an encoder, unless the cache has one; see :func:`download`."""
    destination = cached_file(source.name, cache)
    if destination.is_file():
        with contextlib.suppress(InputError):  # A damaged file is downloaded again.
            read_encoder(destination)
            return destination
    with _temporary_folder(destination) as folder:
        raw, converted = folder / "raw", folder / "converted.h5"
        _get(source, raw, progress, f"run: jaxstyle weights convert FILE {destination}")
        attributes = {
            "source": source.url,
            "source_checksum": source.checksum,
            "licence": source.licence,
        }
        encoder = convert(raw, converted, preprocessing=source.preprocessing, attributes=attributes)
        if encoder.network != source.vgg:
            raise InputError(f"encoder {source.name}: {source.url} has another network")
        os.replace(converted, destination)
    return destination


def download(
    name: str,
    *,
    cache: str | os.PathLike[str] | None = None,
    progress: DownloadProgress | None = None,
) -> Path:
    """Downloads an encoder or a calibration of the registry, unless the cache has it already.

    Args:
        name: An encoder, such as ``vgg19``, which is converted, or a calibration: ``lpips``,
            ``dists``. ``vgg16`` needs no download.
        cache: The folder for downloads. None as for :func:`cache_folder`.
        progress: Displays the progress.

    Returns:
        The file in the cache or, for ``vgg16``, in the package.

    Raises:
        InputError: The name is unknown, the download failed, or the file has another checksum than
            the registry. Nothing is left in the cache.
    """
    if name == PACKAGED:
        return packaged_file()
    if name in calibrations():
        return fetch_calibration(calibrations()[name], cache=cache, progress=progress)
    return fetch(find_source(name), cache=cache, progress=progress)


def read_original(
    original: str | os.PathLike[str], *, progress: DownloadProgress | None = None
) -> VGGEncoder:
    """Reads the encoder from an original file, without keeping a copy.

    Args:
        original: A name in the registry, whose file is downloaded, or another library's file.
        progress: Displays the progress.

    Raises:
        InputError: The name is unknown, the download failed, or the file has no VGG network.
    """
    name, path = os.fspath(original), Path(original)
    if name not in sources() and path.is_file():
        return foreign_encoder(path)
    source = find_source(name)
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder, "raw")
        _get(source, raw, progress, "give that file in place of the name")
        return foreign_encoder(raw, source.preprocessing)
