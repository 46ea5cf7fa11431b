"""The routes of the web page."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import jax
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

import jaxstyle as js
from jaxstyle import files, gallery
from jaxstyle.errors import InputError
from jaxstyle.jobs import Painter
from jaxstyle.web import controls
from jaxstyle.web.answers import HANDLERS, LOST, events
from jaxstyle.web.guard import Guard
from jaxstyle.web.instant import paint_instantly
from jaxstyle.web.limits import Limits
from jaxstyle.web.orders import chosen_order, chosen_styles, enlarged_order, order_of, result_of
from jaxstyle.web.pace import Pace
from jaxstyle.web.painting import Order, check_shapes, encode, paint_run
from jaxstyle.web.pictures import take_in
from jaxstyle.web.reading import (
    cookie_of,
    display_name,
    is_local,
    read_body,
    read_json,
    read_static,
)
from jaxstyle.web.runs import Queue, QueuedRun
from jaxstyle.web.sessions import Lost, Missing, Session, Sessions, Upload
from jaxstyle.web.works import facts_of, find_work, thumbnail

_SWEEP = 60.0  # seconds
_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
_TYPES |= {"jpg": "image/jpeg", "svg": "image/svg+xml"}


def make_app(
    folder: Path,
    cache: Path | None = None,
    *,
    painter: Painter | None = None,
    limits: Limits | None = None,
    names: Iterable[str] = (),
    clock: Callable[[], float] = time.monotonic,
) -> Starlette:
    """Returns the server's application.

    Args:
        folder: Folder for visitors' files, which nothing else uses.
        cache: Folder of downloads; None as for ``load_encoder``.
        painter: Paints the runs; one that keeps nothing of visitors if None.
        limits: How much a visitor may ask for; ``Limits()`` if None.
        names: Host names of the server, besides addresses.
        clock: A monotonic clock, in seconds.
    """
    limits = limits or Limits()
    painter = painter or Painter(cache=cache, reuse=False)
    page = _Page(folder, cache, painter, limits, clock)
    run, result = "/api/runs/{run}", "/api/runs/{run}/results/{result:int}"
    routes = [
        Route("/", page.static),
        Route("/static/{name:path}", page.static),
        Route("/api/controls", page.controls),
        Route("/api/session", page.begin, methods=["POST"]),
        Route("/api/session", page.end, methods=["DELETE"]),
        Route("/api/pictures", page.upload, methods=["POST"]),
        Route("/api/pictures/{picture}", page.picture),
        Route("/api/pictures/{picture}", page.remove, methods=["DELETE"]),
        Route("/api/settings", page.settings, methods=["POST"]),
        Route("/api/gallery/{name}", page.work),
        Route("/api/estimate", page.estimate, methods=["POST"]),
        Route("/api/instant", page.instant, methods=["POST"]),
        Route("/api/runs", page.paint, methods=["POST"]),
        Route("/api/events", page.events),
        Route("/api/alive", page.alive, methods=["POST"]),
        Route(run, page.state),
        Route(f"{run}/preview", page.preview),
        Route(f"{run}/stop", page.stop, methods=["POST"]),
        Route(f"{result}/preview", page.result_preview),
        Route(f"{result}/picture{{suffix}}", page.download),
    ]
    middleware = [Middleware(Guard, names=tuple(names))]
    app = Starlette(
        routes=routes, middleware=middleware, exception_handlers=HANDLERS, lifespan=page.lifespan
    )
    app.state.stop = page.queue.stop
    return app


class _Page:
    """The functions behind the routes."""

    def __init__(
        self,
        folder: Path,
        cache: Path | None,
        painter: Painter,
        limits: Limits,
        clock: Callable[[], float],
    ) -> None:
        self._limits, self._clock = limits, clock
        self._sessions = Sessions(folder, limits, clock)
        self._painter, self._pace = painter, Pace(jax.default_backend())
        self.queue = Queue(self._paint, limits)
        self._static = read_static()
        self._encoders = controls.encoders_here(cache)

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Runs the queue, and deletes expired sessions, while the server runs."""
        self.queue.start()
        sweeping = asyncio.create_task(self._sweep())
        try:
            yield
        finally:
            sweeping.cancel()
            await run_in_threadpool(self.queue.end, 5.0)

    def _paint(self, run: QueuedRun) -> None:
        paint_run(run, self._painter, self._limits)
        if not run.stopping:
            self._pace.learn(run, self._clock())

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP)
            await run_in_threadpool(self._sessions.expire)

    def _session(self, request: Request, *, touch: bool = False) -> Session:
        session = self._sessions.find(request.cookies.get(cookie_of(request)), touch=touch)
        if session is None:
            raise Lost(LOST)
        return session

    def _run(self, request: Request, *, touch: bool = False) -> tuple[Session, QueuedRun]:
        session = self._session(request, touch=touch)
        return session, session.run(request.path_params["run"])

    def _snapshot(self, run: QueuedRun) -> dict[str, Any]:
        return run.snapshot(self.queue.ahead(run))

    async def static(self, request: Request) -> Response:
        """Returns one of the page's files."""
        name = request.path_params.get("name", "index.html")
        if name not in self._static:
            raise HTTPException(404, "there is no such page")
        kind = _TYPES[name.rpartition(".")[2]]
        return Response(self._static[name], media_type=kind)

    async def controls(self, request: Request) -> Response:
        """Returns the description of the page's controls."""
        return JSONResponse(
            {
                "controls": controls.describe(),
                "presets": controls.presets_here(self._encoders),
                "encoders": self._encoders,
                "strengths": controls.STRENGTHS,
                "gallery": [facts_of(work) for work in gallery.works()],
                "regions": controls.REGIONS,
                "limits": {
                    "upload": self._limits.max_upload,
                    "result": self._limits.max_result,
                    "styles": self._limits.max_styles,
                    "photographs": self._limits.max_own,
                },
                "local": is_local(request),
                "device": jax.devices()[0].device_kind,
                "version": js.__version__,
            }
        )

    async def begin(self, request: Request) -> Response:
        """Starts a session, or continues one."""
        session = self._sessions.find(request.cookies.get(cookie_of(request)), touch=True)
        new = session is None
        session = self._sessions.create() if session is None else session
        runs = [self._snapshot(run) for run in session.runs.values()]
        pictures = [upload.facts for upload in session.kept]
        answer = JSONResponse({"new": new, "runs": runs, "pictures": pictures})
        name, secure = cookie_of(request), request.url.scheme == "https"
        answer.set_cookie(name, session.id, httponly=True, samesite="strict", secure=secure)
        return answer

    async def end(self, request: Request) -> Response:
        """Deletes everything of the visitor."""
        session = self._session(request)
        await run_in_threadpool(self._sessions.end, session)
        answer = JSONResponse({})
        answer.delete_cookie(cookie_of(request))
        return answer

    async def _take_in(self, request: Request) -> tuple[Session, Upload]:
        session = self._session(request, touch=True)
        async with session.receiving:
            return session, await self._receive(request, session)

    async def _receive(self, request: Request, session: Session) -> Upload:
        name = request.query_params.get("work")
        role = "content" if request.query_params.get("role") == "content" else "style"
        if name is None:
            name = display_name(request.query_params.get("name", ""))
            content = await read_body(request, self._limits.max_upload)
        else:
            content = await run_in_threadpool(find_work(name).read_bytes)
            name = f"{name}.jpg"
        session.make_room(self._limits, len(content))
        return await run_in_threadpool(take_in, session, name, role, content, self._limits)

    async def upload(self, request: Request) -> Response:
        """Accepts a picture: the body of the request, or an example."""
        _, upload = await self._take_in(request)
        return JSONResponse(upload.facts)

    async def work(self, request: Request) -> Response:
        """Returns a picture of the gallery for display."""
        path = find_work(request.path_params["name"])
        return Response(await run_in_threadpool(thumbnail, path), media_type="image/jpeg")

    async def estimate(self, request: Request) -> Response:
        """Returns how long a picture will probably take, and its size."""
        session, body = self._session(request), await read_json(request)
        recipe = controls.recipe_of(body.get("preset"), body.get("settings"), self._encoders)
        shape = recipe.shape_of(session.upload(body.get("content")).shape)
        check_shapes([shape], self._limits)
        return JSONResponse({"shape": shape, "seconds": self._pace.seconds(recipe, shape)})

    async def instant(self, request: Request) -> Response:
        """Returns the instant picture."""
        session, body = self._session(request), await read_json(request)
        content = session.upload(body.get("content"))
        styles, shares = chosen_styles(session, body, self._limits)
        strength = body.get("strength")
        if not isinstance(strength, int | float) or not 0 <= strength <= 1:
            raise InputError("strength: not a number from 0 to 1; reload the page")
        picture = await run_in_threadpool(paint_instantly, content, styles, shares, float(strength))
        return Response(picture, media_type="image/jpeg")

    async def settings(self, request: Request) -> Response:
        """Returns the settings that a picture records; the picture is not kept."""
        session, upload = await self._take_in(request)
        session.remove(upload)
        if not upload.settings:
            raise InputError(
                f"{upload.name}: has no settings of jaxstyle; choose a picture that jaxstyle saved"
            )
        return JSONResponse(upload.facts)

    async def picture(self, request: Request) -> Response:
        """Returns an uploaded picture for display."""
        upload = self._session(request).upload(request.path_params["picture"])
        return Response(upload.preview, media_type="image/jpeg")

    async def remove(self, request: Request) -> Response:
        """Removes an uploaded picture; its file stays while a run needs it."""
        session = self._session(request, touch=True)
        session.remove(session.upload(request.path_params["picture"]))
        return JSONResponse({})

    async def paint(self, request: Request) -> Response:
        """Adds a run to the queue."""
        session = self._session(request, touch=True)
        body = await read_json(request)
        kind = body.get("kind", "painting")
        if kind not in ("painting", "sheet", "print"):
            raise InputError("kind: not painting, sheet or print; reload the page")
        try:
            order = self._order(session, kind, body)
            run = QueuedRun(kind, session, order, self._limits, self._clock)
            self.queue.add(run)
        finally:  # Masks of a refused run are deleted, too.
            session.make_room(self._limits)
        return JSONResponse(self._snapshot(run))

    def _order(self, session: Session, kind: str, body: dict[str, Any]) -> Order:
        if kind == "print":
            return enlarged_order(session, body, self._limits)
        if "from" in body:
            return chosen_order(session, body)
        return order_of(session, body, self._encoders, self._limits)

    async def state(self, request: Request) -> Response:
        """Returns the state of a run."""
        _, run = self._run(request)
        return JSONResponse(self._snapshot(run))

    async def events(self, request: Request) -> Response:
        """Streams the progress of the visitor's runs."""
        stream = events(request, self._session(request, touch=True), self.queue, self._clock)
        return StreamingResponse(stream, media_type="text/event-stream")

    async def preview(self, request: Request) -> Response:
        """Returns the current image of a run."""
        _, run = self._run(request)
        if not run.preview:
            raise Missing("there is no picture yet")
        return Response(run.preview, media_type="image/jpeg")

    async def stop(self, request: Request) -> Response:
        """Stops a run; what is painted is kept."""
        _, run = self._run(request, touch=True)
        run.stop()
        return JSONResponse(self._snapshot(run))

    async def alive(self, request: Request) -> Response:
        """Records that a visitor is still there."""
        self._session(request, touch=True).heard = self._clock()
        return JSONResponse({})

    async def result_preview(self, request: Request) -> Response:
        """Returns a finished picture for display."""
        _, run = self._run(request)
        preview = result_of(run, request.path_params["result"]).preview
        return Response(preview, media_type="image/jpeg")

    async def download(self, request: Request) -> Response:
        """Returns a finished picture as a file with its settings."""
        _, run = self._run(request, touch=True)
        picture, suffix = (
            result_of(run, request.path_params["result"]),
            request.path_params["suffix"],
        )
        if suffix not in files.SUFFIXES:
            raise HTTPException(404, f"there is no such format; use {', '.join(files.SUFFIXES)}")
        path = await run_in_threadpool(encode, picture, suffix)
        stem = display_name(run.order.content.name).rpartition(".")[0] or "picture"
        return FileResponse(path, filename=f"{stem}-painted{suffix}")
