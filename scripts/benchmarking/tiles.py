"""``tiles``: time and working memory of an evaluation in tiles, beside the whole and strips."""

import dataclasses
import sys

import jax

import jaxstyle as js
from jaxstyle.losses.objective import Memory

from .memory import resident
from .options import Measurement, Numbers
from .outcome import Row
from .problem import Problem, evaluate, make_problem
from .processes import in_own_process
from .rounds import seconds


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tiles(Measurement):
    """Measure an evaluation in tiles: seconds, and the memory that it adds at its peak."""

    sizes: Numbers = (1024, 2048)
    """Sides of the square image, in pixels."""
    rounds: int = 2
    """Evaluations of each; the least time counts."""
    largest: int = 2048
    """Side up to which the whole and strips are measured beside them."""

    def measure(self, encoder: js.VGGEncoder) -> list[Row]:
        """Returns a row a size."""
        return [self._row(encoder, size) for size in self.sizes]

    def _row(self, encoder: js.VGGEncoder, size: int) -> Row:
        problem = make_problem(encoder, size)
        times: dict[str, float] = {}
        row: Row = {"size": size}
        beside: list[Memory] = ["high", "low"] if size <= self.largest else []
        ways: list[Memory] = ["tiles", *beside]
        for memory in ways:
            print(f"{size} {memory} …", file=sys.stderr, flush=True)
            time, peak = in_own_process(_evaluation, problem, memory, self.rounds)
            times[memory] = time
            row |= {f"{memory} [s]": time, f"{memory} [MB]": peak / 1e6}
            print(
                f"{size} {memory}: {time:.1f} s, {peak / 1e6:.0f} MB", file=sys.stderr, flush=True
            )
        return row | {f"tiles / {name}": times["tiles"] / times[name] for name in beside}


def _evaluation(problem: Problem, memory: Memory, rounds: int) -> tuple[float, float]:
    """Returns the seconds of an evaluation, and what it adds to the memory that is there."""
    objective = dataclasses.replace(problem.objective, memory=memory)
    made = problem._replace(objective=objective).data(), problem.image()
    data, image = jax.block_until_ready(made)
    before, _ = resident(anew=True)

    def run() -> None:
        jax.block_until_ready(evaluate(image, *data[:3], objective))

    least = min(seconds(run) for _ in range(1 + rounds))  # one of them compiles
    return least, resident()[1] - before
