"""A line search for the strong Wolfe conditions, that takes one evaluation after the other.

Textbooks write two loops, one that finds an interval and one that narrows it down, each with an
evaluation of its own. Here the interval is simply unbounded until a point that is too far has been
seen, and the loop is the caller's: a compiled program then holds the objective once, which is most
of its compile time, and each of its turns is one evaluation, for every lane of a ``vmap``, whatever
its own search has come to.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from jaxstyle.arrays import Scalar, Variable

_DECREASE, _CURVATURE = 1e-4, 0.9  # c₁ and c₂ of the Wolfe conditions
_ROUNDING = 1e-6  # of the loss in float32, relative
_LONGEST, _LIMIT = 16.0, 12  # in units of the direction; evaluations
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
    """Where a search stands.

    Attributes:
        direction: To search along.
        step: What to try next, in units of the direction.
        slope: Derivative along the direction at the start.
        value: The loss at the start.
        low: The best point so far, the start or one that decreases the loss enough.
        high: The other end of the interval that holds a good step; infinitely far until known.
        grad: The gradient at ``low``.
        aux: What the objective returned beside the loss there.
        evaluations: How many have been taken in.
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
        """Whether there is nothing more to try: a good step was found, or none ever will be."""
        return self.done | (self.evaluations >= _LIMIT) | ~jnp.isfinite(self.slope)


def _between(low: Point, high: Point) -> Scalar:
    """Returns the minimiser of the cubic through two points, kept off the ends of the interval."""
    width = high.step - low.step
    d1 = low.slope + high.slope - 3 * (high.value - low.value) / width
    d2 = jnp.sign(width) * jnp.sqrt(jnp.square(d1) - low.slope * high.slope)
    part = 1 - (high.slope + d2 - d1) / (high.slope - low.slope + 2 * d2)
    # No real minimum, or a value that is not finite: halve the interval.
    part = jnp.where(jnp.isfinite(part), part, 0.5)
    return low.step + width * jnp.clip(part, 0.1, 0.9)


def steepest_step(grad: Variable) -> Scalar:
    """Returns the factor that makes a gradient a first step of sensible length.

    Without it the first step would depend on loss weights and image size, and fail for some.

    Args:
        grad: The gradient, an array of any shape.
    """
    largest = jnp.abs(grad).max()
    # The root mean square, of the ratios: squares of a large gradient would overflow.
    ratios = jnp.square(grad / jnp.where(largest > 0, largest, 1))
    # Over what the loss depends on: where devices share an image, rows may hang over it.
    rms = largest * jnp.sqrt(ratios.mean() / jnp.maximum((grad != 0).mean(), _FEW))
    return jnp.where(rms > 0, _FIRST_STEP / rms, 1.0)


def begin(value: Scalar, grad: Variable, aux: Any, direction: Variable) -> Search:
    """Returns the search from a point along a direction, with nothing tried yet.

    Args:
        value: The loss at the point.
        grad: Its gradient there.
        aux: What the objective returned beside the loss there.
        direction: To search along; where it does not descend, the negative gradient is taken.
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
    """Returns a search that knows one point more, the one at its step.

    It is done where the strong Wolfe conditions hold: ``f(t) ≤ f(0) + c₁ t f'(0)`` and
    ``|f'(t)| ≤ c₂ |f'(0)|``; a step of 16 needs the first of the two only. Points that are not
    finite count as too far. Where the loss differs from the start by rounding only, the first is
    judged by slopes, ``f'(t) ≤ (2c₁ − 1) f'(0)``.

    Nocedal & Wright, Numerical Optimization, 2nd ed., algorithms 3.5 and 3.6, the interpolation
    eq. 3.59; Hager & Zhang 2005, "A New Conjugate Gradient Method with Guaranteed Descent and an
    Efficient Line Search", eq. 4.1, for the slopes.

    Args:
        search: Where it stands.
        value: The loss at the image one step from the start.
        grad: Its gradient there.
        aux: What the objective returned beside the loss there.
    """
    trial = Point(search.step, value, jnp.vdot(grad, search.direction))
    low, high, slope = search.low, search.high, search.slope
    enough = trial.value <= search.value + _DECREASE * trial.step * slope
    level = trial.value <= search.value + _ROUNDING * jnp.abs(search.value)
    enough |= level & (trial.slope <= (2 * _DECREASE - 1) * slope)
    enough &= jnp.isfinite(trial.slope)
    better = enough & ((trial.value <= low.value) | (level & (low.step == 0)))
    flat = jnp.abs(trial.slope) <= -_CURVATURE * slope
    # Beyond a better point the loss rises again: then the good steps lie on its near side.
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
    """Returns one of two trees."""
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), a, b)
