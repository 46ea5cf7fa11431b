"""The loop of a batch: it claims jobs, has them painted by an executor, and records each once."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxstyle.batch.claims import claim
from jaxstyle.batch.manifest import Manifest
from jaxstyle.batch.outputs import check_free
from jaxstyle.batch.records import Record, failed
from jaxstyle.batch.scheduler import Scheduler
from jaxstyle.jobs import Job, check_inputs_kept
from jaxstyle.recipes.sweeps import FractionCallback

POLL = 1.0
"""Seconds between two attempts to claim jobs that other processes have."""

OTHER_NAMES = "choose another folder with -o, or other names with --name"


class Claimed(NamedTuple):
    """A job that only this process may paint.

    Attributes:
        job: The job.
        digest: Its digest, computed before any of its files was read.
        claim: Releases it.
    """

    job: Job
    digest: str
    claim: ExitStack


@runtime_checkable
class Worker(Protocol):
    """Something that paints groups of jobs one after the other."""

    @property
    def key(self) -> Any:
        """What distinguishes it from other workers."""
        ...

    @property
    def busy(self) -> int:
        """Number of groups of jobs that it has."""
        ...


@runtime_checkable
class Executor(Protocol):
    """Paints groups of claimed jobs, here or elsewhere."""

    def start(
        self,
        ended: Callable[[Claimed, Record], None],
        lost: Callable[[Any, Sequence[Claimed], Exception], None],
    ) -> None:
        """Prepares for work.

        Args:
            ended: To be called once for every job, by any thread.
            lost: To be called with a worker that died and the jobs that it had.
        """
        ...

    def free(self) -> Iterable[Worker]:
        """Yields workers that can take another group of jobs, the least busy ones first."""
        ...

    def room(self, worker: Any, job: Job) -> int:
        """Returns how many jobs like one a worker paints at once."""
        ...

    def submit(self, worker: Any, group: Sequence[Claimed], *, alone: bool) -> None:
        """Gives jobs of one program to a worker.

        Args:
            worker: A worker that is free.
            group: The jobs.
            alone: Whether the worker must not have any other job at the same time.
        """
        ...

    def wait(self, show: Callable[[float, int], bool]) -> None:
        """Paints the next group, or waits for a moment until one is painted.

        Args:
            show: Receives the fraction of a group that is done, and its size; returns True to stop.
        """
        ...

    @property
    def pending(self) -> int:
        """Number of jobs that have not ended yet."""
        ...

    def close(self) -> None:
        """Saves what is painted, and releases the rest."""
        ...


def run_jobs(
    jobs: Sequence[Job],
    manifest: Manifest,
    executor: Executor,
    *,
    report: Callable[[Record], None],
    progress: FractionCallback,
    overwrite: bool = False,
    notice: Callable[[str], None] = lambda line: None,
) -> int:
    """Paints jobs, each once, and returns how many failed.

    It waits for jobs that other processes have: if such a process dies, they are painted here.

    Args:
        jobs: The jobs; those of one program are neighbours.
        manifest: The record of the folder.
        executor: Paints them.
        report: Receives a record when a job ends, from any thread.
        progress: Receives the fraction of all jobs that is done; returns True to stop.
        overwrite: Whether files may be replaced that the batch has not painted.
        notice: Receives lines about other processes.

    Raises:
        InputError: A job would replace a picture that a job is painted from.
    """
    outputs = (manifest.folder / job.output for job in jobs)
    check_inputs_kept(outputs, jobs, OTHER_NAMES)
    return _Loop(jobs, manifest, executor, report, progress, overwrite, notice).run()


class _Loop:
    """The state of :func:`run_jobs`."""

    def __init__(
        self,
        jobs: Sequence[Job],
        manifest: Manifest,
        executor: Executor,
        report: Callable[[Record], None],
        progress: FractionCallback,
        overwrite: bool,
        notice: Callable[[str], None],
    ) -> None:
        self._manifest, self._executor, self._overwrite = manifest, executor, overwrite
        self._report, self._progress, self._notice = report, progress, notice
        self._scheduler, self._count = Scheduler(jobs), max(len(jobs), 1)
        self._held: list[Job] = []  # Other processes have these.
        self._ended = self._failed = 0
        self._shown, self._has_said_so = 0.0, False

    def run(self) -> int:
        executor = self._executor
        executor.start(self._end, self._lose)
        try:
            while self._scheduler or executor.pending or self._held:
                for worker in executor.free():
                    self._submit(worker)
                only_held = self._held and not (self._scheduler or executor.pending)
                if not only_held:
                    executor.wait(self._show)
                stop = self._show(0.0, 0)
                if self._wait_for_others(stop) if only_held else stop:
                    break
        finally:
            executor.close()
        return self._failed

    def _show(self, fraction: float, size: int) -> bool:
        # Pictures that are painted and not recorded yet must not make it go back.
        self._shown = max(self._shown, (self._ended + fraction * size) / self._count)
        return bool(self._progress(min(self._shown, 1.0)))

    def _submit(self, worker: Worker) -> None:
        room = partial(self._executor.room, worker)
        group = []
        for job in self._scheduler.take(worker.key, worker.busy, room):
            with ExitStack() as stack:
                if (digest := self._claim(job, stack)) is not None:
                    group.append(Claimed(job, digest, stack.pop_all()))
        if group:
            alone = self._scheduler.is_suspect(group[0].job)
            self._executor.submit(worker, group, alone=alone)

    def _claim(self, job: Job, stack: ExitStack) -> str | None:
        """Returns the digest of a job that is to be painted; None if it is not."""
        digest = ""
        try:
            if not stack.enter_context(claim(self._manifest.folder, job.output)):
                self._held.append(job)
                return None
            digest = job.digest
            self._manifest.refresh(job.output)
            if self._manifest.is_done(job.output, digest):
                self._ended += 1
                return None
            if not self._overwrite:
                check_free(job, self._manifest)
        except Exception as error:
            self._record(failed(job, digest, error))
            return None
        return digest

    def _end(self, claimed: Claimed, record: Record) -> None:
        with claimed.claim:
            if record.status != "stopped":
                self._record(record)

    def _record(self, record: Record) -> None:
        self._manifest.add(record)
        self._ended += 1
        self._failed += record.status == "failed"
        self._report(record)

    def _lose(self, worker: Worker, group: Sequence[Claimed], error: Exception) -> None:
        """Takes back the jobs of a worker that died."""
        self._scheduler.remove(worker.key)
        for claimed in group:
            with claimed.claim:
                deaths = self._scheduler.give_back(claimed.job)
                if not self._scheduler.is_waiting(claimed.job):
                    died = RuntimeError(f"{deaths} workers died of it; is their memory too small?")
                    self._record(failed(claimed.job, claimed.digest, died))

    def _wait_for_others(self, stop: bool) -> bool:
        """Waits before the jobs of other processes are tried again; returns whether to stop."""
        count = len(self._held)
        if stop:
            self._notice(f"{count} left to the processes that paint them")
            return True
        if not self._has_said_so:
            self._notice(f"waiting for {count} that other processes are painting")
            self._has_said_so = True
        time.sleep(POLL)
        self._scheduler.add(self._held)
        self._held = []
        return False
