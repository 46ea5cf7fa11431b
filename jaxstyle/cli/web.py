"""``jaxstyle web``: the page, for this machine or, if asked to, for others."""

import dataclasses
import importlib.util
import ipaddress
from typing import Annotated

from tyro.conf import UseAppendAction, arg

from jaxstyle.cli import report, run
from jaxstyle.cli.options import Cache, CompileCache, Debug, Quiet
from jaxstyle.errors import InputError

_NEEDED = ("starlette", "uvicorn")


@dataclasses.dataclass(frozen=True)
class Web:
    """Serve a page to paint with in a browser, by default for this machine alone.

    No request leaves the machine, and pictures are deleted an hour after a visitor's last action.
    """

    host: str = "127.0.0.1"
    """Address to listen at; any other than this lets others in, 0.0.0.0 all who reach the
    machine."""
    port: int = 7860
    """Port to listen at; 0 for any that is free."""
    allow_host: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="NAME")] = ()
    """A name that others reach this machine by."""
    max_upload: float = 32.0
    """Megabytes of a picture that is handed in, at most."""
    max_pixels: float = 50.0
    """Megapixels of a picture that is handed in, at most."""
    max_result: float = 12.0
    """Megapixels of a result, at most."""
    max_queue: int = 8
    """Runs that may wait."""
    max_minutes: float = 30.0
    """Minutes after which a run is stopped; its picture is kept."""
    cache: Cache = None
    compile_cache: CompileCache = True
    quiet: Quiet = False
    debug: Debug = False

    def run(self) -> int:
        """Runs the command and returns its exit code."""
        if not all(importlib.util.find_spec(name) for name in _NEEDED):
            raise InputError("jaxstyle web: needs more packages; pip install 'jaxstyle[web]'")
        from jaxstyle.web import serve
        from jaxstyle.web.limits import Limits

        for name in ("max_upload", "max_pixels", "max_result", "max_queue", "max_minutes"):
            if getattr(self, name) <= 0:
                option = f"--{name.replace('_', '-')} {getattr(self, name):g}"
                raise InputError(f"{option}: nothing could be painted; give more than 0")
        if not 0 <= self.port < 1 << 16:
            raise InputError(f"--port {self.port}: no port; give 0 to 65535")
        run.begin(self.cache, keep=self.compile_cache)
        limits = Limits(
            max_upload=round(self.max_upload * 1e6),
            max_pixels=round(self.max_pixels * 1e6),
            max_result=round(self.max_result * 1e6),
            max_queue=self.max_queue,
            max_seconds=round(self.max_minutes * 60),
        )
        if not _is_own(self.host):
            report.print_error(
                f"--host {self.host} opens this page to everybody who can reach the machine, "
                "without a password and unencrypted: they can hand in pictures and use its time"
            )
        number = serve.serve(
            self.host, self.port, self.cache, limits=limits, names=self.allow_host, ready=self._tell
        )
        return 0 if number is None else 128 + number

    def _tell(self, address: str) -> None:
        print(address, flush=True)
        report.console(quiet=self.quiet).print("paint there; Ctrl-C here ends it")


def _is_own(host: str) -> bool:
    """Tells whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
