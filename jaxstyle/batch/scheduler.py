"""Which jobs a worker gets next: it stays with its program, and each job is painted once."""

from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable
from itertools import groupby

from jaxstyle.batch.order import program_key
from jaxstyle.jobs import Job

_TRIES = 3

Room = Callable[[Job], int]
"""Returns how many jobs like one are painted at once."""


class Scheduler:
    """Waiting jobs by program, and the program that each worker has compiled.

    A worker continues with its program while there are jobs of it, and then takes the program with
    the most waiting jobs per worker. A job whose worker died is a suspect: it is tried alone, so
    that the next death shows whether the job is the cause.
    """

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._groups: list[deque[Job]] = []
        self._suspects: deque[Job] = deque()
        self._deaths: Counter[str] = Counter()
        self._at: dict[Hashable, deque[Job]] = {}
        self.add(jobs)

    def __bool__(self) -> bool:
        """Returns whether any job waits."""
        return bool(self._suspects) or any(self._groups)

    def add(self, jobs: Iterable[Job]) -> None:
        """Adds jobs; those of one program are neighbours."""
        self._groups += [deque(group) for _, group in groupby(jobs, program_key)]

    def take(self, worker: Hashable, busy: int, room: Room = lambda job: 1) -> list[Job]:
        """Returns the next jobs for a worker, all of one program; empty if none waits.

        Args:
            worker: The worker.
            busy: Number of groups of jobs that it has already.
            room: Returns how many jobs like one the worker paints at once.
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
        """Takes back a job whose worker died; returns the number of deaths so far.

        After three deaths it is not tried again.
        """
        self._deaths[job.output] += 1
        if self._deaths[job.output] < _TRIES:
            self._suspects.append(job)
        return self._deaths[job.output]

    def is_waiting(self, job: Job) -> bool:
        """Returns whether a job that was given back will be tried again."""
        return self._deaths[job.output] < _TRIES

    def is_suspect(self, job: Job) -> bool:
        """Returns whether a worker died with a job before, so that it must run alone."""
        return self._deaths[job.output] > 0

    def remove(self, worker: Hashable) -> None:
        """Forgets a worker."""
        self._at.pop(worker, None)

    def _need(self, group: deque[Job]) -> float:
        return len(group) / (1 + sum(at is group for at in self._at.values()))
