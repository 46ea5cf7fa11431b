"""``sweep``: several style weights in lock-step lanes, beside as many runs one by one."""

import dataclasses

import jax
import jax.numpy as jnp

import jaxstyle as js
from jaxstyle.compilation import jit
from jaxstyle.run.chunks import advance
from jaxstyle.run.loop import Data, Program

from .options import Measurement, Numbers
from .outcome import Row
from .problem import Problem, begin, make_problem
from .rounds import alternate, seconds, summarise


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sweep(Measurement):
    """Time vmap over style weights, beside as many single runs."""

    sizes: Numbers = (96, 128)
    """Sides of the square image, in pixels."""
    lanes: Numbers = (1, 2, 4, 8)
    """How many style weights at once."""
    iterations: int = 20
    """Of each run."""
    rounds: int = 3
    """How often the sides take turns."""

    def measure(self, encoder: js.VGGEncoder) -> list[Row]:
        """Returns a row for every size and number of lanes."""
        problems = [make_problem(encoder, size, self.memory) for size in self.sizes]
        return [self._row(problem, lanes) for problem in problems for lanes in self.lanes]

    def _row(self, problem: Problem, lanes: int) -> Row:
        program = Program(problem.objective, js.lbfgs())
        data, image = problem.data(), problem.image()

        def run(style: jax.Array, data: Data, image: jax.Array) -> jax.Array:
            weights = dataclasses.replace(data.loss_weights, style=style)
            data = data._replace(loss_weights=weights)
            steps, decay = jnp.int32(self.iterations), jnp.float32(0)
            before = begin(data, image, program)
            return advance(*before, steps, decay, data, program).state.image

        weights = jnp.geomspace(0.25, 4.0, lanes)
        single, together = jit()(run), jit()(jax.vmap(run, (0, None, None)))
        sides = {
            "lanes": lambda: seconds(lambda: together(weights, data, image).block_until_ready()),
            "single runs": lambda: seconds(
                lambda: [single(w, data, image).block_until_ready() for w in weights]
            ),
        }
        row: Row = {"size": problem.size, "lanes": lanes}
        return row | summarise(alternate(sides, self.rounds), [("lanes", "single runs")])
