"""First-order solvers by optax: Adam, gradient descent, and any other optimiser."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from jaxstyle.arrays import Variable
from jaxstyle.errors import InputError
from jaxstyle.solvers.base import Function, SolverState, is_finite


@dataclasses.dataclass(frozen=True, kw_only=True)
class _FirstOrder:
    """An optax optimiser as a solver: one evaluation a step.

    Attributes:
        clamp: Whether each step is followed by a projection onto [0, 1].
    """

    clamp: bool = False

    line_search = False

    def _optax(self) -> optax.GradientTransformation:
        raise NotImplementedError

    def init(self, image: Variable, aux: Any, carried: Any = None) -> SolverState:
        """Returns the state at the image to start from, which is not evaluated yet."""
        memory = self._optax().init(image) if carried is None else carried
        loss, yes, no = jnp.full((), jnp.inf, image.dtype), jnp.bool_(True), jnp.bool_(False)
        inner, zero = (jnp.zeros_like(image), memory), jnp.int32(0)
        return SolverState(image, loss, aux, yes, no, zero, zero, inner)

    def update(self, fun: Function, state: SolverState, *data: Any) -> SolverState:
        """Returns the state one step further, after one evaluation."""
        first = jnp.isinf(state.loss)

        def step() -> tuple[Variable, Any]:
            gradient, memory = state.inner
            optimiser = optax.with_extra_args_support(self._optax())
            change, memory = optimiser.update(
                gradient,
                memory,
                state.image,
                value=state.loss,
                grad=gradient,
                value_fn=lambda z: fun(z, *data)[0],
            )
            image = jnp.asarray(optax.apply_updates(state.image, change))
            return jnp.clip(image, 0.0, 1.0) if self.clamp else image, memory

        # The first evaluation is of the image as it is.
        image, memory = self._unless(first, (state.image, state.inner[1]), step)
        (loss, aux), gradient = jax.value_and_grad(fun, has_aux=True)(image, *data)
        return SolverState(
            image=image,
            loss=loss,
            aux=aux,
            finite=is_finite(loss, gradient),
            stalled=state.stalled,
            iterations=state.iterations + ~first,
            evaluations=state.evaluations + 1,
            inner=(gradient, memory),
        )

    def _unless(self, first: Any, unchanged: Any, step: Any) -> Any:
        new = step()
        return jax.tree.map(lambda old, new: jnp.where(first, old, new), unchanged, new)

    def carry(self, state: SolverState, shape: tuple[int, int]) -> Any:
        """Returns what the solver remembers, resized for the next scale.

        Bilinear weights are positive, so that mean squares stay so.
        """

        def resize(a: Array) -> Array:
            return jax.image.resize(a, (*shape, 3), "linear") if a.ndim == 3 else jnp.array(a)

        return jax.tree.map(resize, state.inner[1])


def _check_rate(learning_rate: float) -> None:
    if not 0 < learning_rate < math.inf:
        raise InputError(f"learning_rate {learning_rate}: no step; give a number above 0")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adam(_FirstOrder):
    """optax's Adam; see :func:`adam`."""

    learning_rate: float
    b1: float
    b2: float

    def __post_init__(self) -> None:
        _check_rate(self.learning_rate)
        for name in ("b1", "b2"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} {getattr(self, name)}: no decay; give a number in [0, 1)")

    def _optax(self) -> optax.GradientTransformation:
        return optax.adam(self.learning_rate, self.b1, self.b2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GradientDescent(_FirstOrder):
    """optax's gradient descent; see :func:`gradient_descent`."""

    learning_rate: float
    decay: float
    decay_steps: int

    def __post_init__(self) -> None:
        _check_rate(self.learning_rate)
        if not 0 < self.decay <= 1:
            raise InputError(f"decay {self.decay}: no decay; give a number in (0, 1]")
        if self.decay_steps < 1:
            raise InputError(f"decay_steps {self.decay_steps}: too small; give at least 1")

    def _optax(self) -> optax.GradientTransformation:
        rate = optax.exponential_decay(
            self.learning_rate, self.decay_steps, self.decay, staircase=False
        )
        return optax.sgd(rate)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FromOptax(_FirstOrder):
    """Any optimiser of optax; see :func:`from_optax`."""

    optimiser: optax.GradientTransformation

    def _optax(self) -> optax.GradientTransformation:
        return self.optimiser

    def _unless(self, first: Any, unchanged: Any, step: Any) -> Any:
        # Not computed at all: the optimiser may evaluate the loss itself.
        return jax.lax.cond(first, lambda: unchanged, step)


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
    return Adam(learning_rate=learning_rate, clamp=clamp, b1=b1, b2=b2)


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
    return GradientDescent(
        learning_rate=learning_rate, clamp=clamp, decay=decay, decay_steps=decay_steps
    )


def from_optax(optimiser: optax.GradientTransformation, *, clamp: bool = False) -> FromOptax:
    """Returns any optimiser of optax as a solver.

    Optimisers with further arguments get ``value``, ``grad`` and ``value_fn``, so that
    ``optax.lbfgs``, line searches, ``polyak_sgd`` and ``reduce_on_plateau`` work; evaluations that
    an optimiser makes by itself are not counted. Another optimiser is another program, even one
    made by the same call: make it once.

    Args:
        optimiser: The optimiser.
        clamp: Whether each step is followed by a projection onto [0, 1].

    Raises:
        InputError: It is not an optimiser of optax.

    Examples:
        >>> import optax
        >>> from_optax(optax.chain(optax.clip(1.0), optax.rmsprop(1e-2))).clamp
        False
    """
    if not isinstance(optimiser, optax.GradientTransformation):
        kind = type(optimiser).__name__
        raise InputError(f"from_optax: a {kind} is not an optimiser of optax; give optax.adam(…)")
    return FromOptax(optimiser=optimiser, clamp=clamp)
