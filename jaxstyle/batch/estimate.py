"""Estimates of the time of a batch, from the jobs that are done, and of its memory."""

import contextlib
from collections.abc import Iterator, Sequence

import jax

from jaxstyle.batch.manifest import Manifest
from jaxstyle.batch.order import lanes_of
from jaxstyle.errors import InputError, ResourceError
from jaxstyle.jobs import Job, Painter
from jaxstyle.jobs.job import Shape, read_shape, work_of
from jaxstyle.recipes.demand import GIGABYTE, Demand, demand_of
from jaxstyle.recipes.fitting import choose
from jaxstyle.recipes.sweeps import program_of


def estimate(
    jobs: Sequence[Job], manifest: Manifest, painter: Painter, lanes: int | None
) -> Iterator[str]:
    """Yields lines about what jobs will need.

    Args:
        jobs: The jobs that are to be painted.
        manifest: The record of what was painted before.
        painter: Loads the encoders.
        lanes: Number of similar jobs painted at once; the best one for the device if None.
    """
    shapes = [(job, sizes) for job in jobs if (sizes := job.shapes(read_shape))]
    bad = len(jobs) - len(shapes)
    yield f"{len(jobs)} to paint" + (f", of which {bad} cannot be" if bad else "")
    yield _time(sum(work_of(job.recipe, sizes[0]) for job, sizes in shapes), manifest)
    demands = [_fitting(demand) for demand in _demands(shapes, painter, lanes)]
    if demands:
        largest = max(demands, key=lambda demand: demand.resident)
        height, width = largest.shape
        plan = "whole" if largest.recipe.memory == "auto" else largest.recipe.memory
        at_once = f"{largest.lanes} at once of {width}×{height} px, --memory {plan}"
        yield f"memory: {largest.resident / GIGABYTE:.1f} GB, for {at_once}"


def _time(work: float, manifest: Manifest) -> str:
    done = [entry for entry in manifest.entries.values() if entry.get("work")]
    if not done:
        return "time unknown: no picture in this folder is finished yet"
    rate = sum(entry["work"] for entry in done) / max(sum(e["seconds"] for e in done), 1e-9)
    minutes = work / max(rate, 1e-9) / 60
    text = f"{minutes / 60:.1f} h" if minutes >= 90 else f"{minutes:.1f} min"
    return f"time: {text}, at the rate of the {len(done)} that are done"


def _demands(
    shapes: Sequence[tuple[Job, list[Shape]]], painter: Painter, lanes: int | None
) -> Iterator[Demand]:
    """Yields a demand per program; none if its encoder is not on this machine."""
    kinds = {(program_of(job.recipe), *sizes): job for job, sizes in shapes}
    for (_, result, *styles), job in kinds.items():
        with contextlib.suppress(InputError):
            encoder, at_once = (
                painter.encoder(job.recipe),
                lanes_of(job, lanes, jax.default_backend()),
            )
            yield demand_of(encoder.encoder, job.recipe, result, styles, lanes=at_once)


def _fitting(demand: Demand) -> Demand:
    """Returns the plan that fits, one picture at a time if need be; the demand if none fits."""
    with contextlib.suppress(ResourceError):
        chosen = choose(demand)[0]
        if demand.lanes == 1 or chosen.recipe == demand.choices()[0].recipe:
            return chosen
    return demand if demand.lanes == 1 else _fitting(demand._replace(lanes=1))
