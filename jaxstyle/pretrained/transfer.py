"""One file over HTTP: no more bytes than there should be, and none that are waited for in vain."""

import contextlib
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO, Protocol, runtime_checkable
from urllib.parse import urlsplit

_TIMEOUT_S = 30  # for a connection, and between two packets
_STALL_S = 60  # for a whole chunk, or what comes before the first
_CHUNK_BYTES = 1 << 18
_TICK_S = 0.05


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

    def close(self) -> object:
        """Called when the transfer is over, whether complete or not."""
        ...


class TransferError(Exception):
    """A transfer that failed; the message says in which way."""


class _Transfer(threading.Thread):
    """Writes a body to a file; a thread, since no timeout bounds a server that sends by drops."""

    def __init__(self, url: str, file: BinaryIO, most: int) -> None:
        super().__init__(daemon=True)
        self._url, self._file, self._most = url, file, most
        self.host = urlsplit(url).netloc
        self.total = self.arrived = 0
        self.failure: Exception | None = None
        self.stopped = False

    def run(self) -> None:
        try:
            self._receive()
        # Odd headers make the libraries raise anything at all.
        except Exception as error:
            self.failure = error

    def _receive(self) -> None:
        import requests  # A tenth of a second, which only downloads need.

        # Compressions are not undone: the size and the checksum are those of the bytes as sent.
        with contextlib.ExitStack() as opened:

            def keep(response: Any, **_: object) -> None:
                # Where a redirection leads nowhere, nobody else closes what led there.
                opened.callback(response.close)

            response = requests.get(
                self._url,
                stream=True,
                timeout=_TIMEOUT_S,
                headers={"Accept-Encoding": "identity"},
                hooks={"response": keep},
            )
            if not response.ok:
                raise TransferError(
                    f"{self.host} answered {response.status_code} {response.reason}"
                )
            said = response.headers.get("Content-Length", "")
            self.total = int(said) if said.isascii() and said.isdigit() else 0
            self._check(self.total)
            while chunk := response.raw.read(_CHUNK_BYTES, decode_content=False):
                if self.stopped:
                    return
                self._check(self.arrived + len(chunk))
                try:
                    self._file.write(chunk)
                except OSError as error:
                    raise _WriteError from error
                self.arrived += len(chunk)

    def _check(self, size: int) -> None:
        if size > self._most:
            raise TransferError(f"{self.host} sends more than the {self._most} bytes of the file")


class _WriteError(Exception):
    pass


def transfer(url: str, path: Path, most: int, progress: DownloadProgress | None) -> None:
    """Downloads a file.

    Args:
        url: Where from.
        path: The file to write.
        most: How many bytes it may have.
        progress: Is told how far it has come.

    Raises:
        TransferError: It failed, the server sends too much, or nothing for too long.
        OSError: The file cannot be written.
    """
    with path.open("xb") as file:
        work = _Transfer(url, file, most)
        work.start()
        try:
            _watch(work, progress)
        finally:
            work.stopped = True
            if progress is not None:
                progress.close()
    if isinstance(work.failure, _WriteError) and work.failure.__cause__:
        raise work.failure.__cause__
    if isinstance(work.failure, TransferError):
        raise work.failure
    if work.failure:
        kind = type(work.failure).__name__
        raise TransferError(f"the transfer from {work.host} failed ({kind})") from work.failure


def _watch(work: _Transfer, progress: DownloadProgress | None) -> None:
    told, since = 0, time.monotonic()
    while True:
        over = not work.is_alive()
        if work.arrived > told:
            if progress is not None:
                progress.total = work.total
                progress.update(work.arrived - told)
            told, since = work.arrived, time.monotonic()
        if over:
            return
        if time.monotonic() - since > _STALL_S:
            raise TransferError(f"{work.host} sent next to nothing for {_STALL_S} seconds")
        work.join(_TICK_S)
