"""What a batch takes: its time, by jobs that are done, and its memory."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jax

from jaxstyle.batch.jobs import Job, read_shape, work_of
from jaxstyle.batch.manifest import Manifest
from jaxstyle.batch.steps import Loaded, lanes_that_pay
from jaxstyle.cli.fitting import choose, watching
from jaxstyle.cli.memory import Demand, demand_of
from jaxstyle.encoder import VGGEncoder
from jaxstyle.errors import InputError, ResourceError
from jaxstyle.recipes.paint import encoder_key, load_named
from jaxstyle.recipes.recipe import Recipe
from jaxstyle.recipes.sweeps import fits_lanes, program_of


@contextlib.contextmanager
def guard(loaded: Loaded, lanes: int) -> Iterator[Recipe]:
    """Yields the fastest way to paint so many jobs like one at once in the memory that there is.

    Raises:
        ResourceError: There is none.
    """
    encoder, recipe = loaded.warm.encoder, loaded.job.recipe
    demand = demand_of(
        encoder, recipe, loaded.shape, loaded.style_shapes, lanes=lanes, masks=loaded.masks
    )
    chosen = choose(demand)[0]
    with watching(chosen):
        yield chosen.recipe


def estimate(
    todo: Sequence[Job], manifest: Manifest, folder: Path | None, lanes: int | None
) -> Iterator[str]:
    """Yields lines that tell what jobs will take.

    Args:
        todo: The jobs.
        manifest: Of what has been painted before.
        folder: Where downloads are kept.
        lanes: How many pictures at once; as many as pays if None.
    """
    shapes = [(job, found) for job in todo if (found := job.shapes(read_shape))]
    bad = len(todo) - len(shapes)
    yield f"{len(todo)} to paint" + (f", of which {bad} cannot be" if bad else "")
    yield _time(sum(work_of(job.recipe, found[0]) for job, found in shapes), manifest)
    demands = [_fitting(demand) for demand in _demands(shapes, folder, lanes)]
    if demands:
        most = max(demands, key=lambda demand: demand.resident)
        height, width = most.shape
        at_once = f"{most.lanes} at once of {width}×{height} px"
        at_once += f", --memory {most.settled.recipe.memory}"
        yield f"memory: {most.resident / 1e9:.1f} GB, for {at_once}"


def _fitting(demand: Demand) -> Demand:
    """Returns how jobs are painted, as it fits; of what does not fit, what it would take."""
    with contextlib.suppress(ResourceError):
        chosen = choose(demand)[0]
        if demand.lanes == 1 or chosen.recipe == demand.settled.recipe:
            return chosen
    return demand if demand.lanes == 1 else _fitting(demand._replace(lanes=1))


def _time(work: float, manifest: Manifest) -> str:
    done = [entry for entry in manifest.entries.values() if entry.get("work")]
    if not done:
        return "time unknown: no picture in this folder is finished yet"
    rate = sum(entry["work"] for entry in done) / sum(entry["seconds"] for entry in done)
    minutes = work / max(rate, 1e-9) / 60
    told = f"{minutes / 60:.1f} h" if minutes >= 90 else f"{minutes:.1f} min"
    return f"time: {told}, at the rate of the {len(done)} that are done"


def _demands(
    shapes: Sequence[tuple[Job, list[tuple[int, int]]]], folder: Path | None, lanes: int | None
) -> Iterator[Demand]:
    """Yields what each program takes; of encoders that are not here it is not known."""
    kinds = {(program_of(job.recipe), *found): job.recipe for job, found in shapes}
    load = _loader(folder)
    for (_, result, *styles), recipe in kinds.items():
        most = lanes or lanes_that_pay(result, jax.default_backend())
        at_once = most if fits_lanes(recipe) else 1
        if (encoder := load(recipe)) is not None:
            yield demand_of(encoder, recipe, result, styles, lanes=at_once)


def _loader(folder: Path | None) -> Callable[[Recipe], VGGEncoder | None]:
    kept: dict[object, VGGEncoder | None] = {}

    def load(recipe: Recipe) -> VGGEncoder | None:
        key = encoder_key(recipe)
        if key not in kept:
            try:
                kept[key] = load_named(recipe, folder)
            except InputError:
                kept[key] = None
        return kept[key]

    return load
