"""L-BFGS by jaxopt, with a line search of our own: what :mod:`jaxstyle.solvers.lbfgs` traces."""

import warnings
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from jaxstyle.arrays import Scalar, Variable
from jaxstyle.solvers.base import Function, SolverState, is_finite
from jaxstyle.solvers.linesearch import Point, Search, begin, narrow, select, steepest_step

with warnings.catch_warnings():
    # jaxopt is archived and says so on import; it is pinned here on purpose.
    warnings.filterwarnings("ignore", "JAXopt is no longer maintained", DeprecationWarning)
    import jaxopt
    from jaxopt._src.base import LineSearchStep
    from jaxopt._src.lbfgs import LbfgsState, inv_hessian_product


class _Found(NamedTuple):
    """What jaxopt reads of a line search that has been."""

    params: Variable
    value: Scalar
    grad: Variable
    aux: Any
    failed: Bool[Array, ""]
    iter_num: int = 0
    num_fun_eval: int = 0
    num_grad_eval: int = 0


class _LineSearch(jaxopt.ZoomLineSearch):
    """Puts what our search has found where jaxopt would search by itself.

    jaxopt's own line search compiles four copies of the objective and spends one more forward pass
    a call on the shape of the auxiliary output.

    Attributes:
        found: The point.
        step: Its distance.
    """

    found: Any = None
    step: Any = None

    def run(self, *args: Any, **kwargs: Any) -> LineSearchStep:
        del args, kwargs
        return LineSearchStep(cast(float, self.step), self.found)


def _nothing(image: Variable) -> tuple[tuple[Scalar, Any], Variable]:
    return (jnp.zeros((), image.dtype), None), jnp.zeros_like(image)


def _jaxopt(history: int, line_search: Any = "zoom") -> jaxopt.LBFGS:
    return jaxopt.LBFGS(
        _nothing,
        value_and_grad=True,
        has_aux=True,
        tol=0.0,
        linesearch=cast(str, line_search),
        linesearch_init="max",
        history_size=history,
        use_gamma=False,
        implicit_diff=False,
        unroll=False,
    )


def init(image: Variable, aux: Any, history: int) -> SolverState:
    """Returns the state at the image to start from, which is not evaluated yet."""
    loss = jnp.full((), jnp.inf, image.dtype)
    # Without a gradient the first search goes nowhere and evaluates the image as it is.
    search = begin(loss, jnp.zeros_like(image), aux, jnp.zeros_like(image))
    memory = tuple(_jaxopt(history).init_state(image))
    yes, no, zero = jnp.bool_(True), jnp.bool_(False), jnp.int32(0)
    return SolverState(image, loss, aux, yes, no, zero, zero, (memory, tuple(search)))


def update(fun: Function, state: SolverState, data: tuple[Any, ...], history: int) -> SolverState:
    """Returns the state one evaluation further."""
    old, search = LbfgsState(*state.inner[0]), Search(*state.inner[1])
    trial = state.image + search.step * search.direction
    (value, aux), grad = jax.value_and_grad(fun, has_aux=True)(trial, *data)
    first, search = jnp.isinf(state.loss), narrow(search, value, grad, aux)
    # What the first evaluation says is taken as it is, finite or not.
    there = Point(jnp.ones_like(value), value, jnp.zeros_like(value)), grad, aux
    low, grad, aux = select(first, there, (search.low, search.grad, search.aux))
    over, step, failed = search.over | first, low.step, low.step == 0
    image = jnp.where(failed, state.image, state.image + step * search.direction)
    # Until the search is over, the pair takes the place of the oldest, which the direction has seen
    # already: so nothing has to be copied.
    found = _Found(image, low.value, grad, aux, failed)
    line_search = _LineSearch(_nothing, value_and_grad=True, has_aux=True)
    line_search.found, line_search.step = found, step
    _, new = _jaxopt(history, line_search).update(state.image, old)
    new = _remembered(new, old, image - state.image, forget=failed, first=first)
    # What jaxopt counts and measures for itself stays as it was.
    new = old._replace(
        iter_num=jnp.where(over, new.iter_num, old.iter_num),
        grad=jnp.where(over, new.grad, old.grad),
        gamma=jnp.where(over, new.gamma, old.gamma),
        rho_history=jnp.where(over, new.rho_history, old.rho_history),
        s_history=new.s_history,
        y_history=new.y_history,
    )
    direction = jax.lax.cond(over, _direction, lambda memory: search.direction, new)
    after = begin(low.value, grad, aux, direction)
    # A search that found nothing forgets what led it there. Without memory, it is the end.
    stalled = over & failed & ~first & jnp.all(old.rho_history == 0)
    return SolverState(
        image=jnp.where(over, image, state.image),
        loss=jnp.where(over, low.value, state.loss),
        aux=select(over, aux, state.aux),
        finite=jnp.where(over, is_finite(low.value, grad), state.finite),
        stalled=state.stalled | stalled,
        iterations=state.iterations + (over & ~first),
        evaluations=state.evaluations + 1,
        inner=(tuple(new), tuple(select(over, after, search))),
    )


def _remembered(
    new: LbfgsState,
    old: LbfgsState,
    step: Variable,
    *,
    forget: Bool[Array, ""],
    first: Bool[Array, ""],
) -> LbfgsState:
    """Returns jaxopt's memory with what makes it safe."""
    # A pair without positive curvature would turn directions uphill: zero leaves it out.
    rho = jnp.where(jnp.isfinite(new.rho_history) & (new.rho_history > 0), new.rho_history, 0.0)
    # jaxopt would read the latest pair out of the history again: XLA then copies all of it.
    change = new.grad - old.grad
    gamma = jnp.vdot(step, change) / jnp.vdot(change, change)
    gamma = jnp.where(jnp.isfinite(gamma) & (gamma > 0), gamma, old.gamma)
    return new._replace(
        rho_history=jnp.where(forget, 0.0, rho),
        gamma=jnp.where(forget | first, steepest_step(new.grad), gamma),
    )


def _direction(memory: LbfgsState) -> Variable:
    """Returns where to go next, as jaxopt computes it."""
    start = memory.iter_num % memory.rho_history.shape[0]
    return inv_hessian_product(
        -memory.grad,
        memory.s_history,
        memory.y_history,
        memory.rho_history,
        cast(float, memory.gamma),
        start,
    )
