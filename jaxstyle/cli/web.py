"""``jaxstyle web``: serves the web page."""

import dataclasses
import importlib.util
import os
import sys
import webbrowser
from typing import Annotated

from tyro.conf import UseAppendAction, arg

from jaxstyle.cli import report, run
from jaxstyle.cli.options import Cache, CompileCache, Debug, Quiet
from jaxstyle.errors import InputError

_NEEDED = ("starlette", "uvicorn")


@dataclasses.dataclass(frozen=True)
class Web:
    """Serve a web page for painting, by default to this machine only.

    The page sends no request to other hosts. Pictures are deleted an hour after the last action of
    their visitor.
    """

    host: str = "127.0.0.1"
    """Address to listen on. Any other than the default gives other machines access; 0.0.0.0 gives
    access to every machine that can reach this one."""
    port: int = 7860
    """Port to listen on; 0 for any free port."""
    allow_host: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="NAME")] = ()
    """Another name of this machine, by which browsers reach it."""
    max_upload: float = 32.0
    """Largest size of an uploaded picture, in megabytes."""
    max_pixels: float = 50.0
    """Largest uploaded picture, in megapixels."""
    max_result: float = 12.0
    """Largest result, in megapixels."""
    max_queue: int = 32
    """Largest number of waiting runs."""
    max_minutes: float = 30.0
    """Minutes after which a run is stopped; its picture so far is kept."""
    browser: bool = True
    """Open the page in the browser, if the command runs in a terminal on a desktop."""
    cache: Cache = None
    compile_cache: CompileCache = True
    quiet: Quiet = False
    debug: Debug = False

    def run(self) -> int:
        """Runs the command and returns its exit code."""
        if not all(importlib.util.find_spec(name) for name in _NEEDED):
            raise InputError("jaxstyle web: a package is missing; pip install 'jaxstyle[web]'")
        from jaxstyle.web import serve
        from jaxstyle.web.limits import Limits
        from jaxstyle.web.reading import is_loopback

        for name in ("max_upload", "max_pixels", "max_result", "max_queue", "max_minutes"):
            if getattr(self, name) <= 0:
                option = f"--{name.replace('_', '-')} {getattr(self, name):g}"
                raise InputError(f"{option}: too small; give a number above 0")
        if not 0 <= self.port < 1 << 16:
            raise InputError(f"--port {self.port}: not a port; give 0 to 65535")
        run.begin(self.cache, keep=self.compile_cache)
        limits = Limits(
            max_upload=round(self.max_upload * 1e6),
            max_pixels=round(self.max_pixels * 1e6),
            max_result=round(self.max_result * 1e6),
            max_queue=self.max_queue,
            max_seconds=round(self.max_minutes * 60),
        )
        if not is_loopback(self.host):
            report.print_error(
                f"--host {self.host}: everybody who can reach this machine can use the page, "
                "without a password or encryption"
            )
        number = serve.serve(
            self.host,
            self.port,
            self.cache,
            limits=limits,
            names=self.allow_host,
            ready=self._print_address,
        )
        return 0 if number is None else 128 + number

    def _print_address(self, address: str) -> None:
        print(address, flush=True)
        # Without a desktop, the browser would be one for terminals, and take this one.
        desktop = sys.platform in ("darwin", "win32") or any(
            os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
        )
        opened = self.browser and sys.stdout.isatty() and desktop and webbrowser.open(address)
        report.console(quiet=self.quiet).print(
            ("" if opened else "open this address in a browser; ") + "Ctrl-C stops the server"
        )
