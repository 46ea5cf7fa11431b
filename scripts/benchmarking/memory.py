"""``memory``: the peak of a run of L-BFGS, ours and PyTorch's, each in its own process."""

import dataclasses

from .options import Measurement
from .outcome import Row
from .problem import Problem, parse
from .timing import in_own_process, peak_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class Memory(Measurement):
    """Measure the peak memory of a run beside PyTorch's: what it adds to the loaded libraries."""

    sizes: tuple[str, ...] = ("1024",)
    """Sizes of the image in pixels: one side of a square, or WIDTHxHEIGHT."""
    iterations: int = 12
    """Number of iterations: enough to fill the history of 10."""

    def row(self, size: str) -> Row:
        """Measures one size."""
        problem = Problem(self.encoder, parse(size), self.plan)
        ours, theirs = (in_own_process(run, problem, self.iterations) for run in (_ours, _theirs))
        return {
            "size": size,
            "jaxstyle [MB]": ours,
            "PyTorch [MB]": theirs,
            "jaxstyle / PyTorch": ours / theirs,
        }


def _ours(problem: Problem, iterations: int) -> float:
    _ = problem.pictures
    return peak_of(lambda: problem.stylize(iterations))


def _theirs(problem: Problem, iterations: int) -> float:
    from .pytorch import PyTorch

    _ = problem.pictures
    return peak_of(lambda: PyTorch(problem).descend(iterations))
