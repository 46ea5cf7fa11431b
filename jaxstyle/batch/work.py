"""Jobs in turn: loaded by one thread, painted by another, saved by a third."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import NamedTuple

from jaxstyle.batch.claims import claim
from jaxstyle.batch.jobs import Job
from jaxstyle.batch.manifest import Manifest
from jaxstyle.batch.painter import Painter
from jaxstyle.batch.places import check_free, check_inputs_stay
from jaxstyle.batch.steps import Loaded, Painted, Record, Told, failure
from jaxstyle.configuration import of_this_thread
from jaxstyle.errors import InputError
from jaxstyle.run.ahead import ahead

Report = Callable[[Record], None]
"""Hears what has become of a job."""

_UNSAVED = 2  # Groups that wait for the disk, at most; so memory stays what it is.


class _Taken(NamedTuple):
    """A job that this process alone has.

    Attributes:
        place: Which of all jobs.
        loaded: What it is painted from.
        claim: What keeps the others off.
    """

    place: int
    loaded: Loaded | Record
    claim: ExitStack


def run_jobs(
    jobs: Sequence[Job],
    painter: Painter,
    manifest: Manifest,
    report: Report,
    told: Told,
    *,
    overwrite: bool = False,
) -> int:
    """Paints jobs but those that another process has or has done, and returns how many failed.

    Args:
        jobs: In the order in which they are painted.
        painter: What paints them.
        manifest: The record of the folder.
        report: Hears of each job's end, in a thread of its own.
        told: Hears which part of all jobs is done, and may stop it.
        overwrite: Whether files in their places that are none of the folder's batch are replaced.

    Raises:
        InputError: A job would be painted over a picture that one is painted from.
    """
    check_inputs_stay(jobs, manifest.folder)
    saving = _Saving(painter, manifest, report)
    with saving:
        # The next pictures are decoded while these are painted.
        for group in ahead(_grouped(_take(jobs, painter, manifest, overwrite), painter)):
            place, loaded = group[0].place, [taken.loaded for taken in group]

            def show(fraction: float, place: int = place, count: int = len(group)) -> bool | None:
                return told((place + count * fraction) / len(jobs))

            steps = [step for step in loaded if isinstance(step, Loaded)]
            ended = [step for step in loaded if isinstance(step, Record)]
            painted = [*ended, *painter.paint(steps, show)]
            saving.put(painted, [taken.claim for taken in group])
            if any(isinstance(step, Painted) and step.stopped for step in painted):
                break
            if told((group[-1].place + 1) / len(jobs)):
                break
    return saving.failed


def _take(
    jobs: Sequence[Job], painter: Painter, manifest: Manifest, overwrite: bool
) -> Iterator[_Taken]:
    """Yields the jobs that nobody else has or has done, with what they are painted from."""
    for place, job in enumerate(jobs):
        with ExitStack() as stack:
            mine = stack.enter_context(claim(manifest.folder, job.output))
            if mine and not manifest.settles(job):
                yield _Taken(place, _load(job, painter, manifest, overwrite), stack.pop_all())


def _load(job: Job, painter: Painter, manifest: Manifest, overwrite: bool) -> Loaded | Record:
    """Loads what a job is painted from, if its place is free."""
    try:
        if not overwrite:
            check_free(job, manifest)
    except InputError as error:
        return failure(job, job.digest, error)
    return painter.load(job)


def _grouped(taken: Iterator[_Taken], painter: Painter) -> Iterator[list[_Taken]]:
    """Yields jobs that follow each other and are painted at once."""
    group: list[_Taken] = []
    for one in taken:
        if group and _alike(group[0]) != _alike(one):
            yield group
            group = []
        group.append(one)
        room = painter.room(one.loaded) if isinstance(one.loaded, Loaded) else 1
        if len(group) >= room:
            yield group
            group = []
    if group:
        yield group


def _alike(taken: _Taken) -> object:
    return taken.loaded.alike if isinstance(taken.loaded, Loaded) else None


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
        self._pending.append(self._pool.submit(self._save, painted, claims))
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
