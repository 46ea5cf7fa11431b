"""Solvers that follow the gradient, by optax: Adam and plain gradient descent."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxstyle.arrays import Image
from jaxstyle.errors import InputError
from jaxstyle.solvers.base import Function, SolverState, is_finite


@dataclasses.dataclass(frozen=True)
class _FirstOrder:
    """An optax optimiser as a solver.

    Attributes:
        learning_rate: Step, in units of the variable.
        clamp: Whether each step is followed by a projection onto [0, 1].
    """

    learning_rate: float
    clamp: bool = False

    line_search = False

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate < math.inf:
            raise InputError(f"learning_rate {self.learning_rate}: no step; give a number above 0")

    def _optax(self) -> optax.GradientTransformation:
        raise NotImplementedError

    def init(self, image: Image, aux: Any, carried: Any = None) -> SolverState:
        """Returns the state at the image to start from, which is not evaluated yet."""
        memory = self._optax().init(image) if carried is None else carried
        loss, yes, no = jnp.float32(jnp.inf), jnp.bool_(True), jnp.bool_(False)
        inner = (jnp.zeros_like(image), memory)
        return SolverState(image, loss, aux, yes, no, jnp.int32(0), inner)

    def update(self, fun: Function, state: SolverState, *data: Any) -> SolverState:
        """Returns the state one step further, after one evaluation."""
        gradient, memory = state.inner
        step, moved = self._optax().update(gradient, memory, state.image)
        image = jnp.asarray(optax.apply_updates(state.image, step))
        image = jnp.clip(image, 0.0, 1.0) if self.clamp else image
        first = jnp.isinf(state.loss)
        image, memory = jax.tree.map(
            lambda old, new: jnp.where(first, old, new), (state.image, memory), (image, moved)
        )
        (loss, aux), gradient = jax.value_and_grad(fun, has_aux=True)(image, *data)
        finite = is_finite(loss, gradient)
        evaluations = state.evaluations + 1
        return SolverState(image, loss, aux, finite, state.stuck, evaluations, (gradient, memory))

    def carry(self, state: SolverState, shape: tuple[int, int]) -> Any:
        """Returns what the solver remembers, resized for the next scale.

        Bilinear weights are positive, so that mean squares stay so.
        """

        def resize(a: Array) -> Array:
            return jax.image.resize(a, (*shape, 3), "linear") if a.ndim == 3 else jnp.array(a)

        return jax.tree.map(resize, state.inner[1])


@dataclasses.dataclass(frozen=True)
class Adam(_FirstOrder):
    """optax's Adam; see :func:`adam`."""

    b1: float = 0.9
    b2: float = 0.99

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("b1", "b2"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} {getattr(self, name)}: no decay; give a number in [0, 1)")

    def _optax(self) -> optax.GradientTransformation:
        return optax.adam(self.learning_rate, self.b1, self.b2)


@dataclasses.dataclass(frozen=True)
class GradientDescent(_FirstOrder):
    """optax's gradient descent; see :func:`gradient_descent`."""

    decay: float = 1.0
    decay_steps: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.decay <= 1:
            raise InputError(f"decay {self.decay}: no decay; give a number in (0, 1]")
        if self.decay_steps < 1:
            raise InputError(f"decay_steps {self.decay_steps}: too small; give at least 1")

    def _optax(self) -> optax.GradientTransformation:
        rate = optax.exponential_decay(
            self.learning_rate, self.decay_steps, self.decay, staircase=False
        )
        return optax.sgd(rate)


def adam(
    learning_rate: float = 0.02, *, b1: float = 0.9, b2: float = 0.99, clamp: bool = False
) -> Adam:
    """Returns Adam (Kingma & Ba 2015, arXiv:1412.6980); optax's.

    Args:
        learning_rate: Step per iteration, in units of the image's range [0, 1].
        b1: Decay of the mean of the gradients, in [0, 1).
        b2: Decay of the mean of their squares, in [0, 1).
        clamp: Whether each step is followed by a projection onto [0, 1].

    Raises:
        InputError: A number is out of its range.

    Examples:
        >>> adam(0.05).learning_rate
        0.05
    """
    return Adam(learning_rate, clamp, b1, b2)


def gradient_descent(
    learning_rate: float,
    *,
    decay: float = 1.0,
    decay_steps: int = 100,
    clamp: bool = False,
) -> GradientDescent:
    """Returns gradient descent, ``x ← x − η dᵗᐟˢ ∇loss`` after ``t`` steps; optax's.

    Args:
        learning_rate: ``η``, in units of the variable per unit of the gradient.
        decay: ``d``, by which the rate falls every ``decay_steps`` steps, in (0, 1].
        decay_steps: ``s``.
        clamp: Whether each step is followed by a projection onto [0, 1].

    Raises:
        InputError: A number is out of its range.

    Examples:
        >>> gradient_descent(100.0, decay=0.96).decay_steps
        100
    """
    return GradientDescent(learning_rate, clamp, decay, decay_steps)
