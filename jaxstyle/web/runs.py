"""The queue: runs wait in turn, one thread paints them, and what nobody watches gives way."""

import contextlib
import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from jaxstyle.errors import InputError, ResourceError
from jaxstyle.recipes.recipe import Recipe
from jaxstyle.run.stylize import Progress
from jaxstyle.web.limits import Limits
from jaxstyle.web.pictures import to_jpeg
from jaxstyle.web.sessions import Session

State = Literal["waiting", "preparing", "painting", "done", "stopped", "failed"]
Kind = Literal["painting", "sheet", "print"]

_OVER = ("done", "stopped", "failed")
_DEAF_SECONDS = 90.0  # without an answer from a page that seems to be there
_MOST_OF_ONE = 2  # runs of a visitor that are not over


class Painted(NamedTuple):
    """A finished picture.

    Attributes:
        path: The image as numbers, ``f32[h, w, 3]`` or with opacity ``f32[h, w, 4]``.
        preview: JPEG to be shown.
        shape: Height and width.
        recipe: How it was painted.
        provenance: What it came from.
    """

    path: Path
    preview: bytes
    shape: tuple[int, int]
    recipe: Recipe
    provenance: dict[str, Any]


class Run:
    """A visitor's wish, from the queue to the finished pictures.

    Attributes:
        id: What the page calls it by.
        kind: A painting, a sheet of strengths, or a preview at print size.
        session: Whose it is.
        order: What is to be painted.
        state: What has become of it.
        message: Why it failed, or what there is to say about the result.
        results: The finished pictures.
        version: Grows with every change that a page should hear of.
        preview: JPEG of the present image.
    """

    def __init__(
        self, kind: Kind, session: Session, order: Any, limits: Limits, clock: Callable[[], float]
    ) -> None:
        self.id, self.kind, self.session, self.order = (
            secrets.token_urlsafe(12),
            kind,
            session,
            order,
        )
        self.state: State = "waiting"
        self.message = ""
        self.results: list[Painted] = []
        self.version, self.preview = 0, b""
        self._limits, self._clock = limits, clock
        self._stopped, self._watchers = False, 0
        self._left = self._heard = clock()
        self._began = self._ended = self._first = None
        self._shown: dict[str, Any] = {}

    @property
    def over(self) -> bool:
        """Whether nothing more becomes of it."""
        return self.state in _OVER

    @property
    def stopping(self) -> bool:
        """Whether it should end: its visitor says so or has left, or its time is over."""
        return self._stopped or self.abandoned or self._late

    @property
    def abandoned(self) -> bool:
        """Whether its visitor has left."""
        now = self._clock()
        gone = not self._watchers and now - self._left > self._limits.grace_seconds
        return gone or now - self._heard > _DEAF_SECONDS

    @property
    def _late(self) -> bool:
        return self._began is not None and self._clock() - self._began > self._limits.max_seconds

    def stop(self) -> None:
        """Asks for its end; what is painted is kept."""
        self._stopped = True
        self.version += 1
        if self.state == "waiting":
            self.become("stopped")

    def hear(self) -> None:
        """Notes that its visitor is there."""
        self._heard = self._clock()

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """While the block runs somebody watches."""
        self._watchers += 1
        self.hear()
        try:
            yield
        finally:
            self._watchers -= 1
            self._left = self._clock()

    def become(self, state: State, message: str = "") -> None:
        """Goes on to another state."""
        if state == "preparing":
            self._began = self._clock()
        if state in _OVER:
            self._ended = self.session.touched = self._clock()
        self.state, self.message = state, message or self.message
        self.version += 1

    def show(self, progress: Progress, before: float = 0.0, part: float = 1.0) -> bool:
        """Takes a progress to be shown, and tells whether to stop.

        Args:
            progress: Of the present picture.
            before: Part of the whole run that was done before this picture.
            part: Part of the whole run that this picture is.
        """
        now, fraction = self._clock(), before + part * progress.fraction
        if self._first is None:
            self._first = (now, fraction)
        terms = {name: float(value) for name, value in progress.terms._asdict().items()}
        self._shown = {
            "step": progress.step,
            "steps": progress.steps,
            "fraction": fraction,
            "shape": progress.shape,
            "terms": terms,
            "left": self._left_of(now, fraction),
        }
        self.preview = to_jpeg(progress.picture())
        self.state = "painting"
        self.version += 1
        return self.stopping

    def _left_of(self, now: float, fraction: float) -> float | None:
        """Returns the seconds left, by what there was to do since the first progress."""
        first, done = self._first or (now, fraction)
        if fraction <= done:
            return None
        return min((now - first) * (1 - fraction) / (fraction - done), self._time_left(now))

    def _time_left(self, now: float) -> float:
        return max(0.0, self._limits.max_seconds - (now - (self._began or now)))

    def snapshot(self, ahead: int) -> dict[str, Any]:
        """Returns all that a page shows of it.

        Args:
            ahead: How many runs come before.
        """
        seconds = None
        if self._began is not None and self._ended is not None:
            seconds = self._ended - self._began
        return {
            "id": self.id,
            "kind": self.kind,
            "state": self.state,
            "stopping": self._stopped and not self.over,
            "ahead": ahead,
            "message": self.message,
            "preview": self.version if self.preview else 0,
            "seconds": seconds,
            "content": self.order.content.id,
            **self._shown,
            "results": [
                {
                    "shape": found.shape,
                    "style_weight": found.recipe.style_weight,
                    "settings": found.recipe.to_table(),
                }
                for found in self.results
            ],
        }


