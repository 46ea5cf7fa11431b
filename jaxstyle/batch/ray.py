"""Jobs painted by a Ray cluster: a warm worker on every device of every machine.

The driver, which is whoever calls :func:`run_jobs`, reads the pictures and writes the painted ones
and the manifest: machines need jaxstyle and no common folder, and whatever dies, a job is recorded
once. Paintings and encoders lie in Ray's object store, once a machine.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from jaxstyle.atomic import replacing
from jaxstyle.batch.claims import claim
from jaxstyle.batch.guest import Parcel
from jaxstyle.batch.jobs import Job, read_shape
from jaxstyle.batch.manifest import Manifest
from jaxstyle.batch.places import check_free, check_inputs_stay
from jaxstyle.batch.ray_cluster import connected
from jaxstyle.batch.ray_shelf import Shelf
from jaxstyle.batch.ray_workers import Worker, Workers
from jaxstyle.batch.steps import Guard, Record, failure, room_of
from jaxstyle.batch.taking import POLL, Waits
from jaxstyle.batch.turns import Turns

__all__ = ["connected", "run_jobs"]

_WAIT = 0.5  # seconds, after which the caller is asked whether to stop


def run_jobs(
    jobs: Sequence[Job],
    folder: Path,
    manifest: Manifest,
    report: Callable[[Record], None],
    told: Callable[[float], bool | None],
    *,
    address: str | None = None,
    cache: Path | None = None,
    sources: Mapping[str, Any] | None = None,
    keep: bool = True,
    lanes: int | None = None,
    guard: Guard | None = None,
    notice: Callable[[str], None] = lambda text: None,
    overwrite: bool = False,
) -> int:
    """Paints jobs on a Ray cluster, and returns how many failed.

    What other processes have it waits for: if they die, it is done here.

    This process computes nothing, but reads parameters as JAX's arrays: where it shares a machine
    with workers, ``jax.config.update("jax_platforms", "cpu")``, before anything else of JAX's,
    leaves them the accelerators.

    A job whose worker dies, with its machine or without, is given out again, and has failed after
    three deaths. Machines that join while it runs get workers, too.

    Args:
        jobs: In the order in which they are given out: those of one program together.
        folder: Where the pictures go.
        manifest: The record of that folder.
        report: Hears of each job's end.
        told: Hears which part of all jobs is done, and may stop it.
        address: ``host:port`` of the cluster's head, or ``ray://host:port``; if None, the cluster
            that this machine belongs to, or else this machine alone. Within
            :func:`connected` it is that cluster.
        cache: Where downloads are kept; None as for ``load_encoder``.
        sources: What every picture tells of where it comes from, beside the names of files.
        keep: Whether workers keep compiled programs in their machines' cache folders.
        lanes: How many jobs that are alike a worker paints at once; as many as pays on its device
            if None.
        guard: Chooses on the workers how much memory jobs are given, or refuses them; if None they
            have all. A function that can be imported there.
        notice: Hears in one line of what happens to machines and workers.
        overwrite: Whether files in their places that are none of the folder's batch are replaced.

    Raises:
        InputError: Ray is not installed, nothing answers at the address, or a job would be painted
            over a picture that one is painted from.
        ResourceError: No worker starts, wherever.
    """
    check_inputs_stay(jobs, folder)
    given = dict(sources or {})
    with connected(address) as ray, Workers(ray, given, keep, guard, notice) as workers:
        shelf, waits = Shelf(ray, cache), Waits(notice)
        run = _Run(jobs, manifest, report, ray, workers, shelf, waits, lanes, overwrite)
        return run.work(told)


class _Given(NamedTuple):
    """A job in a worker's hands, and what keeps other processes off it."""

    parcel: Parcel
    claim: ExitStack

    @property
    def job(self) -> Job:
        return self.parcel.job


class _Task(NamedTuple):
    """Jobs that a worker paints at once."""

    given: list[_Given]
    worker: Worker


