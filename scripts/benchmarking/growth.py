"""``growth``: how the time of one evaluation grows with the pixels."""

import dataclasses
from functools import partial
from itertools import pairwise
from statistics import median

import jaxstyle as js

from .options import Measurement, Numbers
from .outcome import Row
from .problem import make_problem
from .rounds import alternate, seconds


@dataclasses.dataclass(frozen=True, kw_only=True)
class Growth(Measurement):
    """Time one loss and gradient as the image grows."""

    sizes: Numbers = (256, 512, 1024, 2048)
    """Sides of the square image, in pixels, that take turns."""
    rounds: int = 5
    """How often the sizes take turns."""

    def measure(self, encoder: js.Encoder) -> list[Row]:
        """Returns a row a size."""
        problems = {size: make_problem(encoder, size, self.memory) for size in self.sizes}
        sides = {
            str(size): partial(seconds, problem.evaluation()) for size, problem in problems.items()
        }
        rounds = alternate(sides, self.rounds)
        factors = {b: median(r[b] / r[a] for r in rounds) for a, b in pairwise(sides)}
        return [
            {
                "size": int(name),
                "evaluation [s]": median(r[name] for r in rounds),
                "evaluation per megapixel [s]": median(r[name] for r in rounds)
                / int(name) ** 2
                * 1e6,
                "/ the size before": factors.get(name),
            }
            for name in sides
        ]
