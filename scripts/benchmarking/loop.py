"""``loop``: an evaluation within the compiled loop beside one by itself."""

import dataclasses

from .options import Measurement
from .outcome import Row
from .problem import Problem, parse
from .timing import compare


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loop(Measurement):
    """Time an evaluation within `stylize` and `optimise` beside one by itself, and count them."""

    rounds: int = 2
    """Number of rounds; in each, every side runs once."""
    iterations: int = 50
    """Number of iterations of a run."""

    def row(self, size: str) -> Row:
        """Measures one size."""
        problem = Problem(self.encoder, parse(size), self.plan)
        evaluations = problem.stylize(self.iterations).evaluations
        counts = {"iterations": self.iterations, "evaluations": evaluations}
        ratios = [("stylize", "options"), ("optimise", "value_and_grad"), ("optimise", "stylize")]
        times = compare(problem.sides(self.iterations), self.rounds, ratios)
        return {"size": size} | counts | times
