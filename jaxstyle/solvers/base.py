"""What every solver is."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from jaxstyle.arrays import Scalar, Variable

Function = Callable[..., tuple[Scalar, Any]]
"""``(image, *data) -> (loss, aux)``, differentiable in the image."""


class SolverState(NamedTuple):
    """The state of a solver.

    Attributes:
        image: The image, or another variable, after the last step.
        loss: The loss of this image; infinite before the first evaluation.
        aux: What the objective returned beside this loss.
        finite: Whether this loss and every element of its gradient are finite.
        stalled: Whether no step lowers the loss any further, in the precision of the numbers.
        iterations: Number of steps, each of one or more evaluations.
        evaluations: Number of evaluations of loss and gradient.
        inner: The algorithm's own state.
    """

    image: Variable
    loss: Scalar
    aux: Any
    finite: Bool[Array, ""]
    stalled: Bool[Array, ""]
    iterations: Int[Array, ""]
    evaluations: Int[Array, ""]
    inner: Any


@runtime_checkable
class Solver(Protocol):
    """Pure functions that minimise; implementations are frozen dataclasses."""

    @property
    def line_search(self) -> bool:
        """Whether it compares losses, so that the gradient must be the loss's own."""
        ...

    @property
    def clamp(self) -> bool:
        """Whether each step is followed by a projection onto [0, 1]."""
        ...

    def init(self, image: Variable, aux: Any, carried: Any = None) -> SolverState:
        """Returns the state at the initial image, which is not evaluated yet.

        An evaluation here would be a second compiled copy of the objective, and compile time is
        most of the wait for a small picture.

        Args:
            image: The initial image, or another variable: an array.
            aux: Arrays of the types that the objective returns beside the loss.
            carried: What :meth:`carry` returned at a coarser scale; None for nothing.
        """
        ...

    def update(self, fun: Function, state: SolverState, *data: Any) -> SolverState:
        """Returns the state after one more evaluation; the first one is of the initial image.

        An evaluation completes a step, or is one of several in a line search.
        """
        ...

    def carry(self, state: SolverState, shape: tuple[int, int]) -> Any:
        """Returns what the solver keeps for another scale; None for nothing."""
        ...


def is_finite(loss: Scalar, gradient: Variable) -> Bool[Array, ""]:
    """Returns whether a loss and every element of its gradient are finite."""
    return jnp.isfinite(loss) & jnp.all(jnp.isfinite(gradient))
