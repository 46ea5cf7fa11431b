"""``evaluate``: one loss and gradient, beside PyTorch's and the arithmetic limit."""

import dataclasses

import jaxstyle as js

from .floor import make_floor, operations
from .options import Measurement
from .outcome import Row
from .problem import make_problem
from .rounds import alternate, seconds, summarise


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluate(Measurement):
    """Time one loss and gradient, beside PyTorch's closure and the arithmetic limit."""

    matrix: int = 4096
    """Side of the matrices whose product sets the limit."""

    def measure(self, encoder: js.VGGEncoder) -> list[Row]:
        """Returns a row a size."""
        return [self._row(encoder, size) for size in self.sizes]

    def _row(self, encoder: js.VGGEncoder, size: int) -> Row:
        from .original import Original

        problem = make_problem(encoder, size, self.memory)
        ours, theirs = problem.evaluation(), Original(problem)
        sides = {
            "ours": lambda: seconds(ours),
            "PyTorch": lambda: seconds(theirs.evaluate),
            "floor": make_floor(problem, self.matrix),
        }
        ratios = [("ours", "PyTorch"), ("ours", "floor"), ("PyTorch", "floor")]
        row = summarise(alternate(sides, self.rounds), ratios)
        return {"size": size, "operations [G]": operations(problem) / 1e9} | row
