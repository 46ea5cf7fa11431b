"""Whose turn it is: workers stay with one program while they can, and each job is done once."""

from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable
from itertools import groupby

from jaxstyle.batch.jobs import Job, shared_by

_TRIES = 3

Room = Callable[[Job], int]
"""Returns how many jobs like one are taken at once."""


class Turns:
    """Jobs that wait, and which program each worker has compiled.

    A worker goes on with the program that it has as long as there are jobs of it, and then helps
    where the most jobs wait for each worker. A job whose worker died is suspect: it is tried alone,
    so that the next death tells whether it is the job's fault.
    """

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._groups = [deque(group) for _, group in groupby(jobs, shared_by)]
        self._suspects: deque[Job] = deque()
        self._deaths: Counter[str] = Counter()
        self._at: dict[Hashable, deque[Job]] = {}

    def __bool__(self) -> bool:
        """Whether any job waits."""
        return bool(self._suspects) or any(self._groups)

    def add(self, jobs: Iterable[Job]) -> None:
        """Takes more jobs, in order, that are to wait for their turns."""
        self._groups += [deque(group) for _, group in groupby(jobs, shared_by)]

    def take(self, worker: Hashable, busy: int, room: Room = lambda job: 1) -> list[Job]:
        """Returns the next jobs of a worker, which are of one program; none if none waits.

        Args:
            worker: Who asks.
            busy: How much it has to do already; 0 for nothing.
            room: Returns how many jobs like one the worker takes at once.
        """
        if self._suspects:
            return [] if busy else [self._suspects.popleft()]
        if not self._at.get(worker):
            self._groups = [group for group in self._groups if group]
            if not self._groups:
                return []
            self._at[worker] = max(self._groups, key=self._need)
        group = self._at[worker]
        taken = [group.popleft()]
        most = room(taken[0])
        while group and group[0].fits_lanes and len(taken) < most:
            taken.append(group.popleft())
        return taken

    def give_back(self, job: Job) -> int:
        """Takes back a job whose worker died, and returns after how many deaths that was.

        From the third on it stays away.
        """
        self._deaths[job.output] += 1
        if self._deaths[job.output] < _TRIES:
            self._suspects.append(job)
        return self._deaths[job.output]

    def is_waiting(self, job: Job) -> bool:
        """Whether a job that was taken back is to be tried again."""
        return self._deaths[job.output] < _TRIES

    def is_suspect(self, job: Job) -> bool:
        """Whether a worker has died of a job before, so that it is to run alone."""
        return self._deaths[job.output] > 0

    def leave(self, worker: Hashable) -> None:
        """Forgets a worker that is no more."""
        self._at.pop(worker, None)

    def _need(self, group: deque[Job]) -> float:
        return len(group) / (1 + sum(at is group for at in self._at.values()))
