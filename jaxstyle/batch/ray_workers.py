"""Workers of a Ray cluster: one on every device, made anew where one died or a machine joined."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

import jax

from jaxstyle.batch.guest import Guest, Parcel
from jaxstyle.batch.ray_cluster import library
from jaxstyle.batch.steps import Guard, Record
from jaxstyle.errors import ResourceError
from jaxstyle.version import __version__

_AT_ONCE = 3  # groups of jobs of a worker: one is loaded, one is painted, one is saved
_LOOKS = 2.0  # seconds between two looks at which machines there are
_STARTS = 3  # of a worker that fail before its device is given up
_PATIENCE = 60.0  # seconds without any worker, after which that is said


class Seat(NamedTuple):
    """A device of the cluster.

    Attributes:
        node: Ray's name of the machine.
        place: The machine's address.
        kind: What Ray calls the resource.
        number: Which of the machine's devices.
        amount: How much of the resource a worker takes.
    """

    node: str
    place: str
    kind: str
    number: int
    amount: int


class Hand:
    """The actor: what Ray runs beside a device."""

    def __init__(self, sources: Mapping[str, Any], keep: bool, guard: Guard | None) -> None:
        self._guest = Guest(sources=sources, keep=keep, guard=guard)

    def introduce(self) -> tuple[str, str]:
        """Returns which jaxstyle this is, and the platform of its device."""
        return __version__, jax.default_backend()

    def paint(
        self, parcels: Sequence[Parcel], shared: dict[str, Any]
    ) -> list[tuple[Record, bytes]]:
        """Paints jobs, with references to what they share with others."""
        return self._guest(parcels, lambda key: library().get(shared[key]))

    def close(self) -> None:
        """Removes its files."""
        self._guest.close()


class Worker:
    """An actor on a seat.

    Attributes:
        seat: Its device.
        actor: Ray's handle.
        started: Reference to its introduction, which it gives once it is there.
        platform: Of the device; empty until then.
        busy: Number of groups of jobs that it has.
        alone: Whether its job is to have it alone.
    """

    def __init__(self, seat: Seat, actor: Any) -> None:
        self.seat, self.actor = seat, actor
        self.started = actor.introduce.remote()
        self.platform, self.busy, self.alone = "", 0, False

    @property
    def ready(self) -> bool:
        """Whether it is there."""
        return bool(self.platform)

    def give(self, parcels: Sequence[Parcel], shared: dict[str, Any], *, alone: bool) -> Any:
        """Sends jobs to be painted at once, and returns the reference to what becomes of them."""
        self.busy, self.alone = self.busy + 1, alone
        return self.actor.paint.remote(parcels, shared)


W = TypeVar("W", bound="Workers")


class Workers:
    """All workers; as a context, they end with it."""

    def __init__(
        self,
        ray: Any,
        sources: dict[str, Any],
        keep: bool,
        guard: Guard | None,
        notice: Callable[[str], None],
    ) -> None:
        self._ray, self._notice = ray, notice
        self._arguments = (sources, keep, guard)
        self._workers: dict[Seat, Worker] = {}
        self._failures: Counter[Seat] = Counter()
        self._reason = ""
        self._looked = -_LOOKS
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
        """Looks after what has become of machines and of workers that are starting.

        Raises:
            ResourceError: Workers start on none of the devices.
        """
        if time.monotonic() - self._looked >= _LOOKS:
            seats = find_seats(self._ray.nodes())
            for seat in seats:
                if seat not in self._workers and self._failures[seat] < _STARTS:
                    self._workers[seat] = self._start(seat)
            if seats and not self._workers:
                raise ResourceError(f"no worker starts on the cluster: {self._reason}")
            self._looked = time.monotonic()
        self._greet()

    def free(self) -> Iterator[Worker]:
        """Yields workers that can have a job more, those with the fewest first."""
        for busy in range(_AT_ONCE):
            for worker in list(self._workers.values()):
                if worker.ready and worker.busy == busy and not worker.alone:
                    yield worker

    def remove(self, worker: Worker, error: Exception) -> None:
        """Ends a worker that is dead, or cannot be reached."""
        if self._workers.pop(worker.seat, None) is None:
            return
        self._ray.kill(worker.actor)
        self._reason = _line(error)
        self._notice(f"{worker.seat.place}: a worker died ({self._reason})")

    def _start(self, seat: Seat) -> Worker:
        resources: dict[str, Any] = {"num_cpus": 0}
        if seat.kind == "TPU":
            resources["resources"] = {"TPU": seat.amount}
        else:
            resources[f"num_{seat.kind.lower()}s"] = seat.amount
        strategy = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        options = {"max_concurrency": _AT_ONCE, "max_restarts": 0, "max_task_retries": 0}
        made = self._ray.remote(Hand).options(
            **options, **resources, scheduling_strategy=strategy(seat.node, soft=False)
        )
        return Worker(seat, made.remote(*self._arguments))

    def _greet(self) -> None:
        starting = {worker.started: worker for worker in self._workers.values() if not worker.ready}
        if starting:
            for ref in self._ray.wait(list(starting), num_returns=len(starting), timeout=0)[0]:
                self._welcome(starting[ref])
        if any(worker.ready for worker in self._workers.values()):
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = time.monotonic()
        elif time.monotonic() - self._alone_since > _PATIENCE:
            count = len(find_seats(self._ray.nodes()))
            self._notice(f"no worker yet: waiting for one of the cluster's {count} devices")
            self._alone_since = float("inf")

    def _welcome(self, worker: Worker) -> None:
        try:
            version, platform = self._ray.get(worker.started)
            if version != __version__:
                raise RuntimeError(f"jaxstyle {version} there, {__version__} here")
        except (self._ray.exceptions.RayError, RuntimeError) as error:
            self._failures[worker.seat] += 1
            self.remove(worker, error)
        else:
            worker.platform = platform


def find_seats(nodes: list[dict[str, Any]]) -> list[Seat]:
    """Returns the devices of a cluster: its GPUs or TPU chips or, without any, its machines."""
    alive = [(n["NodeID"], n["NodeManagerAddress"], n["Resources"]) for n in nodes if n["Alive"]]
    seats = [
        Seat(node, place, kind, i, 1)
        for node, place, resources in alive
        for kind in ("GPU", "TPU")
        for i in range(int(resources.get(kind, 0)))
    ]
    return seats or [
        Seat(node, place, "CPU", 0, int(resources["CPU"]))
        for node, place, resources in alive
        if resources.get("CPU", 0) >= 1
    ]


def _line(error: Exception) -> str:
    """Returns what an error of Ray's says, its last line that says anything."""
    rows = [row.strip() for row in str(error).splitlines() if row.strip()]
    return next((row for row in reversed(rows) if "Error" in row), rows[0] if rows else "died")
