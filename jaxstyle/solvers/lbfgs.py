"""L-BFGS from jaxopt, which is imported on first use because the import takes half a second."""

import dataclasses
from typing import Any

from jaxstyle.arrays import Variable
from jaxstyle.errors import InputError
from jaxstyle.solvers.base import Function, SolverState


@dataclasses.dataclass(frozen=True)
class LBFGS:
    """jaxopt's L-BFGS; see :func:`lbfgs`."""

    history: int

    line_search = True
    clamp = False

    def init(self, image: Variable, aux: Any, carried: Any = None) -> SolverState:
        """Returns the state for an initial image, without evaluating it."""
        from jaxstyle.solvers import from_jaxopt

        del carried  # The curvature at another scale belongs to another problem.
        return from_jaxopt.init(image, aux, self.history)

    def update(self, fun: Function, state: SolverState, *data: Any) -> SolverState:
        """Returns the state after one more evaluation."""
        from jaxstyle.solvers import from_jaxopt

        return from_jaxopt.update(fun, state, data, self.history)

    def carry(self, state: SolverState, shape: tuple[int, int]) -> Any:
        """Returns None."""
        return None


def lbfgs(*, history: int = 10) -> LBFGS:
    """Returns the limited-memory BFGS method with a line search for the strong Wolfe conditions.

    Nocedal & Wright, Numerical Optimization, 2nd ed., algorithm 7.5; from jaxopt.

    Args:
        history: Number of stored pairs of steps and gradient differences, ≥ 1; each pair takes the
            memory of two images.

    Raises:
        InputError: The history is too small.

    Examples:
        >>> lbfgs(history=20)
        LBFGS(history=20)
    """
    if history < 1:
        raise InputError(f"history {history}: too small; give at least 1")
    return LBFGS(history)
