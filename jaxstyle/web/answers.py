"""Answers that are no pictures: what went wrong, in one line, and how a run goes on."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from jaxstyle.errors import InputError
from jaxstyle.web.runs import Queue, Run
from jaxstyle.web.sessions import Missing

_TURN, _PING = 0.2, 15.0  # seconds


def _refuse(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 400)


def _miss(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 404)


def _tell(request: Request, error: Exception) -> Response:
    code = error.status_code if isinstance(error, HTTPException) else 500
    told = error.detail if isinstance(error, HTTPException) else "something went wrong"
    return JSONResponse({"error": told}, code)


HANDLERS: dict[Any, Any] = {InputError: _refuse, Missing: _miss, HTTPException: _tell}
"""What turns an exception into an answer."""


async def events(request: Request, run: Run, queue: Queue) -> AsyncIterator[str]:
    """Tells where a run is, again and again, until it is over or nobody listens.

    Args:
        request: Of the page that listens.
        run: What it listens to.
        queue: Where the run waits.
    """
    last, quiet = None, 0.0
    with run.watched():
        while not await request.is_disconnected():
            over, ahead = run.over, queue.ahead(run)
            if (run.version, ahead) != last:
                last = run.version, ahead
                yield f"data: {json.dumps(run.snapshot(ahead))}\n\n"
            if over:
                return
            quiet += _TURN
            if quiet >= _PING:
                quiet = 0.0
                yield "event: ping\ndata: \n\n"
            await asyncio.sleep(_TURN)
