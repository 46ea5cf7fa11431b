"""Adam, by optax."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxstyle.arrays import Image
from jaxstyle.solvers.base import Function, SolverState, is_finite


@dataclasses.dataclass(frozen=True)
class Adam:
    """optax's Adam; see :func:`adam`."""

    learning_rate: float
    b1: float
    b2: float

    def _optax(self) -> optax.GradientTransformation:
        return optax.adam(self.learning_rate, self.b1, self.b2)

    def init(self, fun: Function, image: Image, *data: Any) -> SolverState:
        """Returns the state at the image to start from, after one evaluation."""
        return self._evaluate(fun, image, self._optax().init(image), jnp.int32(0), data)

    def update(self, fun: Function, state: SolverState, *data: Any) -> SolverState:
        """Returns the state one step further, after one evaluation."""
        gradient, moments = state.inner
        step, moments = self._optax().update(gradient, moments, state.image)
        image = jnp.asarray(optax.apply_updates(state.image, step))
        return self._evaluate(fun, image, moments, state.evaluations, data)

    def _evaluate(
        self, fun: Function, image: Image, moments: Any, evaluations: Array, data: tuple[Any, ...]
    ) -> SolverState:
        (loss, aux), gradient = jax.value_and_grad(fun, has_aux=True)(image, *data)
        finite = is_finite(loss, gradient)
        stuck = jnp.bool_(False)
        inner = (gradient, moments)
        return SolverState(image, loss, aux, finite, stuck, evaluations + 1, inner)


def adam(learning_rate: float = 0.02, *, b1: float = 0.9, b2: float = 0.99) -> Adam:
    """Returns Adam (Kingma & Ba 2015, arXiv:1412.6980); optax's.

    Args:
        learning_rate: Step per iteration, in units of the image's range [0, 1].
        b1: Decay of the mean of the gradients, in [0, 1).
        b2: Decay of the mean of their squares, in [0, 1).

    Examples:
        >>> adam(0.05)
        Adam(learning_rate=0.05, b1=0.9, b2=0.99)
    """
    return Adam(learning_rate, b1, b2)
