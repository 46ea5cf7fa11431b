"""jaxopt's L-BFGS with the line search of this package; used by :mod:`jaxstyle.solvers.lbfgs`."""

import warnings
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from jaxstyle.arrays import Scalar, Variable
from jaxstyle.solvers.base import Function, SolverState, is_finite
from jaxstyle.solvers.linesearch import Point, Search, begin, narrow, select, steepest_step

with warnings.catch_warnings():
    # jaxopt is archived and warns on import; the project pins it.
    warnings.filterwarnings("ignore", "JAXopt is no longer maintained", DeprecationWarning)
    import jaxopt
    from jaxopt._src.base import LineSearchStep
    from jaxopt._src.lbfgs import LbfgsState, inv_hessian_product


class _Result(NamedTuple):
    """The fields of a line search's state that jaxopt reads."""

    params: Variable
    value: Scalar
    grad: Variable
    aux: Any
    failed: Bool[Array, ""]
    iter_num: int = 0
    num_fun_eval: int = 0
    num_grad_eval: int = 0


class _LineSearch(jaxopt.ZoomLineSearch):
    """Passes the result of our line search to jaxopt in place of its own search.

    jaxopt's line search compiles four copies of the objective and spends an additional forward pass
    per call on the shape of the auxiliary output.

    Attributes:
        result: The result of the line search.
        step: Its step size, in units of the direction.
    """

    result: Any = None
    step: Any = None

    def run(self, *args: Any, **kwargs: Any) -> LineSearchStep:
        del args, kwargs
        return LineSearchStep(cast(float, self.step), self.result)


def _placeholder(image: Variable) -> tuple[tuple[Scalar, Any], Variable]:
    return (jnp.zeros((), image.dtype), None), jnp.zeros_like(image)


def _jaxopt(history: int, line_search: Any = "zoom") -> jaxopt.LBFGS:
    return jaxopt.LBFGS(
        _placeholder,
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
    """Returns the state for an initial image, without evaluating it."""
    loss = jnp.full((), jnp.inf, image.dtype)
    # With a zero gradient, the first search has no direction and evaluates the initial image.
    search = begin(loss, jnp.zeros_like(image), aux, jnp.zeros_like(image))
    memory = tuple(_jaxopt(history).init_state(image))
    yes, no, zero = jnp.bool_(True), jnp.bool_(False), jnp.int32(0)
    return SolverState(image, loss, aux, yes, no, zero, zero, (memory, tuple(search)))


def update(fun: Function, state: SolverState, data: tuple[Any, ...], history: int) -> SolverState:
    """Returns the state after one more evaluation."""
    old, search = LbfgsState(*state.inner[0]), Search(*state.inner[1])
    trial = state.image + search.step * search.direction
    (value, aux), grad = jax.value_and_grad(fun, has_aux=True)(trial, *data)
    first, search = jnp.isinf(state.loss), narrow(search, value, grad, aux)
    # The first evaluation is accepted unconditionally, finite or not.
    initial = Point(jnp.ones_like(value), value, jnp.zeros_like(value)), grad, aux
    low, grad, aux = select(first, initial, (search.low, search.grad, search.aux))
    over, step, failed = search.over | first, low.step, low.step == 0
    image = jnp.where(failed, state.image, state.image + step * search.direction)
    # Until the search is over, the pair overwrites the oldest one, which the direction has already
    # used; so the history need not be copied.
    result = _Result(image, low.value, grad, aux, failed)
    line_search = _LineSearch(_placeholder, value_and_grad=True, has_aux=True)
    line_search.result, line_search.step = result, step
    _, new = _jaxopt(history, line_search).update(state.image, old)
    new = _safeguard(new, old, image - state.image, forget=failed, first=first)
    # jaxopt's own counters and measurements are not used.
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
    # A failed search discards the history. If there was none, the solver has stalled.
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


def _safeguard(
    new: LbfgsState,
    old: LbfgsState,
    step: Variable,
    *,
    forget: Bool[Array, ""],
    first: Bool[Array, ""],
) -> LbfgsState:
    """Returns jaxopt's state without pairs that would make directions ascend."""
    # Zero excludes a pair without positive curvature, which would make directions ascend.
    rho = jnp.where(jnp.isfinite(new.rho_history) & (new.rho_history > 0), new.rho_history, 0.0)
    # jaxopt reads the latest pair from the history, and XLA then copies the whole history.
    change = new.grad - old.grad
    gamma = jnp.vdot(step, change) / jnp.vdot(change, change)
    gamma = jnp.where(jnp.isfinite(gamma) & (gamma > 0), gamma, old.gamma)
    return new._replace(
        rho_history=jnp.where(forget, 0.0, rho),
        gamma=jnp.where(forget | first, steepest_step(new.grad), gamma),
    )


def _direction(memory: LbfgsState) -> Variable:
    """Returns the next search direction, computed by jaxopt."""
    start = memory.iter_num % memory.rho_history.shape[0]
    return inv_hessian_product(
        -memory.grad,
        memory.s_history,
        memory.y_history,
        memory.rho_history,
        cast(float, memory.gamma),
        start,
    )
