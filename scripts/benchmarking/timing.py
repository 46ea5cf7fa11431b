"""Rounds in which sides take turns, processes of their own, and peaks of memory."""

import multiprocessing
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import TypeVar

ROOT = Path(__file__).parents[2]

Side = Callable[[], float]
"""Runs once and returns seconds."""
Answer = TypeVar("Answer")


def seconds(run: Callable[[], object]) -> float:
    """Times one call, which waits for its result."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def compare(
    sides: Mapping[str, Side], rounds: int, ratios: Iterable[tuple[str, str]]
) -> dict[str, float]:
    """Returns median seconds of each side, and medians of ratios within a round.

    The sides take turns, so that a machine whose speed drifts drifts for all of them. Each side
    runs once before, to compile.
    """
    for run in sides.values():
        run()
    times = [{name: run() for name, run in sides.items()} for _ in range(rounds)]
    row = {f"{name} [s]": median(t[name] for t in times) for name in sides}
    return row | {f"{a} / {b}": median(t[a] / t[b] for t in times) for a, b in ratios}


def in_own_process(measure: Callable[..., Answer], *arguments: object) -> Answer:
    """Returns what a function returns in a new process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, *arguments).result()


def peak_of(run: Callable[[], object]) -> float:
    """Returns the megabytes that a call adds to the resident memory at its peak; needs Linux."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = _resident("VmRSS")
    run()
    return _resident("VmHWM") - before


def _resident(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith(field))