Work = Callable[[Run], None]
"""Paints a run; puts the pictures into its results."""


class Queue:
    """Runs in turn, and the thread that paints them.

    Args:
        work: Paints one.
        limits: How many may wait.
    """

    def __init__(self, work: Work, limits: Limits) -> None:
        self._work, self._limits = work, limits
        self._runs: list[Run] = []
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._paint_all, name="painter", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def end(self, wait_seconds: float) -> None:
        """Stops the present run and the thread; waits for it."""
        with self._changed:
            self._ended = True
            for run in self._runs:
                run.stop()
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(wait_seconds)

    def add(self, run: Run) -> None:
        """Puts a run at the end.

        Raises:
            InputError: There are too many, of this visitor or of all.
        """
        with self._changed:
            waiting = self._settle()
            own = [other for other in self._runs if other.session is run.session]
            if len(own) >= _MOST_OF_ONE:
                raise InputError("two of your pictures are under way; stop one, or wait for it")
            if len(waiting) >= self._limits.max_queue:
                raise InputError(f"{len(waiting)} others are waiting; come back in a while")
            self._runs.append(run)
            run.session.runs[run.id] = run
            self._changed.notify()

    def ahead(self, run: Run) -> int:
        """Returns how many come before a run; 0 for the present one and for those that are over."""
        with self._changed:
            self._settle()
            return self._runs.index(run) if run in self._runs else 0

    def _settle(self) -> list[Run]:
        """Drops what is over or abandoned, and returns what waits."""
        for run in self._runs:
            if run.state == "waiting" and run.abandoned:
                run.stop()
        self._runs = [run for run in self._runs if not run.over]
        return [run for run in self._runs if run.state == "waiting"]

    def _next(self) -> Run | None:
        with self._changed:
            while not self._ended:
                if waiting := self._settle():
                    waiting[0].become("preparing")
                    return waiting[0]
                self._changed.wait()
        return None

    def _paint_all(self) -> None:
        while run := self._next():
            try:
                self._work(run)
                run.become("stopped" if run.stopping else "done")
            except (InputError, ResourceError) as error:
                run.become("failed", run.session.told(error))
            except Exception as error:  # Whatever it is, the next visitor's turn comes.
                told = run.session.told(error) or type(error).__name__
                run.become("failed", f"something went wrong: {told[:200]}")
