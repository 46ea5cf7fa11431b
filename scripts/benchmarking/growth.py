"""``growth``: how the time of an evaluation in the compiled loop grows with the pixels."""

import dataclasses
import time
from functools import partial
from itertools import pairwise
from statistics import median

import jax

import jaxstyle as js
from jaxstyle.run.loop import Data, Program

from .options import Measurement, Numbers
from .outcome import Row
from .problem import begin, make_problem, proceed
from .rounds import alternate


def _evaluation(image: jax.Array, data: Data, program: Program, iterations: int) -> float:
    """Returns the seconds of an evaluation in one chunk of L-BFGS, all that it allocates shared."""
    before = jax.block_until_ready(begin(data, image, program))
    started = time.perf_counter()
    chunk = proceed(before, iterations, data, program)
    return (time.perf_counter() - started) / int(chunk.state.evaluations)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Growth(Measurement):
    """Time an evaluation in the compiled loop as the image grows."""

    sizes: Numbers = (256, 512, 1024, 2048)
    """Sides of the square image, in pixels, that take turns."""
    rounds: int = 5
    """How often the sizes take turns."""
    iterations: int = 4
    """Of a chunk; what it allocates is shared by them, as in a run."""

    def measure(self, encoder: js.VGGEncoder) -> list[Row]:
        """Returns a row a size."""
        problems = {size: make_problem(encoder, size, self.memory) for size in self.sizes}
        sides = {
            str(size): partial(
                _evaluation,
                problem.image(),
                problem.data(),
                Program(problem.objective, js.lbfgs()),
                self.iterations,
            )
            for size, problem in problems.items()
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
