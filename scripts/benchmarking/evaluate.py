"""``evaluate``: one loss and gradient, beside PyTorch's and the arithmetic limit."""

import dataclasses

from .options import Measurement
from .outcome import Row
from .problem import Problem, parse
from .timing import compare, seconds


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluate(Measurement):
    """Time one loss and gradient, by itself and within runs, beside PyTorch (extra `oracle`)."""

    iterations: int = 8
    """Number of iterations of a run."""
    matrix: int = 4096
    """Side of the matrices whose product sets the arithmetic limit."""

    def row(self, size: str) -> Row:
        """Measures one size."""
        from .pytorch import PyTorch, make_floor

        problem = Problem(self.encoder, parse(size), self.plan)
        sides, pytorch = problem.sides(self.iterations), PyTorch(problem)
        ratios = [(name, "PyTorch") for name in sides]
        sides["PyTorch"] = lambda: seconds(pytorch.evaluate)
        sides["floor"] = make_floor(problem, self.matrix)
        ratios += [("options", "floor"), ("PyTorch", "floor")]
        row = compare(sides, self.rounds, ratios)
        return {"size": size, "operations [G]": problem.operations() / 1e9} | row
