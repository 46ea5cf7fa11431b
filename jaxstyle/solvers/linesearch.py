"""A line search for the strong Wolfe conditions, as one loop around one evaluation.

Textbooks write two loops, one that finds an interval and one that narrows it down, each with an
evaluation of its own. Here the interval is simply unbounded until a point that is too far has been
seen. The compiled program then holds the objective once, which is most of its compile time, and
lanes under ``vmap`` stay in step.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from jaxstyle.arrays import Image, Scalar

_DECREASE, _CURVATURE = 1e-4, 0.9  # c₁ and c₂ of the Wolfe conditions
_ROUNDING = 1e-6  # of the loss in float32, relative
_LONGEST, _LIMIT = 16.0, 12  # in units of the direction; evaluations
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
    """Where a search stands; at its end, what it found.

    Attributes:
        step: The step that was found; while searching, the one to try next.
        params: The image there; while searching, the one to start from.
        value: The loss at ``low``.
        grad: Its gradient there.
        aux: What the objective returned beside it.
        low: The best point so far, the start or one that decreases the loss enough.
        high: The other end of the interval that holds a good step; infinitely far until known.
        done: Whether the conditions hold at ``low``.
        failed: Whether no step was found; ``params`` is then the start.
        iter_num: Evaluations.
        num_fun_eval: Evaluations, under the name that jaxopt reads.
        num_grad_eval: Likewise.
    """

    step: Scalar
    params: Image
    value: Scalar
    grad: Image
    aux: Any
    low: Point
    high: Point
    done: Bool[Array, ""]
    failed: Bool[Array, ""]
    iter_num: Int[Array, ""]
    num_fun_eval: Int[Array, ""]
    num_grad_eval: Int[Array, ""]


def _between(low: Point, high: Point) -> Scalar:
    """Returns the minimiser of the cubic through two points, kept off the ends of the interval."""
    width = high.step - low.step
    d1 = low.slope + high.slope - 3 * (high.value - low.value) / width
    d2 = jnp.sign(width) * jnp.sqrt(jnp.square(d1) - low.slope * high.slope)
    part = 1 - (high.slope + d2 - d1) / (high.slope - low.slope + 2 * d2)
    # No real minimum, or a value that is not finite: halve the interval.
    part = jnp.where(jnp.isfinite(part), part, 0.5)
    return low.step + width * jnp.clip(part, 0.1, 0.9)


def steepest_step(grad: Image) -> Scalar:
    """Returns the factor that makes a gradient a first step of sensible length.

    Without it the first step would depend on loss weights and image size, and fail for some.

    Args:
        grad: ``f32[h, w, 3]``.
    """
    largest = jnp.abs(grad).max()
    # The root mean square, of the ratios: squares of a large gradient would overflow.
    rms = largest * jnp.sqrt(jnp.square(grad / jnp.where(largest > 0, largest, 1)).mean())
    return jnp.where(rms > 0, _FIRST_STEP / rms, 1.0)


def search(
    value_and_grad: Callable[[Image], tuple[tuple[Scalar, Any], Image]],
    image: Image,
    value: Scalar,
    grad: Image,
    aux: Any,
    direction: Image,
    step: Scalar | float,
) -> Search:
    """Finds a step along a direction that fulfils the strong Wolfe conditions.

    ``f(t) ≤ f(0) + c₁ t f'(0)`` and ``|f'(t)| ≤ c₂ |f'(0)|``; a step of 16 needs the first of the
    two only. Points that are not finite count as too far. Where the loss differs from the start by
    rounding only, the first is judged by slopes, ``f'(t) ≤ (2c₁ − 1) f'(0)``.

    Nocedal & Wright, Numerical Optimization, 2nd ed., algorithms 3.5 and 3.6, the interpolation
    eq. 3.59; Hager & Zhang 2005, "A New Conjugate Gradient Method with Guaranteed Descent and an
    Efficient Line Search", eq. 4.1, for the slopes.

    Args:
        value_and_grad: ``image -> ((loss, aux), gradient)``.
        image: Where to start, ``f32[h, w, 3]``.
        value: The loss there.
        grad: Its gradient there.
        aux: What the objective returned beside the loss there.
        direction: To search along; where it does not descend, the negative gradient is taken.
        step: To try first, in (0, 16].

    Returns:
        The step, the image there, its loss, gradient and aux, and the evaluations it took; after a
        failure, a step of 0 and what there was at the start.
    """
    slope = jnp.vdot(grad, direction)
    descends = jnp.isfinite(slope) & (slope < 0)
    direction = jnp.where(descends, direction, -steepest_step(grad) * grad)
    start = Point(jnp.float32(0.0), value, jnp.vdot(grad, direction))
    nowhere = Point(jnp.float32(jnp.inf), value, start.slope)

    def iterate(state: Search) -> Search:
        (value, aux), grad = value_and_grad(image + state.step * direction)
        trial = Point(state.step, value, jnp.vdot(grad, direction))
        low, high = state.low, state.high
        enough = trial.value <= start.value + _DECREASE * trial.step * start.slope
        level = trial.value <= start.value + _ROUNDING * jnp.abs(start.value)
        enough |= level & (trial.slope <= (2 * _DECREASE - 1) * start.slope)
        enough &= jnp.isfinite(trial.slope)
        better = enough & ((trial.value <= low.value) | (level & (low.step == 0)))
        flat = jnp.abs(trial.slope) <= -_CURVATURE * start.slope
        # Beyond a better point the loss rises again: then the good steps lie on its near side.
        turned = trial.slope * jnp.sign(high.step - low.step) >= 0
        high = _select(better, _select(turned, low, high), trial)
        low, grad, aux = _select(better, (trial, grad, aux), (low, state.grad, state.aux))
        longer = jnp.minimum(4 * trial.step, _LONGEST)
        step = jnp.where(jnp.isinf(high.step), longer, _between(low, high))
        count = state.iter_num + 1
        done = better & (flat | (trial.step >= _LONGEST))
        return Search(
            step, image, low.value, grad, aux, low, high, done, state.failed, count, count, count
        )

    def unfinished(state: Search) -> Bool[Array, ""]:
        return ~state.done & (state.iter_num < _LIMIT) & jnp.isfinite(start.slope)

    zero, no = jnp.int32(0), jnp.bool_(False)
    first = jnp.asarray(step, jnp.float32)
    state = Search(first, image, value, grad, aux, start, nowhere, no, no, zero, zero, zero)
    state = jax.lax.while_loop(unfinished, iterate, state)
    found = state.low.step
    image = jnp.where(found > 0, image + found * direction, image)
    return state._replace(step=found, params=image, failed=found == 0)


def _select(condition: Bool[Array, ""], a: Any, b: Any) -> Any:
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), a, b)
