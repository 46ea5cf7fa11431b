"""The server: listens, serves the page, and deletes everything when it ends."""

import contextlib
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType

import uvicorn

from jaxstyle.atomic import name_temporary, remove_abandoned
from jaxstyle.errors import InputError
from jaxstyle.web.app import make_app
from jaxstyle.web.limits import Limits
from jaxstyle.web.work import Tools

_KIND = ".jaxstyle-web-"
_PATIENCE = 3  # seconds for open connections


_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


class _Server(uvicorn.Server):
    """A server that tells when it listens, and that a signal ends in order.

    Attributes:
        number: Of the signal that ended it; None if there was none.
    """

    def __init__(self, config: uvicorn.Config, ready: Callable[[str], None]) -> None:
        super().__init__(config)
        self._ready = ready
        self.number: int | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Takes signals as the wish to end; uvicorn's own would raise them again at the end."""
        previous = {number: signal.signal(number, self._take) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        self.handle_exit(number, frame)

    async def startup(self, sockets: list | None = None) -> None:
        """Starts to listen."""
        await super().startup(sockets)
        for server in getattr(self, "servers", [])[:1]:
            host, port = server.sockets[0].getsockname()[:2]
            self._ready(f"http://{f'[{host}]' if ':' in host else host}:{port}/")


def serve(
    host: str,
    port: int,
    tools: Tools,
    *,
    limits: Limits,
    names: Iterable[str],
    ready: Callable[[str], None],
) -> int | None:
    """Serves the page until a signal ends it, and returns that signal's number.

    Args:
        host: Address to listen at.
        port: Port to listen at; 0 for any that is free.
        tools: What the host gives.
        limits: How much a visitor may ask for.
        names: Names that the server goes by, besides addresses.
        ready: Hears where the page is, once it is there.

    Raises:
        InputError: The address cannot be listened at.
    """
    temporary = Path(tempfile.gettempdir())
    remove_abandoned(temporary, _KIND)  # of servers that were killed
    folder = temporary / name_temporary(_KIND)
    folder.mkdir(mode=0o700)
    try:
        app = make_app(folder, tools, limits=limits, names=[*names, host])
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_PATIENCE,
            limit_concurrency=limits.max_connections,
        )
        server = _Server(config, ready)
        try:
            server.run()
        except SystemExit:
            raise InputError(f"--port {port}: cannot listen at {host}; choose another") from None
        return server.number
    finally:
        shutil.rmtree(folder, ignore_errors=True)
