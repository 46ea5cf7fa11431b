"""``tiles``: time and working memory of one evaluation by each plan."""

import dataclasses
from typing import get_args

from .options import Measurement
from .outcome import Row
from .problem import PlanName, Problem, parse
from .timing import in_own_process, peak_of, seconds


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tiles(Measurement):
    """Measure one evaluation in tiles and as a whole: seconds, and memory at its peak."""

    sizes: tuple[str, ...] = ("1024", "2048")
    """Sizes of the image in pixels: one side of a square, or WIDTHxHEIGHT."""
    rounds: int = 2
    """Number of evaluations after the one that compiles; the shortest time counts."""
    side: int = 1104
    """Side of a tile in pixels."""
    largest: int = 2048
    """Longer side up to which the whole image is measured too."""

    def row(self, size: str) -> Row:
        """Measures one size."""
        shape, row = parse(size), {}
        for plan in get_args(PlanName):
            if plan == "tiles" or max(shape) <= self.largest:
                problem = Problem(self.encoder, shape, plan, self.side)
                time, peak = in_own_process(_evaluate, problem, self.rounds)
                row |= {f"{plan} [s]": time, f"{plan} [MB]": peak}
        return {"size": size} | row


def _evaluate(problem: Problem, rounds: int) -> tuple[float, float]:
    _, image = problem.targets, problem.pictures[0]
    times = []

    def run() -> None:
        evaluate = problem.value_and_grad()
        times.extend(seconds(lambda: evaluate(image)) for _ in range(1 + rounds))

    peak = peak_of(run)
    return min(times), peak
