"""The protocol of solvers."""

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
        aux: Auxiliary output of the objective for this image.
        finite: Whether this loss and every element of its gradient are finite.
        stalled: Whether no step decreases the loss any further in floating-point arithmetic.
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
    """A minimisation algorithm as pure functions; implementations are frozen dataclasses."""

    @property
    def line_search(self) -> bool:
        """Whether the solver compares losses, so that it needs the exact gradient of the loss."""
        ...

    @property
    def clamp(self) -> bool:
        """Whether each step is followed by a projection onto [0, 1]."""
        ...

    def init(self, image: Variable, aux: Any, carried: Any = None) -> SolverState:
        """Returns the state for an initial image, without evaluating it.

        An evaluation here would compile the objective a second time, and compile time dominates
        for small pictures.

        Args:
            image: The initial image, or another variable: an array.
            aux: Arrays with the shapes and types of the objective's auxiliary output.
            carried: Output of :meth:`carry` at a coarser scale, or None.
        """
        ...

    def update(self, fun: Function, state: SolverState, *data: Any) -> SolverState:
        """Returns the state after one more evaluation; the first one evaluates the initial image.

        An evaluation completes a step, or is one of several in a line search.
        """
        ...

    def carry(self, state: SolverState, shape: tuple[int, int]) -> Any:
        """Returns the data that the solver carries over to another scale, or None."""
        ...


def is_finite(loss: Scalar, gradient: Variable) -> Bool[Array, ""]:
    """Returns whether a loss and every element of its gradient are finite."""
    return jnp.isfinite(loss) & jnp.all(jnp.isfinite(gradient))
