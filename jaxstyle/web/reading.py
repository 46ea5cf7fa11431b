"""Reads bodies of requests, names of visitors' files, and the page's own files."""

import asyncio
import contextlib
import ipaddress
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

from jaxstyle.errors import InputError

_LARGEST_JSON = 4_000_000
_SILENT_SECONDS = 30.0  # without a byte of a body


async def read_body(request: Request, most: int) -> bytes:
    """Reads a request's body up to a limit.

    Args:
        request: The request.
        most: Largest number of bytes.

    Raises:
        HTTPException: It has more.
    """
    length = request.headers.get("content-length", "0")
    parts, size = [], int(length) if length.isdigit() else 0
    if size <= most:
        size = 0
        async for part in _with_timeout(request.stream()):
            size += len(part)
            if size > most:
                break
            parts.append(part)
    if size > most:
        raise HTTPException(413, f"it has more than {most / 1e6:g} MB; reduce it first")
    return b"".join(parts)


async def _with_timeout(stream: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Yields the parts of a body.

    Raises:
        HTTPException: The next part does not arrive.
    """
    with contextlib.suppress(StopAsyncIteration):
        while True:
            try:
                yield await asyncio.wait_for(anext(stream), _SILENT_SECONDS)
            except TimeoutError:
                raise HTTPException(408, "the upload stopped; try again") from None


async def read_json(request: Request) -> dict[str, Any]:
    """Reads a request's JSON object.

    Raises:
        InputError: The body is not a JSON object.
    """
    try:
        document = json.loads(await read_body(request, _LARGEST_JSON))
    except (ValueError, RecursionError):
        raise InputError("the request is not JSON; reload the page") from None
    if not isinstance(document, dict):
        raise InputError("the request is not a JSON object; reload the page")
    return document


def cookie_of(request: Request) -> str:
    """Returns the name of the session cookie; it has the port, which browsers ignore in cookies."""
    port = request.headers.get("host", "").rpartition(":")[2]
    return f"jaxstyle-{port}" if port.isdecimal() else "jaxstyle"


def display_name(name: str) -> str:
    """Returns the last part of a file's name, printable and of limited length."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(c for c in last if c.isprintable())[-100:] or "picture"


def is_local(request: Request) -> bool:
    """Returns whether browser and server are on one machine, as far as the server can tell."""
    host = request.url.hostname or ""
    client = request.client.host if request.client else ""
    return "x-forwarded-for" not in request.headers and is_loopback(host) and is_loopback(client)


def is_loopback(host: str) -> bool:
    """Returns whether only this machine can reach a host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_static() -> dict[str, bytes]:
    """Reads the page's own files into memory, so that no request becomes a path."""
    root = Path(__file__).parent / "static"
    files = [path for path in root.rglob("*") if path.is_file()]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}
