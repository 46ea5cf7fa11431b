"""Answers that are not pictures: errors in one line, and the progress of a run."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from jaxstyle.errors import InputError
from jaxstyle.web.runs import Queue, QueuedRun
from jaxstyle.web.sessions import Missing

_INTERVAL, _PING = 0.2, 15.0  # seconds


def _refuse(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 400)


def _miss(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 404)


def _fail(request: Request, error: Exception) -> Response:
    code = error.status_code if isinstance(error, HTTPException) else 500
    message = error.detail if isinstance(error, HTTPException) else "something went wrong"
    return JSONResponse({"error": message}, code)


HANDLERS: dict[Any, Any] = {InputError: _refuse, Missing: _miss, HTTPException: _fail}
"""Functions that turn exceptions into answers."""


async def events(request: Request, run: QueuedRun, queue: Queue) -> AsyncIterator[str]:
    """Yields the progress of a run until it is over, the page is closed, or the server stops.

    Args:
        request: The page's request.
        run: The run.
        queue: The queue that the run is in.
    """
    last, quiet = None, 0.0
    with run.watched():
        while not (queue.ended or await request.is_disconnected()):
            over, ahead = run.over, queue.ahead(run)
            if (run.version, ahead) != last:
                last = run.version, ahead
                yield f"data: {json.dumps(run.snapshot(ahead))}\n\n"
            if over:
                return
            quiet += _INTERVAL
            if quiet >= _PING:
                quiet = 0.0
                yield "event: ping\ndata: \n\n"
            await asyncio.sleep(_INTERVAL)
