"""What watches a run: told after every chunk, and at its end."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Array, Float, UInt8

import jaxstyle as js
from jaxstyle.arrays import Image
from jaxstyle.errors import InputError
from jaxstyle.ops import resize

Pixels = UInt8[np.ndarray, "h w 3"]
Alpha = Callable[[Image], Float[Array, "_ _"] | None]
"""Returns the opacity that goes with an image, of its size."""

_SHARE = 0.05


class Moment(NamedTuple):
    """A run at some moment.

    Attributes:
        progress: What the callback heard last.
        image: Returns the present picture, ``f32[h, w, 3]``, as it would be handed out.
        alpha: Returns its opacity.
    """

    progress: js.Progress
    image: Callable[[], Image]
    alpha: Alpha

    def pixels(self) -> Pixels:
        """Returns the picture in 8 bits, laid over white where it lets something through."""
        image = self.image()
        pixels, alpha = np.asarray(image), self.alpha(image)
        if alpha is not None:
            pixels = 1 - np.asarray(alpha)[..., None] * (1 - pixels)
        return np.rint(255 * np.clip(pixels, 0, 1)).astype(np.uint8)


@runtime_checkable
class Watcher(Protocol):
    """Watches a run; what it holds open is closed, and left whole, at the end of its block."""

    def __enter__(self) -> object: ...

    def __exit__(self, *raised: object) -> bool | None: ...

    def see(self, moment: Moment) -> None:
        """Is told after every chunk of iterations."""
        ...

    def end(self, moment: Moment, result: js.Result) -> None:
        """Is told when the run has ended, if anything was painted."""
        ...


class Pace:
    """Keeps what is done now and then at a twentieth of the time."""

    def __init__(self) -> None:
        self._due = 0.0

    def __call__(self, act: Callable[[], None]) -> None:
        """Does it, unless that would take too much of the time."""
        started = time.monotonic()
        if started < self._due:
            return
        act()
        now = time.monotonic()
        self._due = now + (now - started) / _SHARE


class Watchers:
    """All that watch a run; one that fails is told of and left out, and the run goes on.

    Attributes:
        failed: Whether any has.
    """

    def __init__(
        self,
        watchers: Sequence[Watcher],
        tell: Callable[[str], None],
        alpha: Alpha = lambda image: None,
    ) -> None:
        self.failed = False
        self._waiting = list(watchers)
        self._open: list[Watcher] = []
        self._tell = tell
        self._alpha = alpha
        self._last: js.Progress | None = None

    def __enter__(self) -> "Watchers":
        self._last = None  # A run that the memory did not suffice for begins anew.
        for watcher in self._waiting:
            if self._spared(watcher.__enter__):
                self._open.append(watcher)
        return self

    def __exit__(self, *raised: object) -> None:
        for watcher in self._open:
            self._spared(lambda watcher=watcher: watcher.__exit__(*raised))
        self._open = []

    def see(self, progress: js.Progress) -> None:
        """Tells all of them where the run is."""
        self._last = progress
        self._each(lambda watcher: watcher.see(self._moment(progress, progress.picture)))

    def end(self, result: js.Result) -> None:
        """Tells all of them how it ended."""
        if len(result.terms.style):
            moment = self._moment(self._last or _at_end(result), lambda: result.image)
            self._each(lambda watcher: watcher.end(moment, result))

    def _moment(self, progress: js.Progress, image: Callable[[], Image]) -> Moment:
        return Moment(progress, image, self._alpha)

    def _each(self, act: Callable[[Watcher], None]) -> None:
        for watcher in list(self._open):
            if not self._spared(lambda watcher=watcher: act(watcher)):
                self._open.remove(watcher)
                self._spared(lambda watcher=watcher: watcher.__exit__(InputError, None, None))

    def _spared(self, act: Callable[[], object]) -> bool:
        """Does something that the run can do without, and tells whether it went well."""
        try:
            act()
        except Exception as error:
            self.failed = True
            said = error.strerror if isinstance(error, OSError) else None
            name = error.filename if isinstance(error, OSError) else None
            self._tell(f"{f'{name}: ' if name else ''}{said or error}; painting goes on without")
            return False
        return True


def _at_end(result: js.Result) -> js.Progress:
    """Returns where a run is that went on from its very last iteration: nothing was left to do."""
    steps, terms = len(result.terms.style), np.stack(result.terms, axis=1)
    return js.Progress(
        step=steps,
        steps=steps,
        fraction=1.0,
        shape=resize.shape_of(result.image),
        terms=js.LossTerms(*terms[-1]),
        image=result.image,
        scale=1,
        scales=1,
        recent=js.LossTerms(*terms[:0].T),
        picture=lambda: result.image,
        checkpoint=None,
    )
