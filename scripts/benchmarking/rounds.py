"""Timing: sides take turns round by round, so that a machine whose speed drifts drifts for all."""

import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median

Side = Callable[[], float]
"""Does its work once and returns the seconds that it took."""


def seconds(run: Callable[[], object]) -> float:
    """Times one call, which waits for its result."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def alternate(sides: Mapping[str, Side], rounds: int) -> list[dict[str, float]]:
    """Runs every side once to warm up, then in turns."""
    for run in sides.values():
        run()
    return [{name: run() for name, run in sides.items()} for _ in range(rounds)]


def summarise(
    rounds: Sequence[Mapping[str, float]], ratios: Sequence[tuple[str, str]]
) -> dict[str, float]:
    """Returns medians in seconds, and medians of the ratios within a round."""
    row = {f"{name} [s]": median(r[name] for r in rounds) for name in rounds[0]}
    return row | {f"{a} / {b}": median(r[a] / r[b] for r in rounds) for a, b in ratios}
