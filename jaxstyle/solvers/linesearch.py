"""A line search for the strong Wolfe conditions, one evaluation at a time.

Textbooks use two loops, one to find an interval and one to narrow it, each with its own evaluation.
Here the interval is unbounded until a point is too far, and the caller owns the loop. A compiled
program then contains the objective once, which dominates its compile time, and each iteration of
the loop is one evaluation for every lane of a ``vmap``, whatever the state of the lane's search.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from jaxstyle.arrays import Scalar, Variable

_DECREASE, _CURVATURE = 1e-4, 0.9  # c₁ and c₂ of the Wolfe conditions
_ROUNDING = 1e-6  # relative rounding error of the loss in float32
_LONGEST, _LIMIT = 16.0, 12  # longest step in units of the direction; most evaluations
_FEW = 1e-12
_FIRST_STEP = 0.02  # root mean square, in units of the image's range


class Point(NamedTuple):
    """A point on the line.

    Attributes:
        step: Distance from the start in units of the direction.
        value: The loss.
        slope: Its derivative along the direction.
    """

    step: Scalar
    value: Scalar
    slope: Scalar


class Search(NamedTuple):
    """The state of a search.

    Attributes:
        direction: Search direction.
        step: Next step to try, in units of the direction.
        slope: Derivative along the direction at the start.
        value: The loss at the start.
        low: The best point so far: the start, or a point that decreases the loss sufficiently.
        high: The other end of the interval that contains a good step; at infinity until known.
        grad: The gradient at ``low``.
        aux: Auxiliary output of the objective at ``low``.
        evaluations: Number of evaluations so far.
        done: Whether the conditions hold at ``low``.
    """

    direction: Variable
    step: Scalar
    slope: Scalar
    value: Scalar
    low: Point
    high: Point
    grad: Variable
    aux: Any
    evaluations: Int[Array, ""]
    done: Bool[Array, ""]

    @property
    def over(self) -> Bool[Array, ""]:
        """Whether the search has ended, with or without a good step."""
        return self.done | (self.evaluations >= _LIMIT) | ~jnp.isfinite(self.slope)


def _between(low: Point, high: Point) -> Scalar:
    """Returns the minimiser of the cubic through two points, away from the ends of the interval."""
    width = high.step - low.step
    d1 = low.slope + high.slope - 3 * (high.value - low.value) / width
    d2 = jnp.sign(width) * jnp.sqrt(jnp.square(d1) - low.slope * high.slope)
    part = 1 - (high.slope + d2 - d1) / (high.slope - low.slope + 2 * d2)
    # Without a real minimum, or with values that are not finite, halve the interval.
    part = jnp.where(jnp.isfinite(part), part, 0.5)
    return low.step + width * jnp.clip(part, 0.1, 0.9)


def steepest_step(grad: Variable) -> Scalar:
    """Returns the factor that scales a gradient to a reasonable first step.

    Without it, the first step would depend on the loss weights and the size of the image.

    Args:
        grad: The gradient, an array of any shape.
    """
    largest = jnp.abs(grad).max()
    # Ratios, because squares of a large gradient would overflow.
    ratios = jnp.square(grad / jnp.where(largest > 0, largest, 1))
    # Ignore elements that the loss does not depend on, such as padding rows on several devices.
    rms = largest * jnp.sqrt(ratios.mean() / jnp.maximum((grad != 0).mean(), _FEW))
    return jnp.where(rms > 0, _FIRST_STEP / rms, 1.0)


def begin(value: Scalar, grad: Variable, aux: Any, direction: Variable) -> Search:
    """Returns the initial state of a search from a point along a direction.

    Args:
        value: The loss at the point.
        grad: The gradient at the point.
        aux: Auxiliary output of the objective at the point.
        direction: Search direction; replaced by the negative gradient if it does not descend.
    """
    slope = jnp.vdot(grad, direction)
    descends = jnp.isfinite(slope) & (slope < 0)
    direction = jnp.where(descends, direction, -steepest_step(grad) * grad)
    slope, zero = jnp.vdot(grad, direction), jnp.zeros_like(value)
    return Search(
        direction=direction,
        step=jnp.ones_like(value),
        slope=slope,
        value=value,
        low=Point(zero, value, slope),
        high=Point(jnp.full_like(value, jnp.inf), value, slope),
        grad=grad,
        aux=aux,
        evaluations=jnp.int32(0),
        done=jnp.bool_(False),
    )


def narrow(search: Search, value: Scalar, grad: Variable, aux: Any) -> Search:
    """Updates a search with the evaluation at its step.

    The search is done if the strong Wolfe conditions hold: ``f(t) ≤ f(0) + c₁ t f'(0)`` and
    ``|f'(t)| ≤ c₂ |f'(0)|``; for a step of 16 the first one suffices. Points that are not finite
    count as too far. Where the loss differs from the start by rounding only, the first condition is
    replaced by one on slopes, ``f'(t) ≤ (2c₁ − 1) f'(0)``.

    Nocedal & Wright, Numerical Optimization, 2nd ed., algorithms 3.5 and 3.6, the interpolation
    eq. 3.59; Hager & Zhang 2005, "A New Conjugate Gradient Method with Guaranteed Descent and an
    Efficient Line Search", eq. 4.1, for the slopes.

    Args:
        search: The state of the search.
        value: The loss at ``search.step`` from the start.
        grad: The gradient at this point.
        aux: Auxiliary output of the objective at this point.
    """
    trial = Point(search.step, value, jnp.vdot(grad, search.direction))
    low, high, slope = search.low, search.high, search.slope
    enough = trial.value <= search.value + _DECREASE * trial.step * slope
    level = trial.value <= search.value + _ROUNDING * jnp.abs(search.value)
    enough |= level & (trial.slope <= (2 * _DECREASE - 1) * slope)
    enough &= jnp.isfinite(trial.slope)
    better = enough & ((trial.value <= low.value) | (level & (low.step == 0)))
    flat = jnp.abs(trial.slope) <= -_CURVATURE * slope
    # If the loss rises beyond the better point, the good steps lie before it.
    turned = trial.slope * jnp.sign(high.step - low.step) >= 0
    high = select(better, select(turned, low, high), trial)
    low, grad, aux = select(better, (trial, grad, aux), (low, search.grad, search.aux))
    longer = jnp.minimum(4 * trial.step, _LONGEST)
    return search._replace(
        step=jnp.where(jnp.isinf(high.step), longer, _between(low, high)),
        low=low,
        high=high,
        grad=grad,
        aux=aux,
        evaluations=search.evaluations + 1,
        done=better & (flat | (trial.step >= _LONGEST)),
    )


def select(condition: Bool[Array, ""], a: Any, b: Any) -> Any:
    """Returns ``a`` if the condition holds, else ``b``."""
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), a, b)
