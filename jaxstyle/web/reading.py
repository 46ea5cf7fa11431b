"""What is read: bodies of requests, names of visitors' files, and the page's own."""

import importlib.resources
import json
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

from jaxstyle.errors import InputError

EXAMPLES = {"harbour.jpg": "content", "painting.jpg": "style", "window.jpg": "style"}
"""Pictures to try, and what they are."""

_LARGEST_JSON = 4_000_000


async def read_body(request: Request, most: int) -> bytes:
    """Reads a request's body, and no more than may be.

    Args:
        request: From a visitor.
        most: Bytes that it may have.

    Raises:
        HTTPException: It has more.
    """
    told = request.headers.get("content-length", "0")
    parts, size = [], int(told) if told.isdigit() else 0
    if size <= most:
        size = 0
        async for part in request.stream():
            size += len(part)
            if size > most:
                break
            parts.append(part)
    if size > most:
        raise HTTPException(413, f"it has more than {most / 1e6:g} MB; reduce it first")
    return b"".join(parts)


async def read_json(request: Request) -> dict[str, Any]:
    """Reads a request's JSON object.

    Raises:
        InputError: It is none.
    """
    try:
        found = json.loads(await read_body(request, _LARGEST_JSON))
    except (ValueError, RecursionError):
        raise InputError("the request is no JSON; load the page again") from None
    if not isinstance(found, dict):
        raise InputError("the request is no JSON object; load the page again")
    return found


def cookie_of(request: Request) -> str:
    """Returns the name of the cookie that a visitor is known by; cookies of a host ignore ports."""
    port = request.headers.get("host", "").rpartition(":")[2]
    return f"jaxstyle-{port}" if port.isdecimal() else "jaxstyle"


def display_name(name: str) -> str:
    """Returns the last part of a file's name, printable and of bearable length."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(c for c in last if c.isprintable())[-100:] or "picture"


def read_static() -> dict[str, bytes]:
    """Reads the page's own files once: no request ever becomes a path."""
    root = importlib.resources.files("jaxstyle.web") / "static"
    found = [(entry.name, entry) for entry in root.iterdir() if entry.is_file()]
    found += [(f"examples/{name}", root / "examples" / name) for name in EXAMPLES]
    return {name: entry.read_bytes() for name, entry in found}
