"""What every solver is."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from jaxstyle.arrays import Image, Scalar

Function = Callable[..., tuple[Scalar, Any]]
"""``(image, *data) -> (loss, aux)``, differentiable in the image."""


class SolverState(NamedTuple):
    """Where a solver stands.

    Attributes:
        image: The image after the last step.
        loss: The loss there; infinite before the first evaluation.
        aux: What the objective returned beside the loss there.
        finite: Whether the loss and every element of its gradient there are finite, so far as
            evaluated.
        stuck: Whether no step lowers the loss any further, as far as float32 can tell.
        iterations: Steps done, one or more evaluations each.
        evaluations: Evaluations of loss and gradient so far.
        inner: What the algorithm remembers.
    """

    image: Image
    loss: Scalar
    aux: Any
    finite: Bool[Array, ""]
    stuck: Bool[Array, ""]
    iterations: Int[Array, ""]
    evaluations: Int[Array, ""]
    inner: Any


@runtime_checkable
class Solver(Protocol):
    """Pure functions that go downhill; implementations are frozen dataclasses."""

    @property
    def line_search(self) -> bool:
        """Whether it compares losses, so that the gradient must be the loss's own."""
        ...

    @property
    def clamp(self) -> bool:
        """Whether each step is followed by a projection onto [0, 1]."""
        ...

    def init(self, image: Image, aux: Any, carried: Any = None) -> SolverState:
        """Returns the state at the image to start from, which is not evaluated yet.

        An ``init`` that evaluated would be a second compiled copy of the objective, and compile
        time is most of the wait for a small picture.

        Args:
            image: To start from.
            aux: Of the types that the objective returns beside the loss, which is infinite.
            carried: What :meth:`carry` returned at a coarser scale.
        """
        ...

    def update(self, fun: Function, state: SolverState, *data: Any) -> SolverState:
        """Returns the state one evaluation further; the first one is of the image as it is.

        That ends a step, or is one of several that a line search takes.
        """
        ...

    def carry(self, state: SolverState, shape: tuple[int, int]) -> Any:
        """Returns what is worth remembering at another scale; None if nothing is."""
        ...


def is_finite(loss: Scalar, gradient: Image) -> Bool[Array, ""]:
    """Returns whether a loss and every element of its gradient are finite."""
    return jnp.isfinite(loss) & jnp.all(jnp.isfinite(gradient))
