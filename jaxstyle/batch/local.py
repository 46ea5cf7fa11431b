"""Jobs painted by this process: one thread loads the next ones, another saves the last ones."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any

import jax

from jaxstyle.batch.loop import Claimed
from jaxstyle.batch.order import lanes_of
from jaxstyle.batch.records import Record, save
from jaxstyle.configuration import defaults, of_this_thread
from jaxstyle.jobs import Inputs, Job, Painter, Painting

_LOADED = 2  # groups that are loaded or being loaded
_UNSAVED = 2  # groups that wait for the disk


class LocalExecutor:
    """Paints in the thread that calls ``wait``; it is its own only worker."""

    key = "local"

    def __init__(self, folder: Path, painter: Painter, *, lanes: int | None = None) -> None:
        """Makes an executor.

        Args:
            folder: The batch's folder.
            painter: Loads, paints and saves.
            lanes: Number of similar jobs painted at once; the best one for the device if None.
        """
        self._folder, self._painter, self._lanes = folder, painter, lanes
        self._groups: deque[tuple[Sequence[Claimed], Future[list[Any]]]] = deque()
        self._saving: deque[tuple[int, Future[None]]] = deque()
        self._load_pool, self._save_pool = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        self._configured = of_this_thread()

    def start(self, ended: Callable[[Claimed, Record], None], lost: Any) -> None:
        """Prepares for work."""
        self._ended = ended

    @property
    def busy(self) -> int:
        """Number of groups that are not painted yet."""
        return len(self._groups)

    @property
    def pending(self) -> int:
        """Number of jobs that are not saved yet."""
        unpainted = sum(len(group) for group, _ in self._groups)
        return unpainted + sum(size for size, _ in self._saving)

    def free(self) -> Iterator["LocalExecutor"]:
        """Yields itself while it can load more."""
        while len(self._groups) < _LOADED:
            before = len(self._groups)
            yield self
            if len(self._groups) == before:
                return

    def room(self, worker: Any, job: Job) -> int:
        """Returns how many jobs like one are painted at once."""
        return lanes_of(job, self._lanes, jax.default_backend())

    def submit(self, worker: Any, group: Sequence[Claimed], *, alone: bool) -> None:
        """Starts to load the files of jobs."""
        self._groups.append((group, self._load_pool.submit(self._load, group)))

    def wait(self, show: Callable[[float, int], bool]) -> None:
        """Paints the next group; without one, waits until one is saved."""
        if not self._groups:
            self._wait_for_saved(len(self._saving) - 1)
            return
        group, loading = self._groups[0]
        loaded = loading.result()
        inputs = [each for each in loaded if isinstance(each, Inputs)]
        unsaved = sum(size for size, _ in self._saving)

        def callback(fraction: float) -> bool:
            size = len(group)
            return show((unsaved + fraction * size) / size, size)

        painted = iter(self._painter.paint_all(inputs, callback))
        ends = [next(painted) if isinstance(each, Inputs) else each for each in loaded]
        self._groups.popleft()
        # Messages about a job depend on the context.
        run = copy_context().run
        self._saving.append((len(group), self._save_pool.submit(run, self._save, group, ends)))
        self._wait_for_saved(_UNSAVED)

    def close(self) -> None:
        """Waits until all is saved; jobs that are not painted are released."""
        self._load_pool.shutdown(wait=True, cancel_futures=True)
        for group, _ in self._groups:
            for claimed in group:
                claimed.claim.close()
        self._groups.clear()
        self._save_pool.shutdown(wait=True)
        self._wait_for_saved(0)

    def _wait_for_saved(self, left: int) -> None:
        while len(self._saving) > max(left, 0):
            _, saving = self._saving.popleft()
            saving.result()

    def _load(self, group: Sequence[Claimed]) -> list[Inputs | Exception]:
        with self._configured(), defaults():
            return [self._load_one(claimed.job) for claimed in group]

    def _load_one(self, job: Job) -> Inputs | Exception:
        try:
            return self._painter.load(job)
        except Exception as error:
            return error

    def _save(self, group: Sequence[Claimed], ends: Sequence[Painting | Exception]) -> None:
        with self._configured():
            for claimed, end in zip(group, ends, strict=True):
                job, digest = claimed.job, claimed.digest
                self._ended(claimed, save(self._painter, job, digest, end, self._folder))
