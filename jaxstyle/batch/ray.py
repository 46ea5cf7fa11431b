"""Jobs painted by a Ray cluster: a worker on every device of every machine.

This process reads the pictures, and writes the painted ones and the manifest. So the machines need
jaxstyle but no common folder, and a job is recorded once, whatever dies.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxstyle.atomic import replacing
from jaxstyle.batch import loop
from jaxstyle.batch.loop import Claimed
from jaxstyle.batch.manifest import Manifest
from jaxstyle.batch.object_store import ObjectStore
from jaxstyle.batch.order import lanes_of
from jaxstyle.batch.ray_cluster import connected
from jaxstyle.batch.ray_workers import RayWorker, Workers
from jaxstyle.batch.records import Record, failed
from jaxstyle.jobs import Job
from jaxstyle.recipes.sweeps import FractionCallback

__all__ = ["RayExecutor", "connected", "run_jobs"]

_WAIT = 0.5  # seconds between two progress reports


def run_jobs(
    jobs: Sequence[Job],
    manifest: Manifest,
    *,
    report: Callable[[Record], None],
    progress: FractionCallback,
    address: str | None = None,
    cache: Path | None = None,
    store_programs: bool = True,
    lanes: int | None = None,
    overwrite: bool = False,
    notice: Callable[[str], None] = lambda line: None,
) -> int:
    """Paints jobs on a Ray cluster, and returns how many failed.

    This process computes nothing, but it reads parameters as JAX arrays: on a machine that it
    shares with workers, call ``jax.config.update("jax_platforms", "cpu")`` before anything else of
    JAX, which leaves the accelerators to them.

    A job whose worker or machine dies is tried again; after three deaths it has failed. Machines
    that join during the batch also get workers.

    Args:
        jobs: As for :func:`jaxstyle.batch.loop.run_jobs`.
        manifest: The record of the folder that the pictures go to.
        report: Receives a record when a job ends.
        progress: Receives the fraction of all jobs that is done; returns True to stop.
        address: ``host:port`` of the cluster's head, or ``ray://host:port``; if None, the cluster
            that this machine belongs to, or this machine alone. Within :func:`connected` it is that
            cluster.
        cache: Folder of downloads; None as for ``load_encoder``.
        store_programs: Whether workers store compiled programs in their machines' cache folders.
        lanes: Number of similar jobs that a worker paints at once; the best one for its device if
            None.
        overwrite: Whether files may be replaced that the batch has not painted.
        notice: Receives lines about machines, workers and other processes.

    Raises:
        InputError: Ray is not installed, nothing answers at the address, or a job would replace a
            picture that a job is painted from.
        ResourceError: No worker starts on any machine.
    """
    with connected(address) as ray, Workers(ray, store_programs, notice) as workers:
        store = ObjectStore(ray, cache)
        executor = RayExecutor(ray, workers, store, manifest.folder, lanes=lanes)
        more: dict[str, Any] = {"overwrite": overwrite, "notice": notice}
        return loop.run_jobs(jobs, manifest, executor, report=report, progress=progress, **more)


class _Task(NamedTuple):
    """Jobs that a worker paints at once."""

    group: list[Claimed]
    worker: RayWorker


class RayExecutor:
    """Sends jobs to the workers of a Ray cluster, and writes what they paint."""

    def __init__(
        self, ray: Any, workers: Workers, store: ObjectStore, folder: Path, *, lanes: int | None
    ) -> None:
        """Makes an executor.

        Args:
            ray: Ray, connected to a cluster.
            workers: The cluster's workers.
            store: What jobs share.
            folder: The batch's folder.
            lanes: Number of similar jobs painted at once; the best one for the device if None.
        """
        self._ray, self._workers, self._store = ray, workers, store
        self._folder, self._lanes = folder, lanes
        self._tasks: dict[Any, _Task] = {}

    def start(
        self,
        ended: Callable[[Claimed, Record], None],
        lost: Callable[[Any, Sequence[Claimed], Exception], None],
    ) -> None:
        """Prepares for work."""
        self._ended, self._lost = ended, lost

    @property
    def pending(self) -> int:
        """Number of jobs that workers have."""
        return sum(len(task.group) for task in self._tasks.values())

    def free(self) -> Iterator[RayWorker]:
        """Yields workers that can take another group, the least busy ones first."""
        self._workers.renew()
        return self._workers.free()

    def room(self, worker: RayWorker, job: Job) -> int:
        """Returns how many jobs like one a worker paints at once."""
        return lanes_of(job, self._lanes, worker.platform)

    def submit(self, worker: RayWorker, group: Sequence[Claimed], *, alone: bool) -> None:
        """Sends jobs to a worker."""
        packed, shared = [], {}
        for claimed in group:
            try:
                remote, references = self._store.pack(claimed.job)
            except Exception as error:
                self._ended(claimed, failed(claimed.job, claimed.digest, error))
            else:
                packed.append((claimed, remote))
                shared |= references
        if packed:
            reference = worker.paint([remote for _, remote in packed], shared, alone=alone)
            self._tasks[reference] = _Task([claimed for claimed, _ in packed], worker)

    def wait(self, show: Callable[[float, int], bool]) -> None:
        """Waits for a moment until jobs end, and writes their pictures."""
        if not self._tasks:
            time.sleep(_WAIT / 10)
            return
        references = list(self._tasks)
        ready = self._ray.wait(references, num_returns=len(references), timeout=0)[0]
        for reference in ready or self._ray.wait(references, timeout=_WAIT)[0]:
            if reference in self._tasks:  # Not if its worker was found dead just now.
                self._finish(reference)

    def close(self) -> None:
        """Releases the jobs that workers have."""
        for task in self._tasks.values():
            for claimed in task.group:
                claimed.claim.close()
        self._tasks.clear()

    def _finish(self, reference: Any) -> None:
        task, errors = self._tasks[reference], self._ray.exceptions
        try:
            ends = self._ray.get(reference)
        except errors.RayTaskError as error:
            cause = getattr(error, "cause", None) or error
            ends = [(failed(claimed.job, "", cause), b"") for claimed in task.group]
        except errors.RayError as error:
            self._bury(task.worker, error)
            return
        del self._tasks[reference]
        task.worker.busy -= 1
        task.worker.alone = False
        for claimed, (record, data) in zip(task.group, ends, strict=True):
            self._ended(claimed, self._write(claimed, record, data))

    def _write(self, claimed: Claimed, record: Record, data: bytes) -> Record:
        """Writes a picture, and returns the record of its job."""
        try:
            if record.status == "done":
                _write(self._folder / record.output, data)
        except OSError as error:
            return failed(claimed.job, claimed.digest, error)
        return record._replace(digest=claimed.digest)

    def _bury(self, worker: RayWorker, error: Exception) -> None:
        self._workers.remove(worker, error)
        own = [reference for reference, task in self._tasks.items() if task.worker is worker]
        groups = [self._tasks.pop(reference).group for reference in own]
        self._lost(worker, [claimed for group in groups for claimed in group], error)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())  # before the manifest says that it is there
