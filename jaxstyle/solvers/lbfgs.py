"""L-BFGS, by jaxopt, which is imported when something is traced: that takes half a second."""

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
        """Returns the state at the image to start from, which is not evaluated yet."""
        from jaxstyle.solvers import from_jaxopt

        del carried  # Curvature seen at another scale is another problem's.
        return from_jaxopt.init(image, aux, self.history)

    def update(self, fun: Function, state: SolverState, *data: Any) -> SolverState:
        """Returns the state one evaluation further."""
        from jaxstyle.solvers import from_jaxopt

        return from_jaxopt.update(fun, state, data, self.history)

    def carry(self, state: SolverState, shape: tuple[int, int]) -> Any:
        """Returns None."""
        return None


def lbfgs(*, history: int = 10) -> LBFGS:
    """Returns the limited-memory BFGS method with a line search for the strong Wolfe conditions.

    Nocedal & Wright, Numerical Optimization, 2nd ed., algorithm 7.5; jaxopt's.

    Args:
        history: Pairs of steps and gradient differences kept, ≥ 1; each costs two images.

    Raises:
        InputError: The history is too small.

    Examples:
        >>> lbfgs(history=20)
        LBFGS(history=20)
    """
    if history < 1:
        raise InputError(f"history {history}: too small; give at least 1")
    return LBFGS(history)
