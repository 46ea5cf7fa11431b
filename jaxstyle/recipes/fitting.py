"""What ``--memory auto`` means: the fastest plan that fits into the free memory."""

import contextlib
import gc
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import jax

from jaxstyle.errors import ResourceError
from jaxstyle.recipes.demand import ADDRESSES, GIGABYTE, RESIDENT, Demand, Lines
from jaxstyle.recipes.recipe import Recipe
from jaxstyle.recipes.system_memory import free_addresses, free_memory

R = TypeVar("R")

_EXHAUSTED = ("RESOURCE_EXHAUSTED", "bad_alloc", "Unable to allocate", "out of memory")


def choose(demand: Demand) -> list[Demand]:
    """Returns the plans that fit into the free memory, the fastest first.

    Raises:
        ResourceError: None fits; the message says which options would.
    """
    rooms, choices = list(_rooms()), demand.choices()
    fitting = [choice for choice in choices if all(_fits(choice, *room) for room in rooms)]
    if fitting:
        return fitting
    last = choices[-1]
    if demand.recipe.memory == "auto":
        for lines, room, _ in rooms:
            last = last.with_history(room, lines)
    for lines, room, what in rooms:
        if not _fits(last, lines, room):
            needed = last.bytes_of(lines, last.recipe.memory)
            raise ResourceError(
                f"out of memory: {_name(last)} would need {needed / GIGABYTE:.1f} GB {what}, "
                f"and {max(0, room) / GIGABYTE:.1f} GB are free; {choices[-1].advice(lines, room)}"
            )
    return [last]


def choose_all(demands: Sequence[Demand], keys: Sequence[object]) -> list[Demand]:
    """Returns a plan that fits for each run; runs with the same key get the same one.

    Raises:
        ResourceError: One of them does not fit.
    """
    plans: dict[object, Recipe] = {}
    for demand, key in zip(demands, keys, strict=True):
        if key not in plans:
            plans[key] = choose(demand)[0].recipe
    return [
        demand.with_recipe(memory=plans[key].memory, history=plans[key].history)
        for demand, key in zip(demands, keys, strict=True)
    ]


def within_memory(
    demand: Demand, run: Callable[[Recipe], R], notice: Callable[[str], None]
) -> tuple[Recipe, R]:
    """Runs with the fastest plan that fits, and if memory runs out, with the next smaller one.

    Args:
        demand: What is to run.
        run: Runs it by a recipe.
        notice: Receives a line about the plan, if the recipe leaves it open.

    Returns:
        The recipe with its plan, and the result.

    Raises:
        ResourceError: No plan fits.
    """
    last, cause = demand, None
    for choice in _announced(demand, notice):
        if cause is not None:
            cause = None  # The traceback keeps the arrays of the failed attempt alive.
            gc.collect()
        try:
            return choice.recipe, run(choice.recipe)
        except Exception as error:
            if not is_exhausted(error):
                raise
            last, cause = choice, error
    raise did_not_fit(last) from cause


@contextlib.contextmanager
def reporting_exhaustion(demand: Demand) -> Iterator[None]:
    """Turns an error that means "no memory left" into a ResourceError that says what to do."""
    try:
        yield
    except Exception as error:
        if not is_exhausted(error):
            raise
        raise did_not_fit(demand) from error


def did_not_fit(demand: Demand) -> ResourceError:
    """Returns the error of a run whose estimate was too small."""
    # Half the size is a guess with a margin.
    advice = demand.advice(RESIDENT, demand.resident / 4)
    return ResourceError(f"out of memory: {_name(demand)} did not fit; {advice}")


def describe_plan(choice: Demand, history: int) -> str:
    """Returns the line about a plan; it names the history if that is below the one asked for."""
    recipe = choice.recipe
    fewer = f" --history {recipe.history}" if recipe.history < history else ""
    return f"memory {recipe.memory}{fewer}: about {choice.resident / GIGABYTE:.1f} GB"


def is_exhausted(error: BaseException) -> bool:
    """Returns whether an error means that no memory is left."""
    return isinstance(error, MemoryError) or any(word in str(error) for word in _EXHAUSTED)


def _fits(demand: Demand, lines: Lines, room: float, what: str = "") -> bool:
    return demand.bytes_of(lines, demand.recipe.memory) <= room


def _announced(demand: Demand, notice: Callable[[str], None]) -> Iterator[Demand]:
    """Yields the plans that fit, each after a line about it."""
    last = None
    for choice in choose(demand):
        if last:
            memory = choice.recipe.memory
            notice(f"out of memory with {_name(last)}; trying again with --memory {memory}")
        elif demand.recipe.memory == "auto":
            notice(describe_plan(choice, demand.recipe.history))
        yield choice
        last = choice


def _name(demand: Demand) -> str:
    height, width = demand.shape
    return f"{width}×{height} px with --memory {demand.recipe.memory}"


def _rooms() -> Iterator[tuple[Lines, float, str]]:
    """Yields the free bytes of everything that may run out."""
    device = jax.local_devices()[0]
    if device.platform != "cpu":
        stats = device.memory_stats() or {}
        if "bytes_limit" in stats:
            room = float(stats["bytes_limit"] - stats.get("bytes_in_use", 0))
            yield RESIDENT, room, f"of the {device.device_kind}'s memory"
        return
    yield RESIDENT, free_memory(), "more"
    yield ADDRESSES, free_addresses(), "more of addresses (ulimit -v)"
