"""Answers that are not pictures: errors in one line, and the progress of runs."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from jaxstyle.errors import InputError
from jaxstyle.web.runs import Queue
from jaxstyle.web.sessions import Lost, Missing, Session

LOST = "the server no longer has your pictures: it was restarted, or an hour has passed"
"""Message for visitors whose session is over."""

_INTERVAL, _PING = 0.2, 15.0  # seconds


def _refuse(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 400)


def _miss(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error), "lost": isinstance(error, Lost)}, 404)


def _fail(request: Request, error: Exception) -> Response:
    code = error.status_code if isinstance(error, HTTPException) else 500
    message = error.detail if isinstance(error, HTTPException) else "something went wrong"
    return JSONResponse({"error": message}, code)


HANDLERS: dict[Any, Any] = {InputError: _refuse, Missing: _miss, HTTPException: _fail}
"""Functions that turn exceptions into answers."""


async def events(
    request: Request, session: Session, queue: Queue, clock: Callable[[], float]
) -> AsyncIterator[str]:
    """Yields the progress of a visitor's runs until all are over, the page is closed, or the server
    stops.

    Args:
        request: The page's request.
        session: The visitor's session.
        queue: The queue.
        clock: The clock of the runs.
    """
    seen: dict[str, tuple[int, int]] = {}
    quiet = 0.0
    session.watchers += 1
    session.heard = clock()
    try:
        while not (queue.ended or await request.is_disconnected()):
            over = not session.busy
            for run in list(session.runs.values()):
                ahead = queue.ahead(run)
                if seen.get(run.id) != (run.version, ahead):
                    seen[run.id] = run.version, ahead
                    yield f"data: {json.dumps(run.snapshot(ahead))}\n\n"
            if over:
                return
            quiet += _INTERVAL
            if quiet >= _PING:
                quiet = 0.0
                yield "event: ping\ndata: \n\n"
            await asyncio.sleep(_INTERVAL)
    finally:
        session.watchers -= 1
        session.left = clock()
