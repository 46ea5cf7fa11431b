"""``sweep``: several style weights in lock-step lanes, beside as many runs one by one."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxstyle as js

from .options import Measurement, Numbers
from .outcome import Row
from .problem import Problem, make_problem
from .rounds import alternate, seconds, summarise


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sweep(Measurement):
    """Time ``js.sweep`` over style weights, coarse to fine, beside as many ``js.stylize``."""

    sizes: Numbers = (96, 128)
    """Sides of the square image, in pixels."""
    lanes: Numbers = (1, 2, 4, 8)
    """How many style weights at once."""
    iterations: int = 20
    """Of each run at the size, and of half as many pixels a side before."""
    rounds: int = 3
    """How often the sides take turns."""

    def measure(self, encoder: js.VGGEncoder) -> list[Row]:
        """Returns a row for every size and number of lanes."""
        problems = [make_problem(encoder, size, self.memory) for size in self.sizes]
        return [self._row(problem, lanes) for problem in problems for lanes in self.lanes]

    def _row(self, problem: Problem, lanes: int) -> Row:
        n, encoder = self.iterations, problem.encoder
        pictures = jnp.asarray(problem.content), jnp.asarray(problem.style)
        schedule = js.Schedule(iterations=n, scales=2, coarse_iterations=n, coarsest=16)
        settings: dict[str, Any] = {"objective": problem.objective, "schedule": schedule}
        styles = jnp.geomspace(0.25, 4.0, lanes)
        weights = dataclasses.replace(problem.loss_weights, style=styles)
        singly = [dataclasses.replace(weights, style=style) for style in styles]

        def sweep() -> js.Swept:
            return jax.block_until_ready(
                js.sweep(*pictures, encoder, loss_weights=weights, **settings)
            )

        def stylize() -> list[js.Result]:
            return [js.stylize(*pictures, encoder, loss_weights=w, **settings) for w in singly]

        ends = np.array([float(result.terms.loss[-1]) for result in stylize()])
        apart = np.abs(np.asarray(sweep().terms.loss) / ends - 1).max()
        sides = {"lanes": lambda: seconds(sweep), "single runs": lambda: seconds(stylize)}
        row: Row = {"size": problem.size, "lanes": lanes, "losses apart": float(apart)}
        return row | summarise(alternate(sides, self.rounds), [("lanes", "single runs")])
