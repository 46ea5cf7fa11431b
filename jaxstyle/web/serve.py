"""The server: listens, serves the page, and deletes everything at its end."""

import asyncio
import contextlib
import logging
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from jaxstyle.atomic import name_temporary, remove_abandoned
from jaxstyle.errors import InputError
from jaxstyle.web.app import make_app
from jaxstyle.web.limits import Limits

_PREFIX = ".jaxstyle-web-"
_SHUTDOWN_SECONDS = 3  # for open connections
_REQUEST_SECONDS = 20  # until a new connection must have sent a request

_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


class _Protocol(H11Protocol):
    """HTTP that closes connections on which no request arrives."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore
        super().connection_made(transport)
        self.loop.call_later(_REQUEST_SECONDS, self._close_if_silent)

    def _close_if_silent(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()


class _Server(uvicorn.Server):
    """A server that reports its address and stops in order after a signal.

    Attributes:
        number: The signal that stopped it; None if there was none.
    """

    def __init__(
        self, config: uvicorn.Config, ready: Callable[[str], None], stop: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._ready, self._stop = ready, stop
        self.number: int | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handles signals; uvicorn itself would raise them again at the end."""
        previous = {number: signal.signal(number, self._take) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        self._stop()  # Pages that follow a run are answered, and the run ends.
        self.handle_exit(number, frame)

    async def startup(self, sockets: list | None = None) -> None:
        """Starts listening."""
        await super().startup(sockets)
        for server in getattr(self, "servers", [])[:1]:
            host, port = server.sockets[0].getsockname()[:2]
            self._ready(f"http://{f'[{host}]' if ':' in host else host}:{port}/")


def serve(
    host: str,
    port: int,
    cache: Path | None,
    *,
    limits: Limits,
    names: Iterable[str],
    ready: Callable[[str], None],
) -> int | None:
    """Serves the page until a signal ends it, and returns that signal's number.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 for any free one.
        cache: Folder of downloads; None as for ``load_encoder``.
        limits: How much a visitor may ask for.
        names: Host names of the server, besides addresses.
        ready: Receives the address of the page once it can be opened.

    Raises:
        InputError: The server cannot listen on this address.
    """
    temporary = Path(tempfile.gettempdir())
    remove_abandoned(temporary, _PREFIX)  # Of servers that were killed.
    folder = temporary / name_temporary(_PREFIX)
    folder.mkdir(mode=0o700)
    try:
        app = make_app(folder, cache, limits=limits, names=[*names, host])
        # It would log what is handled here: a port in use, streams that end with the server.
        logging.getLogger("uvicorn.error").addFilter(_is_fault)
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            http=_Protocol,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
            limit_concurrency=limits.max_connections,
        )
        server = _Server(config, ready, app.state.stop)
        try:
            server.run()
        except SystemExit:
            raise InputError(
                f"--port {port}: cannot listen on {host}: in use or not allowed; choose another"
            ) from None
        return server.number
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_fault(record: logging.LogRecord) -> bool:
    """Returns whether a log record reports a fault of the page itself."""
    return bool(record.exc_info) and not isinstance(record.exc_info[1], asyncio.CancelledError)
