"""Jobs painted by a Ray cluster: a warm worker on every device of every machine.

The driver, which is whoever calls :func:`run_jobs`, reads the pictures and writes the painted ones
and the manifest: machines need jaxstyle and no common folder, and whatever dies, a job is recorded
once. Paintings and encoders lie in Ray's object store, once a machine.
"""

import hashlib
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxstyle.atomic import replacing
from jaxstyle.batch.claims import claim
from jaxstyle.batch.guest import Parcel
from jaxstyle.batch.jobs import Job, identity
from jaxstyle.batch.manifest import Manifest
from jaxstyle.batch.painter import load_warm, warm_key
from jaxstyle.batch.places import check_free, check_inputs_stay
from jaxstyle.batch.ray_cluster import connected
from jaxstyle.batch.ray_workers import Worker, Workers
from jaxstyle.batch.steps import Guard, Record, failure
from jaxstyle.batch.taking import POLL, Waits
from jaxstyle.batch.turns import Turns

__all__ = ["connected", "run_jobs"]

_SHARED = 64  # paintings and encoders that stay in the object store
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
        shelf, waits = _Shelf(ray, cache), Waits(notice)
        return _Run(jobs, folder, manifest, report, ray, workers, shelf, waits, overwrite).work(
            told
        )


class _Task(NamedTuple):
    """A job in a worker's hands."""

    job: Job
    digest: str
    worker: Worker
    claim: ExitStack


class _Run:
    """What :func:`run_jobs` keeps in mind."""

    def __init__(
        self,
        jobs: Sequence[Job],
        folder: Path,
        manifest: Manifest,
        report: Callable[[Record], None],
        ray: Any,
        workers: Workers,
        shelf: "_Shelf",
        waits: Waits,
        overwrite: bool,
    ) -> None:
        self._shelf, self._waits, self._overwrite = shelf, waits, overwrite
        self._held: list[Job] = []
        self._turns, self._count = Turns(jobs), len(jobs)
        self._folder, self._manifest, self._report = folder, manifest, report
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
                task.claim.close()
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
        """Gives a worker its next job, unless another process has or has done that."""
        job = self._turns.take(worker.seat, worker.busy)
        if job is None:
            return
        with ExitStack() as stack:
            digest = ""
            try:
                if not stack.enter_context(claim(self._folder, job.output)):
                    self._held.append(job)
                    return
                if self._manifest.settles(job):
                    self._settled += 1
                    return
                if not self._overwrite:
                    check_free(job, self._manifest)
                digest = job.digest  # Before any file is read: what changes is painted again.
                parcel, shared = self._shelf.parcel(job, digest)
            except Exception as error:
                self._end(failure(job, digest, error))
                return
            ref = worker.give(parcel, shared, alone=self._turns.is_suspect(job))
            self._tasks[ref] = _Task(job, digest, worker, stack.pop_all())

    def _settle(self, ref: Any) -> None:
        errors = self._ray.exceptions
        task = self._tasks[ref]
        try:
            record, data = self._ray.get(ref)
            if record.status == "done":
                _write(self._folder / record.output, data)
        except (errors.RayTaskError, OSError) as error:
            cause = getattr(error, "cause", None) or error
            record = failure(task.job, task.digest, cause)
        except errors.RayError as error:
            self._bury(task.worker, error)
            return
        del self._tasks[ref]
        task.worker.busy -= 1
        task.worker.alone = False
        with task.claim:
            self._end(record)

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
            task = self._tasks.pop(ref)
            with task.claim:
                deaths = self._turns.give_back(task.job)
                if not self._turns.is_waiting(task.job):
                    died = RuntimeError(f"{deaths} workers died of it; too large for their memory?")
                    self._end(failure(task.job, task.digest, died))


class _Shelf:
    """What jobs share, in Ray's object store: a machine fetches it once for all of its workers."""

    def __init__(self, ray: Any, cache: Path | None) -> None:
        self._ray, self._cache = ray, cache
        self._refs = OrderedDict[str, Any]()

    def parcel(self, job: Job, digest: str) -> tuple[Parcel, dict[str, Any]]:
        """Returns a job to be sent, and references to what it shares with others."""
        encoder = self._put(repr(warm_key(job.recipe)), lambda: self._encoder(job))
        others = tuple(self._put(_key(path), path.read_bytes) for path in job.pictures[1:])
        shared = {key: self._refs[key] for key in (encoder, *others)}
        while len(self._refs) > max(_SHARED, len(shared)):
            self._refs.popitem(last=False)
        return Parcel(job, digest, job.content.read_bytes(), others, encoder), shared

    def _put(self, key: str, make: Callable[[], Any]) -> str:
        if key not in self._refs:
            self._refs[key] = self._ray.put(make())
        self._refs.move_to_end(key)
        return key

    def _encoder(self, job: Job) -> Any:
        warm = load_warm(job.recipe, self._cache)
        return warm._replace(encoder=jax.tree.map(np.asarray, warm.encoder))


def _key(path: Path) -> str:
    return hashlib.sha256(repr(identity(path)).encode()).hexdigest()[:32]


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())  # before the manifest says that it is there
