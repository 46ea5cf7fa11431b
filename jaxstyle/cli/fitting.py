"""Runs that fit into the memory: chosen before they start, and smaller if that proves too much."""

import contextlib
import gc
from collections.abc import Callable, Iterator
from typing import TypeVar

import jax

from jaxstyle.cli import free
from jaxstyle.cli.memory import ADDRESSES, GIGABYTE, RESIDENT, Demand, Lines
from jaxstyle.cli.report import plain
from jaxstyle.errors import ResourceError
from jaxstyle.recipes.recipe import Recipe

R = TypeVar("R")

_EXHAUSTED = ("RESOURCE_EXHAUSTED", "bad_alloc", "Unable to allocate", "out of memory")


def choose(demand: Demand) -> list[Demand]:
    """Returns the ways to run what is demanded that fit into the memory, the fastest first.

    Raises:
        ResourceError: None does; the line says which options make a run that fits.
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
            taken = last.bytes_of(lines, last.recipe.memory)
            raise ResourceError(
                f"out of memory: {_named(last)} would take {taken / GIGABYTE:.1f} GB {what}, "
                f"and {max(0, room) / GIGABYTE:.1f} GB are free; {choices[-1].advice(lines, room)}"
            )
    return [last]


def _fits(demand: Demand, lines: Lines, room: float, what: str = "") -> bool:
    return demand.bytes_of(lines, demand.recipe.memory) <= room


def within_memory(
    demand: Demand, run: Callable[[Recipe], R], told: Callable[[str], None]
) -> tuple[Recipe, R]:
    """Runs what is demanded as it fits, and if that proves too much, the next smaller way.

    Args:
        demand: What is to run.
        run: Runs it by a recipe.
        told: Hears which way is taken, where the recipe leaves it open.

    Returns:
        The recipe that it was, and what came of it.

    Raises:
        ResourceError: There is too little memory for any.
    """
    last, cause = demand, None
    for choice in _told(demand, told):
        if cause is not None:
            cause = None  # What the failed attempt has in memory hangs on its traceback.
            gc.collect()
        try:
            return choice.recipe, run(choice.recipe)
        except Exception as error:
            if not is_exhausted(error):
                raise
            last, cause = choice, error
    raise _did_not_fit(last) from cause


@contextlib.contextmanager
def watching(demand: Demand) -> Iterator[None]:
    """Refuses a run that takes more memory than there is, before it and, failing that, in it.

    Raises:
        ResourceError: The memory does not suffice.
    """
    demand = demand.settled
    choose(demand)
    try:
        yield
    except Exception as error:
        if not is_exhausted(error):
            raise
        raise _did_not_fit(demand) from error


def _did_not_fit(demand: Demand) -> ResourceError:
    # What was estimated was too little; so half of the size is a guess with a margin.
    advice = demand.advice(RESIDENT, demand.resident / 4)
    return ResourceError(f"out of memory: {_named(demand)} did not fit; {advice}")


def _told(demand: Demand, told: Callable[[str], None]) -> Iterator[Demand]:
    """Yields the ways that fit, and says which one it is."""
    last = None
    for choice in choose(demand):
        if last:
            memory = choice.recipe.memory
            told(f"out of memory with {_named(last)}; once more with --memory {memory}")
        elif demand.recipe.memory == "auto":
            told(told_of(choice, demand.recipe.history))
        yield choice
        last = choice


def told_of(choice: Demand, history: int) -> str:
    """Returns the line that says how a run is computed, and with fewer pairs than ``history``."""
    recipe = choice.recipe
    fewer = f" --history {recipe.history}" if recipe.history < history else ""
    return f"memory {recipe.memory}{fewer}: about {choice.resident / GIGABYTE:.1f} GB"


def is_exhausted(error: BaseException) -> bool:
    """Tells whether an error means that there is no memory left."""
    return isinstance(error, MemoryError) or any(word in str(error) for word in _EXHAUSTED)


def _named(demand: Demand) -> str:
    height, width = demand.shape
    return f"{width}×{height} px with --memory {demand.recipe.memory}"


def _rooms() -> Iterator[tuple[Lines, float, str]]:
    """Yields the bytes that are free in each place that may run out."""
    device = jax.local_devices()[0]
    if device.platform != "cpu":
        stats = device.memory_stats() or {}
        if "bytes_limit" in stats:
            room = float(stats["bytes_limit"] - stats.get("bytes_in_use", 0))
            yield RESIDENT, room, f"of the {plain(device.device_kind)}'s memory"
        return
    yield RESIDENT, free.memory(), "more"
    yield ADDRESSES, free.addresses(), "more of addresses (ulimit -v)"
