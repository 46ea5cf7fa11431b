"""Taking jobs: each is loaded by the one process that has it; those of others are waited for."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import NamedTuple

from jaxstyle.batch.claims import claim
from jaxstyle.batch.jobs import Job
from jaxstyle.batch.manifest import Manifest
from jaxstyle.batch.painter import Painter
from jaxstyle.batch.places import check_free
from jaxstyle.batch.steps import Loaded, Record, failure

POLL = 1.0
"""Seconds between two looks at jobs that other processes have."""


class Taken(NamedTuple):
    """A job that this process alone has.

    Attributes:
        place: How many jobs have been dealt with before it.
        loaded: What it is painted from.
        claim: What keeps the others off.
    """

    place: int
    loaded: Loaded | Record
    claim: ExitStack


class Held(NamedTuple):
    """There is nothing to do but wait for what other processes have.

    Attributes:
        place: How many jobs have been dealt with.
        others: How many other processes have.
    """

    place: int
    others: int


class Waits:
    """Says what is waited for, once, and what is left to others where nobody waits any longer."""

    def __init__(self, notice: Callable[[str], None]) -> None:
        self._notice, self._said = notice, False

    def stop(self, count: int, wish: bool | None) -> bool:
        """Returns whether to stop, as it is wished, with as many jobs in others' hands."""
        if wish:
            self._notice(f"{count} left to the processes that have them")
        elif not self._said:
            self._notice(f"waiting for {count} that other processes have")
        self._said = True
        return bool(wish)


def take(
    jobs: Sequence[Job], painter: Painter, manifest: Manifest, *, overwrite: bool
) -> Iterator[Taken | Held]:
    """Yields the jobs that nobody else has done, with what they are painted from.

    What others have comes last: their process may die of it, and then it is free.
    """
    waiting = list(jobs)
    while waiting:
        held = []
        for i, job in enumerate(waiting):
            with ExitStack() as stack:
                try:
                    mine = stack.enter_context(claim(manifest.folder, job.output))
                    done = mine and manifest.settles(job)
                    todo = mine and not done
                    loaded = _load(job, painter, manifest, overwrite) if todo else None
                except Exception as error:
                    mine, loaded = True, failure(job, "", error)
                if not mine:
                    held.append(job)
                elif loaded is not None:
                    place = len(jobs) - len(waiting) + i - len(held)
                    yield Taken(place, loaded, stack.pop_all())
        waiting = held
        if waiting:
            yield Held(len(jobs) - len(waiting), len(waiting))
            time.sleep(POLL)


def _load(job: Job, painter: Painter, manifest: Manifest, overwrite: bool) -> Loaded | Record:
    """Loads what a job is painted from, if its place is free."""
    if not overwrite:
        check_free(job, manifest)
    return painter.load(job)


def grouped(taken: Iterator[Taken | Held], painter: Painter) -> Iterator[list[Taken] | Held]:
    """Yields jobs that follow each other and are painted at once."""
    group: list[Taken] = []
    for one in taken:
        if group and (isinstance(one, Held) or _alike(group[0]) != _alike(one)):
            yield group
            group = []
        if isinstance(one, Held):
            yield one
            continue
        group.append(one)
        room = painter.room(one.loaded) if isinstance(one.loaded, Loaded) else 1
        if len(group) >= room:
            yield group
            group = []
    if group:
        yield group


def _alike(taken: Taken) -> object:
    return taken.loaded.alike if isinstance(taken.loaded, Loaded) else None
