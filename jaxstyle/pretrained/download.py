"""Downloading: into a temporary folder of the cache, checked, converted, and only then in place.

The only place of the library that reaches for the network.
"""

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any, Protocol, runtime_checkable
from urllib.parse import urlsplit

import pooch

from jaxstyle.encoder.vgg_encoder import VGGEncoder
from jaxstyle.errors import InputError
from jaxstyle.pretrained.convert import convert, foreign_encoder
from jaxstyle.pretrained.registry import PACKAGED, Source, find_source, packaged_file, sources
from jaxstyle.pretrained.store import read_encoder

CACHE_VARIABLE = "JAXSTYLE_CACHE"
_TIMEOUT_S = 30
_CHUNK_BYTES = 1 << 18


@runtime_checkable
class DownloadProgress(Protocol):
    """What is told how far a download has come, after the custom of tqdm.

    Attributes:
        total: Size of the file in bytes, set at the start; 0 where the server does not say.
    """

    total: int

    def update(self, n: int, /) -> object:
        """Called with the number of bytes that have arrived since."""
        ...

    def reset(self) -> object:
        """Called at the end, before a last ``update`` by the whole size."""
        ...

    def close(self) -> object:
        """Called when the transfer is over, whether complete or not."""
        ...


def cache_folder(cache: str | os.PathLike[str] | None = None) -> Path:
    """Returns where downloaded encoders lie.

    Args:
        cache: The folder; None takes the environment variable ``JAXSTYLE_CACHE`` or, where that is
            not set, the place that the operating system keeps for caches.

    Examples:
        >>> cache_folder("my/cache").as_posix()
        'my/cache'
    """
    chosen = cache or os.environ.get(CACHE_VARIABLE) or pooch.os_cache("jaxstyle")
    return Path(chosen).expanduser()


def cached_file(name: str, cache: str | os.PathLike[str] | None = None) -> Path:
    """Returns where an encoder of the registry lies once it has been downloaded."""
    return cache_folder(cache) / f"{name}.h5"


def _transfer(source: Source, raw: Path, progress: DownloadProgress | None) -> str | None:
    """Downloads the original file; returns what went wrong, None for nothing."""
    host = urlsplit(source.url).netloc
    bar: Any = progress or False
    get = pooch.HTTPDownloader(bar, chunk_size=_CHUNK_BYTES, timeout=_TIMEOUT_S)
    try:
        get(source.url, str(raw), None)
    except BaseException as error:
        if progress is not None:
            progress.close()
        # The exceptions of `requests` are OSErrors, but carry no errno of their own.
        if not isinstance(error, OSError) or error.errno:
            raise
        response = getattr(error, "response", None)
        if response is not None:
            return f"{host} answered {response.status_code} {response.reason}"
        return f"the transfer from {host} failed ({type(error).__name__})"
    algorithm, _, expected = source.checksum.partition(":")
    if pooch.file_hash(str(raw), alg=algorithm) != expected.lower():
        return f"what {host} sent has the wrong {algorithm} checksum"
    return None


def _get(source: Source, raw: Path, progress: DownloadProgress | None, otherwise: str) -> None:
    if trouble := _transfer(source, raw, progress):
        raise InputError(
            f"encoder {source.name}: {trouble}; try again, or fetch {source.url} yourself "
            f"and {otherwise}"
        )


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
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".download-") as folder:
            raw, converted = Path(folder, "raw"), Path(folder, "converted.h5")
            _get(source, raw, progress, f"run: jaxstyle weights convert FILE {destination}")
            attributes = {
                "source": source.url,
                "source_checksum": source.checksum,
                "licence": source.licence,
            }
            encoder = convert(
                raw, converted, preprocessing=source.preprocessing, attributes=attributes
            )
            if encoder.network != source.vgg:
                raise InputError(f"encoder {source.name}: {source.url} holds another network")
            os.replace(converted, destination)
    except OSError as error:
        raise InputError(
            f"{destination.parent}: cannot be written ({error.strerror}); choose another cache "
            f"folder, or set {CACHE_VARIABLE}"
        ) from error
    return destination


def download(
    name: str,
    *,
    cache: str | os.PathLike[str] | None = None,
    progress: DownloadProgress | None = None,
) -> Path:
    """Downloads an encoder of the registry and converts it, unless it is here already.

    Args:
        name: An encoder of the registry, such as ``vgg19``; ``vgg16`` needs no download.
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
