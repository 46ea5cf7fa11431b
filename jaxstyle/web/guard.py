"""Refuses requests that are not meant for this server, or do not come from its own page.

A page from another site can make a browser send requests to any address, including this machine.
It can do so under its own host name, which it lets point here (DNS rebinding) and which shows in
``Host``, or from its own origin, which shows in ``Origin`` and ``Sec-Fetch-Site``.
"""

import ipaddress
import socket
from collections.abc import Iterable
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' blob: data:",
    "media-src": "'self' blob:",
    "connect-src": "'self'",
    "form-action": "'none'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
_HEADERS = {
    "Content-Security-Policy": "; ".join(f"{what} {whence}" for what, whence in _POLICY.items()),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
_SAFE = ("GET", "HEAD")


class Guard:
    """Refuses requests for other hosts or from other sites.

    Args:
        app: The application that answers the rest.
        names: Host names of this server, besides addresses.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str] = ()) -> None:
        self._app = app
        self._names = {"localhost", socket.gethostname().lower(), *(n.lower() for n in names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        refused = self._refusal(scope["method"], Headers(scope=scope))
        answer: Any = PlainTextResponse(refused, 403) if refused else self._app
        await answer(scope, receive, send_guarded)

    def _refusal(self, method: str, headers: Headers) -> str:
        host = headers.get("host", "")
        if not self._knows(host):
            return "this server has another name; see --allow-host"
        if method not in _SAFE:
            origin = headers.get("origin")
            if origin is not None and origin.partition("://")[2] != host:
                return "from another page"
            if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
                return "from another page"
        return ""

    def _knows(self, host: str) -> bool:
        """Returns whether a Host is an address or one of the server's names."""
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        try:
            ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return name.lower() in self._names
        return True
