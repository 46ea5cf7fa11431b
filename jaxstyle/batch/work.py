"""Jobs in turn: loaded by one thread, painted by another, saved by a third."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import copy_context

from jaxstyle.batch.jobs import Job
from jaxstyle.batch.manifest import Manifest
from jaxstyle.batch.painter import Painter
from jaxstyle.batch.places import check_inputs_stay
from jaxstyle.batch.steps import Loaded, Painted, Record, Told
from jaxstyle.batch.taking import Held, Taken, Waits, grouped, take
from jaxstyle.configuration import of_this_thread
from jaxstyle.run.ahead import ahead

Report = Callable[[Record], None]
"""Hears what has become of a job."""

_UNSAVED = 2  # Groups that wait for the disk, at most; so memory stays what it is.


def run_jobs(
    jobs: Sequence[Job],
    painter: Painter,
    manifest: Manifest,
    report: Report,
    told: Told,
    *,
    overwrite: bool = False,
    notice: Callable[[str], None] = lambda text: None,
) -> int:
    """Paints jobs but those that another process does, and returns how many failed.

    What others have it waits for: if they die, it is done here.

    Args:
        jobs: In the order in which they are painted.
        painter: What paints them.
        manifest: The record of the folder.
        report: Hears of each job's end, in a thread of its own.
        told: Hears which part of all jobs is done, and may stop it.
        overwrite: Whether files in their places that are none of the folder's batch are replaced.
        notice: Hears in one line of what is waited for.

    Raises:
        InputError: A job would be painted over a picture that one is painted from.
    """
    check_inputs_stay(jobs, manifest.folder)
    saving = _Saving(painter, manifest, report)
    with saving:
        # The next pictures are decoded while these are painted.
        taken, waits = take(jobs, painter, manifest, overwrite=overwrite), Waits(notice)
        for group in ahead(grouped(taken, painter)):
            if isinstance(group, Held):
                stop = waits.stop(group.others, told(group.place / len(jobs)))
            else:
                stop = _paint(group, len(jobs), painter, saving, told)
            if stop:
                break
    return saving.failed


def _paint(
    group: Sequence[Taken], count: int, painter: Painter, saving: "_Saving", told: Told
) -> bool:
    """Paints jobs at once, hands them on to be saved, and tells whether to stop."""
    place, loaded = group[0].place, [taken.loaded for taken in group]

    def show(fraction: float) -> bool | None:
        return told((place + len(group) * fraction) / count)

    steps = [step for step in loaded if isinstance(step, Loaded)]
    ended = [step for step in loaded if isinstance(step, Record)]
    painted = [*ended, *painter.paint(steps, show)]
    saving.put(painted, [taken.claim for taken in group])
    stopped = any(isinstance(step, Painted) and step.stopped for step in painted)
    return stopped or bool(told((group[-1].place + 1) / count))


class _Saving:
    """Saves and records what is painted, beside the painting of what comes next.

    Attributes:
        failed: How many jobs have.
    """

    def __init__(self, painter: Painter, manifest: Manifest, report: Report) -> None:
        self.failed = 0
        self._painter, self._manifest, self._report = painter, manifest, report
        self._pool, self._here = ThreadPoolExecutor(max_workers=1), of_this_thread()
        self._pending: deque[Future[None]] = deque()

    def __enter__(self) -> None:
        """Begins."""

    def __exit__(self, *error: object) -> None:
        """Waits until all is saved."""
        self._pool.shutdown(wait=True)
        while self._pending:
            self._pending.popleft().result()

    def put(self, painted: Sequence[Painted | Record], claims: Sequence[ExitStack]) -> None:
        """Takes over jobs and their claims; waits if the disk is far behind."""
        # Whoever hears of the ends knows by the context what is asked for.
        save = copy_context().run
        self._pending.append(self._pool.submit(save, self._save, painted, claims))
        while len(self._pending) > _UNSAVED:
            self._pending.popleft().result()

    def _save(self, painted: Sequence[Painted | Record], claims: Sequence[ExitStack]) -> None:
        with self._here(), ExitStack() as stack:
            for held in claims:
                stack.push(held)
            for step in painted:
                record = self._painter.save(step)
                if record.status != "stopped":
                    self._manifest.add(record)
                    self._report(record)
                self.failed += record.status == "failed"