class _Run:
    """What :func:`run_jobs` keeps in mind."""

    def __init__(
        self,
        jobs: Sequence[Job],
        manifest: Manifest,
        report: Callable[[Record], None],
        ray: Any,
        workers: Workers,
        shelf: Shelf,
        waits: Waits,
        lanes: int | None,
        overwrite: bool,
    ) -> None:
        self._manifest, self._folder, self._overwrite = manifest, manifest.folder, overwrite
        self._shelf, self._waits, self._lanes = shelf, waits, lanes
        self._held: list[Job] = []
        self._turns, self._count, self._report = Turns(jobs), len(jobs), report
        self._ray, self._workers = ray, workers
        self._tasks: dict[Any, _Task] = {}
        self._settled = self._failed = 0

    def work(self, told: Callable[[float], bool | None]) -> int:
        try:
            while self._turns or self._tasks or self._held:
                self._workers.renew()
                for worker in self._workers.free():
                    self._give(worker)
                self._await()
                stop = told(self._settled / max(self._count, 1))
                if self._wait_for_others(stop) if self._only_waits else stop:
                    break
        finally:
            for task in self._tasks.values():
                for given in task.given:
                    given.claim.close()
        return self._failed

    @property
    def _only_waits(self) -> bool:
        return bool(self._held) and not (self._turns or self._tasks)

    def _wait_for_others(self, wish: bool | None) -> bool:
        """Lets what other processes have be tried once more, and returns whether to stop."""
        stop = self._waits.stop(len(self._held), wish)
        if not stop:
            time.sleep(POLL)
            self._turns.add(self._held)
            self._held = []
        return stop

    def _await(self) -> None:
        if not self._tasks:
            time.sleep(_WAIT / 10 if self._turns else 0)
            return
        waiting = list(self._tasks)
        for ref in (
            self._ray.wait(waiting, num_returns=len(waiting), timeout=0)[0]
            or (self._ray.wait(waiting, timeout=_WAIT)[0])
        ):
            if ref in self._tasks:  # and not one of a worker that was just found dead
                self._settle(ref)

    def _give(self, worker: Worker) -> None:
        """Gives a worker its next jobs, unless other processes have or have done them."""
        jobs = self._turns.take(worker.seat, worker.busy, partial(self._room, worker))
        given, shared = list[_Given](), dict[str, Any]()
        for job in jobs:
            with ExitStack() as stack:
                if (parcel := self._pack(job, shared, stack)) is not None:
                    given.append(_Given(parcel, stack.pop_all()))
        if given:
            alone = self._turns.is_suspect(given[0].job)
            ref = worker.give([one.parcel for one in given], shared, alone=alone)
            self._tasks[ref] = _Task(given, worker)

    def _room(self, worker: Worker, job: Job) -> int:
        """Returns how many jobs like one a worker paints at once."""
        shapes = job.shapes(read_shape)
        return room_of(job, shapes[0], self._lanes, worker.platform) if shapes else 1

    def _pack(self, job: Job, shared: dict[str, Any], stack: ExitStack) -> Parcel | None:
        """Returns a job to be sent; None if it is another's, is done or cannot be.

        Args:
            job: Which.
            shared: Gets references to what it shares with others.
            stack: Gets the claim.
        """
        digest = ""
        try:
            if not stack.enter_context(claim(self._folder, job.output)):
                self._held.append(job)
                return None
            if self._manifest.settles(job):
                self._settled += 1
                return None
            if not self._overwrite:
                check_free(job, self._manifest)
            digest = job.digest  # Before any file is read: what changes is painted again.
            parcel, references = self._shelf.parcel(job, digest)
        except Exception as error:
            self._end(failure(job, digest, error))
            return None
        shared |= references
        return parcel

    def _settle(self, ref: Any) -> None:
        errors = self._ray.exceptions
        task = self._tasks[ref]
        try:
            ends = self._ray.get(ref)
        except errors.RayTaskError as error:
            cause = getattr(error, "cause", None) or error
            ends = [(failure(one.job, one.parcel.digest, cause), b"") for one in task.given]
        except errors.RayError as error:
            self._bury(task.worker, error)
            return
        del self._tasks[ref]
        task.worker.busy -= 1
        task.worker.alone = False
        for one, (record, data) in zip(task.given, ends, strict=True):
            with one.claim:
                self._end(self._written(one, record, data))

    def _written(self, given: _Given, record: Record, data: bytes) -> Record:
        """Writes a picture, and returns what has become of its job then."""
        try:
            if record.status == "done":
                _write(self._folder / record.output, data)
        except OSError as error:
            return failure(given.job, given.parcel.digest, error)
        return record

    def _end(self, record: Record) -> None:
        self._manifest.add(record)
        self._report(record)
        self._settled += 1
        self._failed += record.status == "failed"

    def _bury(self, worker: Worker, error: Exception) -> None:
        """Takes back the jobs of a worker that died."""
        self._workers.remove(worker, error)
        self._turns.leave(worker.seat)
        for ref in [ref for ref, task in self._tasks.items() if task.worker is worker]:
            for one in self._tasks.pop(ref).given:
                with one.claim:
                    self._give_back(one)

    def _give_back(self, given: _Given) -> None:
        deaths = self._turns.give_back(given.job)
        if not self._turns.is_waiting(given.job):
            died = RuntimeError(f"{deaths} workers died of it; too large for their memory?")
            self._end(failure(given.job, given.parcel.digest, died))


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())  # before the manifest says that it is there
