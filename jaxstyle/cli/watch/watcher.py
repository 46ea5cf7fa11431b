"""The interface of what watches a run."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float, UInt8

import jaxstyle as js
from jaxstyle.arrays import Image
from jaxstyle.jobs import steps_done

Pixels = UInt8[np.ndarray, "h w 3"]
Alpha = Callable[[Image], Float[Array, "_ _"] | None]
"""Returns the opacity of an image, of the same size; None if the image is opaque."""

_SHARE = 0.05


class Snapshot(NamedTuple):
    """The picture at some moment of a run.

    Attributes:
        image: Returns the picture, ``f32[h, w, 3]``, as it would be saved.
        alpha: Returns its opacity.
    """

    image: Callable[[], Image]
    alpha: Alpha

    def pixels(self) -> Pixels:
        """Returns the picture in 8 bits, on white where it is transparent."""
        image = self.image()
        pixels, alpha = np.asarray(image), self.alpha(image)
        if alpha is not None:
            pixels = 1 - np.asarray(alpha)[..., None] * (1 - pixels)
        return np.rint(255 * np.clip(pixels, 0, 1)).astype(np.uint8)


class Watcher:
    """Watches a run; by default, does nothing. Leaves whole files at the end of its block."""

    def __enter__(self) -> object:
        return self

    def __exit__(self, *raised: object) -> None:
        pass

    def see(self, progress: js.Progress, snapshot: Snapshot) -> None:
        """Is called after every chunk of iterations."""

    def end(self, step: int, snapshot: Snapshot) -> None:
        """Is called at the end of a run of at least one iteration.

        Args:
            step: Number of iterations.
            snapshot: The result.
        """


class Pace:
    """Limits the time spent on an action to 5 % of the run."""

    def __init__(self) -> None:
        self._due = 0.0

    def __call__(self, act: Callable[[], None]) -> None:
        """Calls ``act``, or does nothing if that would take too much of the time."""
        started = time.monotonic()
        if started < self._due:
            return
        act()
        now = time.monotonic()
        self._due = now + (now - started) / _SHARE


class Watchers:
    """All watchers of a run; one that fails is reported and removed, and the run continues.

    Attributes:
        failed: Whether any has failed.
    """

    def __init__(
        self,
        watchers: Sequence[Watcher],
        report: Callable[[str], None],
        alpha: Alpha = lambda image: None,
    ) -> None:
        self.failed = False
        self._watchers = list(watchers)
        self._open: list[Watcher] = []
        self._report = report
        self._alpha = alpha

    def __enter__(self) -> "Watchers":
        self._open = [watcher for watcher in self._watchers if self._try(watcher.__enter__)]
        return self

    def __exit__(self, *raised: object) -> None:
        for watcher in self._open:
            self._try(watcher.__exit__, *raised)
        self._open = []

    def see(self, progress: js.Progress) -> None:
        """Calls ``see`` of every watcher."""
        self._call("see", progress, Snapshot(progress.picture, self._alpha))

    def end(self, result: js.Result) -> None:
        """Calls ``end`` of every watcher."""
        step = steps_done(result)
        if step:
            self._call("end", step, Snapshot(lambda: result.image, self._alpha))

    def _call(self, method: str, *arguments: object) -> None:
        for watcher in list(self._open):
            if not self._try(getattr(watcher, method), *arguments):
                self._open.remove(watcher)
                self._try(watcher.__exit__, RuntimeError, None, None)

    def _try(self, function: Callable[..., object], *arguments: object) -> bool:
        """Calls a function, reports its exception, and returns whether there was none."""
        try:
            function(*arguments)
        except Exception as error:
            self.failed = True
            message = str(error)
            if isinstance(error, OSError) and error.strerror:
                message = (
                    f"{error.filename}: {error.strerror}" if error.filename else error.strerror
                )
            self._report(f"{message}; the run continues without it")
            return False
        return True
