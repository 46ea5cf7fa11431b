"""Jobs one after the other; one that fails is recorded, and the rest go on."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import NamedTuple

from jaxstyle.batch.jobs import Job
from jaxstyle.batch.manifest import Manifest
from jaxstyle.batch.painter import Loaded, Painter, Record, Told
from jaxstyle.run.ahead import ahead

Report = Callable[[Record], None]
"""Hears what has become of a job."""


class _Taken(NamedTuple):
    """A job that this process alone has."""

    index: int
    loaded: Loaded | Record
    claim: ExitStack


def run_jobs(
    jobs: Sequence[Job], painter: Painter, manifest: Manifest, report: Report, told: Told
) -> int:
    """Paints jobs but those that another process has or has done, and returns how many failed.

    Args:
        jobs: In the order in which they are painted.
        painter: What paints them.
        manifest: The record of the folder.
        report: Hears of each job's end.
        told: Hears which part of all jobs is done, and may stop it.
    """
    failed = 0
    # The next job's pictures are decoded while this one's is painted.
    for index, loaded, claim in ahead(_take(jobs, painter, manifest)):

        def show(fraction: float, index: int = index) -> bool | None:
            return told((index + fraction) / len(jobs))

        with claim:
            steps = [loaded] if isinstance(loaded, Record) else painter.paint([loaded], show)
            record = painter.save(steps[0])
            if record.status == "stopped":
                break
            manifest.add(record)
            report(record)
            failed += record.status == "failed"
        if told((index + 1) / len(jobs)):
            break
    return failed


def _take(jobs: Sequence[Job], painter: Painter, manifest: Manifest) -> Iterator[_Taken]:
    """Yields the jobs that nobody else has or has done, with what they are painted from."""
    for index, job in enumerate(jobs):
        with ExitStack() as stack:
            mine = stack.enter_context(manifest.claim(job))
            manifest.refresh()
            if mine and not manifest.is_done(job):
                yield _Taken(index, painter.load(job), stack.pop_all())
