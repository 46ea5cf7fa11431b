"""The order in which jobs are painted, and the shares of several processes."""

from collections.abc import Iterable, Sequence

from jaxstyle.jobs import Job
from jaxstyle.jobs.job import Shape, read_shape
from jaxstyle.recipes.sweeps import program_of

_MAX_LANES, _LANES_PIXELS = 8, 2**20


def in_order(jobs: Iterable[Job]) -> list[Job]:
    """Returns jobs sorted so that those with the same program and painting are neighbours."""

    def key(job: Job) -> tuple[str, ...]:
        return (*program_key(job), *map(str, job.styles), job.output)

    return sorted(jobs, key=key)


def program_key(job: Job) -> tuple[str, ...]:
    """Returns what jobs with the same compiled program have in common: settings and sizes."""
    return (program_of(job.recipe), *(str(shape) for shape in job.shapes(read_shape)))


def shard_of(jobs: Sequence[Job], index: int, count: int) -> list[Job]:
    """Returns one of ``count`` shares of jobs; neighbours stay together.

    Args:
        jobs: All jobs, in the same order in every process.
        index: Number of the share, from 0.
        count: Number of shares.
    """
    return list(jobs[index * len(jobs) // count : (index + 1) * len(jobs) // count])


def lanes_of(job: Job, lanes: int | None, platform: str) -> int:
    """Returns how many jobs like one are painted at once.

    Args:
        job: The job.
        lanes: The number that was asked for; the best one for the platform if None.
        platform: Platform of the device.
    """
    shapes = job.shapes(read_shape) if job.fits_lanes else []
    return (lanes or default_lanes(shapes[0], platform)) if shapes else 1


def default_lanes(shape: Shape, platform: str) -> int:
    """Returns the number of pictures that is fastest to paint at once.

    It is 1 on a CPU, because one picture keeps its cores busy; the picture then equals that of
    ``stylize`` to the bit. An accelerator is idle with few pixels, and full with a megapixel.

    Args:
        shape: Height and width of the pictures.
        platform: Platform of the device.
    """
    if platform == "cpu":
        return 1
    return max(1, min(_MAX_LANES, _LANES_PIXELS // (shape[0] * shape[1])))
