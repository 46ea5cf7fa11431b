"""The queue: one thread paints the runs in order; runs that nobody watches are dropped."""

import secrets
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from jaxstyle.errors import InputError, ResourceError
from jaxstyle.jobs.outcome import progress_terms
from jaxstyle.recipes.recipe import Recipe
from jaxstyle.run.progress import Progress
from jaxstyle.web.limits import Limits
from jaxstyle.web.pictures import to_jpeg
from jaxstyle.web.sessions import Session

State = Literal["waiting", "preparing", "painting", "done", "stopped", "failed"]
Kind = Literal["painting", "sheet", "print"]

_OVER = ("done", "stopped", "failed")
_SILENT_SECONDS = 90.0  # without a sign from a page that is still connected


class FinishedPicture(NamedTuple):
    """A finished picture.

    Attributes:
        path: The image as an array, ``f32[h, w, 3]``, or ``f32[h, w, 4]`` with opacity.
        preview: A JPEG for display.
        shape: Height and width.
        recipe: How it was painted.
        provenance: What it records about its origin.
    """

    path: Path
    preview: bytes
    shape: tuple[int, int]
    recipe: Recipe
    provenance: dict[str, Any]


class QueuedRun:
    """A run, from the queue to the finished pictures.

    Attributes:
        id: A random name.
        kind: A painting, a sheet of strengths, or a preview at print size.
        session: The visitor's session.
        order: What is to be painted.
        state: The present state.
        message: Why it failed, or a remark about the result.
        results: The finished pictures.
        version: A number that grows with every change.
        preview: A JPEG of the current image.
        began: Time when it left the queue.
        first: Time and completed fraction at its first progress.
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
        self.results: list[FinishedPicture] = []
        self.version, self.preview = 0, b""
        self._limits, self._clock = limits, clock
        self._stopped = False
        self.began = self.first = self._ended = None
        session.left = session.heard = clock()
        self._shown: dict[str, Any] = {}

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.state in _OVER

    @property
    def stopping(self) -> bool:
        """Whether it should end: on request, because its visitor has left, or after its time."""
        return self._stopped or self.abandoned or self._late

    @property
    def abandoned(self) -> bool:
        """Whether its visitor has left."""
        now, session = self._clock(), self.session
        gone = not session.watchers and now - session.left > self._limits.grace_seconds
        return gone or now - session.heard > _SILENT_SECONDS

    @property
    def _late(self) -> bool:
        return self.began is not None and self._clock() - self.began > self._limits.max_seconds

    def stop(self) -> None:
        """Stops it; the picture so far is kept."""
        self._stopped = True
        self.version += 1
        if self.state == "waiting":
            self.become("stopped")

    def become(self, state: State, message: str = "") -> None:
        """Changes the state."""
        if state == "preparing":
            self.began = self._clock()
        if state in _OVER:
            self._ended = self.session.touched = self._clock()
        self.state, self.message = state, message or self.message
        self.version += 1

    def show(self, progress: Progress, before: float = 0.0, part: float = 1.0) -> bool:
        """Records the progress; returns whether to stop.

        Args:
            progress: The progress of the current picture.
            before: The fraction of the run that was done before this picture.
            part: The fraction of the run that this picture is.
        """
        now, fraction = self._clock(), before + part * progress.fraction
        if self.first is None:
            self.first = (now, fraction)
        terms = progress_terms(progress)
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
        """Returns the seconds left, estimated from the time since the first progress."""
        first, done = self.first or (now, fraction)
        if fraction <= done:
            return None
        return min((now - first) * (1 - fraction) / (fraction - done), self._time_left(now))

    def _time_left(self, now: float) -> float:
        return max(0.0, self._limits.max_seconds - (now - (self.began or now)))

    def snapshot(self, ahead: int) -> dict[str, Any]:
        """Returns what a page shows of it.

        Args:
            ahead: Number of runs before it in the queue.
        """
        seconds = None
        if self.began is not None and self._ended is not None:
            seconds = self._ended - self.began
        return {
            "id": self.id,
            "kind": self.kind,
            "state": self.state,
            "stopping": self._stopped and not self.over,
            "ahead": ahead,
            "message": self.message,
            "preview": self.version if self.preview else 0,
            "seconds": seconds,
            "preset": self.order.preset,
            "content": self.order.content.label,
            "styles": [
                style.label | {"share": share}
                for style, share in zip(self.order.styles, self.order.blend, strict=True)
            ],
            **self._shown,
            "results": [
                {
                    "shape": picture.shape,
                    "style_weight": picture.recipe.style_weight,
                    "settings": picture.recipe.to_table(),
                }
                for picture in self.results
            ],
        }


PaintRun = Callable[[QueuedRun], None]
"""Paints a run, and adds the pictures to its results."""


class Queue:
    """Runs in order, and the thread that paints them.

    Attributes:
        ended: Whether the server stops, so that nothing more is painted.
    """

    def __init__(self, paint: PaintRun, limits: Limits) -> None:
        """Makes an empty queue.

        Args:
            paint: Paints a run.
            limits: How many runs may wait.
        """
        self._paint, self._limits = paint, limits
        self._runs: list[QueuedRun] = []
        self._changed = threading.Condition()
        self.ended = False
        self._thread = threading.Thread(target=self._paint_all, name="painter", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stops all runs, and the thread after the current one."""
        with self._changed:
            self.ended = True
            for run in self._runs:
                run.stop()
            self._changed.notify()

    def end(self, wait_seconds: float) -> None:
        """Stops all runs and the thread, and waits for it."""
        self.stop()
        if self._thread.is_alive():
            self._thread.join(wait_seconds)

    def add(self, run: QueuedRun) -> None:
        """Adds a run at the end.

        Raises:
            InputError: There are too many, of this visitor or of all.
        """
        with self._changed:
            waiting = self._settle()
            own = [other for other in self._runs if other.session is run.session]
            if len(own) > self._limits.max_own:
                raise InputError(f"{len(own)} of your pictures are in the queue; remove some")
            if len(waiting) >= self._limits.max_queue:
                raise InputError(f"{len(waiting)} others are waiting; try again in a while")
            self._runs.append(run)
            run.session.runs[run.id] = run
            self._changed.notify()

    def ahead(self, run: QueuedRun) -> int:
        """Returns the number of runs before one; 0 if it is being painted or is over."""
        with self._changed:
            self._settle()
            order = _in_turn(self._runs)
            return order.index(run) if run in order else 0

    def _settle(self) -> list[QueuedRun]:
        """Drops runs that are over or abandoned; returns those that wait."""
        for run in self._runs:
            if run.state == "waiting" and run.abandoned:
                run.stop()
        self._runs = [run for run in self._runs if not run.over]
        return [run for run in _in_turn(self._runs) if run.state == "waiting"]

    def _next(self) -> QueuedRun | None:
        with self._changed:
            while not self.ended:
                if waiting := self._settle():
                    waiting[0].become("preparing")
                    return waiting[0]
                self._changed.wait()
        return None

    def _paint_all(self) -> None:
        while run := self._next():
            try:
                self._paint(run)
                run.become("stopped" if run.stopping else "done")
            except (InputError, ResourceError) as error:
                run.become("failed", run.session.message_of(error))
            except Exception as error:  # The next visitor's run is painted all the same.
                message = run.session.message_of(error) or type(error).__name__
                run.become("failed", f"something went wrong: {message[:200]}")


def _in_turn(runs: list[QueuedRun]) -> list[QueuedRun]:
    """Returns runs so that the first of every visitor goes before the second of anyone."""
    turns: Counter[str] = Counter()
    keyed = []
    for run in runs:
        keyed.append((turns[run.session.id], run))
        turns[run.session.id] += 1
    return [run for _, run in sorted(keyed, key=lambda pair: pair[0])]
