"""Downloads from a server on this machine that does all that a server may do wrong."""

import dataclasses
import hashlib
import http.server
import importlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors.numpy

from jaxstyle.encoder.vgg import VGG
from jaxstyle.errors import InputError
from jaxstyle.pretrained import registry

from .outcome import Tally
from .parameters import kernels

_LIMIT_S = 20
_TIMEOUT_S = 2
CONTENT = safetensors.numpy.save(kernels())

# Whatever the others say of its length and packing, what comes has the right checksum.
_GOOD = ("good", "negative", "packed")


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        what, _, number = self.path[1:].partition("-")
        try:
            getattr(self, f"_{what}")(int(number or 0))
        except OSError:  # Who asked has gone.
            self.close_connection = True

    def _begin(self, length: int | None, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _good(self, _: int) -> None:
        self._begin(len(CONTENT))
        self.wfile.write(CONTENT)

    def _cut(self, tenths: int) -> None:
        self._begin(len(CONTENT))
        self.wfile.write(CONTENT[: len(CONTENT) * tenths // 10])
        self.close_connection = True

    def _cut_unsaid(self, tenths: int) -> None:
        self._begin(None)
        self.wfile.write(CONTENT[: len(CONTENT) * tenths // 10])
        self.close_connection = True

    def _silent(self, _: int) -> None:
        self._begin(len(CONTENT))
        time.sleep(2 * _LIMIT_S)

    def _mute(self, _: int) -> None:
        time.sleep(2 * _LIMIT_S)

    def _circle(self, number: int) -> None:
        self._begin(0, 302, Location=f"/circle-{1 - number}")

    def _file(self, _: int) -> None:
        self._begin(0, 302, Location="file:///etc/passwd")

    def _elsewhere(self, _: int) -> None:
        self._begin(0, 302, Location="ftp://127.0.0.1/x\x1b[2J")

    def _larger(self, _: int) -> None:
        self._begin(None)
        for _ in range(1 << 12):
            self.wfile.write(bytes(1 << 18))
        self.close_connection = True

    def _claims(self, _: int) -> None:
        self._begin(1 << 50)
        for _ in range(1 << 12):
            self.wfile.write(bytes(1 << 18))

    def _negative(self, _: int) -> None:
        self._begin(-5)
        self.wfile.write(CONTENT)

    def _words(self, _: int) -> None:
        self._begin(None, Content_Length="much\x1b[2J")

    def _packed(self, _: int) -> None:
        self._begin(len(CONTENT), Content_Encoding="gzip")
        self.wfile.write(CONTENT)

    def _empty(self, _: int) -> None:
        self._begin(0)

    def _page(self, _: int) -> None:
        page = b"<html>Sign in</html>"
        self._begin(len(page))
        self.wfile.write(page)

    def _reason(self, _: int) -> None:
        self.send_response(404, "a\x1b[2J[/]")
        self.end_headers()

    def _status(self, number: int) -> None:
        self.send_error(number)

    def _noise(self, _: int) -> None:
        self.wfile.write(b"\xff\x00\x1b[2J" * 99)
        self.close_connection = True

    def _headers(self, _: int) -> None:
        headers: dict[str, Any] = {f"X-{i}": "x" * 900 for i in range(999)}
        self._begin(None, **headers)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Says nothing."""


@contextmanager
def _serving() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads, server.block_on_close = True, False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def _cases() -> list[str]:
    cut = [f"{kind}-{tenths}" for kind in ("cut", "cut_unsaid") for tenths in range(10)]
    plain = ["silent", "mute", "circle-0", "file", "elsewhere", "larger", "claims"]
    plain += ["negative", "words", "packed", "empty", "page", "reason", "noise", "headers"]
    return [*cut, *plain, *(f"status-{code}" for code in (400, 403, 404, 429, 500, 503))]


def _attempt(act: Callable[[], object]) -> str:
    """Returns what is wrong with how an act ends; it has to be refused."""
    found = ["not done in time"]

    def attempt() -> None:
        try:
            act()
        except InputError as error:
            found[0] = "" if "tiny" in str(error) else f"the line lacks the name: {error}"
        except BaseException as error:
            found[0] = f"{type(error).__name__}: {error}"
        else:
            found[0] = "was taken for good"

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(_LIMIT_S)
    return found[0]


def fetch(folder: Path) -> Tally:
    """Downloads what is cut off, slow, too large, or somewhere else."""
    tally = Tally("downloads", remark=f"of {len(CONTENT)} bytes, {_LIMIT_S} s at most")
    good = registry.Source(
        name="tiny",
        url="",
        checksum=f"sha256:{hashlib.sha256(CONTENT).hexdigest()}",
        size=len(CONTENT),
        licence="a licence",
        vgg=VGG((1, 1), (4, 5)),
        preprocessing="torch",
    )
    # The package has a function of that name.
    download: Any = importlib.import_module("jaxstyle.pretrained.download")
    download._TIMEOUT_S = _TIMEOUT_S
    os.environ["NO_PROXY"] = "127.0.0.1"
    with _serving() as address:
        for case in ("good", *_cases()):
            cache = folder / case
            source = dataclasses.replace(good, url=f"{address}/{case}")
            trouble = _attempt(lambda s=source, c=cache: download.fetch(s, cache=c))
            if case in _GOOD:
                trouble = "" if trouble == "was taken for good" else trouble
            elif not trouble and cache.exists() and (left := list(cache.iterdir())):
                trouble = f"left {left}"
            tally.add(case, trouble)
    return tally
