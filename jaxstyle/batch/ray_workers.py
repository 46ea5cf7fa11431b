"""Workers of a Ray cluster: one on every device, replaced if it dies."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

import jax

from jaxstyle.batch.ray_cluster import library
from jaxstyle.batch.records import Record
from jaxstyle.batch.remote_worker import RemoteJob, RemoteWorker
from jaxstyle.errors import ResourceError
from jaxstyle.version import __version__

_AT_ONCE = 3  # groups of jobs of a worker: one is loaded, one painted, one saved
_SCAN_INTERVAL = 2.0  # seconds between two looks at the cluster's machines
_MAX_STARTS = 3  # attempts to start a worker on a device
_PATIENCE = 60.0  # seconds without any worker before a notice


class Device(NamedTuple):
    """A device of the cluster.

    Attributes:
        node: Ray's name of the machine.
        address: The machine's address.
        kind: Ray's name of the resource.
        number: Number of the device on its machine.
        amount: Amount of the resource that a worker needs.
    """

    node: str
    address: str
    kind: str
    number: int
    amount: int


class Actor:
    """What Ray runs beside a device."""

    def __init__(self, store_programs: bool) -> None:
        self._worker = RemoteWorker(store_programs=store_programs)

    def describe(self) -> tuple[str, str]:
        """Returns the version of jaxstyle and the platform of the device."""
        return __version__, jax.default_backend()

    def paint(
        self, jobs: Sequence[RemoteJob], shared: dict[str, Any]
    ) -> list[tuple[Record, bytes]]:
        """Paints jobs, with references to what they share with other jobs."""
        return self._worker(jobs, lambda key: library().get(shared[key]))

    def close(self) -> None:
        """Removes its files."""
        self._worker.close()


class RayWorker:
    """An actor on a device.

    Attributes:
        key: The device.
        actor: Ray's handle.
        started: Reference to its description, which is ready once it has started.
        platform: Platform of the device; empty until then.
        busy: Number of groups of jobs that it has.
        alone: Whether it must not get another job beside the one it has.
    """

    def __init__(self, device: Device, actor: Any) -> None:
        self.key, self.actor = device, actor
        self.started = actor.describe.remote()
        self.platform, self.busy, self.alone = "", 0, False

    @property
    def ready(self) -> bool:
        """Whether it has started."""
        return bool(self.platform)

    def paint(self, jobs: Sequence[RemoteJob], shared: dict[str, Any], *, alone: bool) -> Any:
        """Sends jobs to be painted at once, and returns a reference to the result."""
        self.busy, self.alone = self.busy + 1, alone
        return self.actor.paint.remote(jobs, shared)


W = TypeVar("W", bound="Workers")


class Workers:
    """All workers of a cluster; they are ended with the context."""

    def __init__(self, ray: Any, store_programs: bool, notice: Callable[[str], None]) -> None:
        self._ray, self._notice, self._store_programs = ray, notice, store_programs
        self._workers: dict[Device, RayWorker] = {}
        self._failures: Counter[Device] = Counter()
        self._reason = ""
        self._scanned = -_SCAN_INTERVAL
        self._alone_since: float | None = time.monotonic()

    def __enter__(self: W) -> W:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        ready = [worker for worker in self._workers.values() if worker.ready and not worker.busy]
        closing = [worker.actor.close.remote() for worker in ready]
        if closing:
            self._ray.wait(closing, num_returns=len(closing), timeout=5)
        for worker in self._workers.values():
            self._ray.kill(worker.actor)

    def renew(self) -> None:
        """Starts workers on devices without one.

        Raises:
            ResourceError: No worker starts on any device.
        """
        if time.monotonic() - self._scanned >= _SCAN_INTERVAL:
            devices = find_devices(self._ray.nodes())
            for device in devices:
                if device not in self._workers and self._failures[device] < _MAX_STARTS:
                    self._workers[device] = self._start(device)
            if devices and not self._workers:
                raise ResourceError(f"no worker starts on the cluster: {self._reason}")
            self._scanned = time.monotonic()
        self._check_started()

    def free(self) -> Iterator[RayWorker]:
        """Yields workers that can take another group of jobs, the least busy ones first."""
        for busy in range(_AT_ONCE):
            for worker in list(self._workers.values()):
                if worker.ready and worker.busy == busy and not worker.alone:
                    yield worker

    def remove(self, worker: RayWorker, error: Exception) -> None:
        """Ends a worker that is dead or cannot be reached."""
        if self._workers.pop(worker.key, None) is None:
            return
        self._ray.kill(worker.actor)
        self._reason = _line(error)
        self._notice(f"{worker.key.address}: a worker died ({self._reason})")

    def _start(self, device: Device) -> RayWorker:
        resources: dict[str, Any] = {"num_cpus": 0}
        if device.kind == "TPU":
            resources["resources"] = {"TPU": device.amount}
        else:
            resources[f"num_{device.kind.lower()}s"] = device.amount
        strategy = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        options = {"max_concurrency": _AT_ONCE, "max_restarts": 0, "max_task_retries": 0}
        made = self._ray.remote(Actor).options(
            **options, **resources, scheduling_strategy=strategy(device.node, soft=False)
        )
        return RayWorker(device, made.remote(self._store_programs))

    def _check_started(self) -> None:
        starting = {worker.started: worker for worker in self._workers.values() if not worker.ready}
        if starting:
            for ref in self._ray.wait(list(starting), num_returns=len(starting), timeout=0)[0]:
                self._confirm(starting[ref])
        if any(worker.ready for worker in self._workers.values()):
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = time.monotonic()
        elif time.monotonic() - self._alone_since > _PATIENCE:
            count = len(find_devices(self._ray.nodes()))
            self._notice(f"no worker yet: waiting for one of the cluster's {count} devices")
            self._alone_since = float("inf")

    def _confirm(self, worker: RayWorker) -> None:
        try:
            version, platform = self._ray.get(worker.started)
            if version != __version__:
                raise RuntimeError(f"jaxstyle {version} there, {__version__} here")
        except (self._ray.exceptions.RayError, RuntimeError) as error:
            self._failures[worker.key] += 1
            self.remove(worker, error)
        else:
            worker.platform = platform


def find_devices(nodes: list[dict[str, Any]]) -> list[Device]:
    """Returns the devices of a cluster: its GPUs and TPU chips, or its machines if it has none."""
    alive = [(n["NodeID"], n["NodeManagerAddress"], n["Resources"]) for n in nodes if n["Alive"]]
    devices = [
        Device(node, address, kind, i, 1)
        for node, address, resources in alive
        for kind in ("GPU", "TPU")
        for i in range(int(resources.get(kind, 0)))
    ]
    return devices or [
        Device(node, address, "CPU", 0, int(resources["CPU"]))
        for node, address, resources in alive
        if resources.get("CPU", 0) >= 1
    ]


def _line(error: Exception) -> str:
    """Returns the most informative line of an error of Ray."""
    rows = [row.strip() for row in str(error).splitlines() if row.strip()]
    return next((row for row in reversed(rows) if "Error" in row), rows[0] if rows else "died")
