"""L-BFGS by jaxopt, with a line search of our own: what :mod:`jaxstyle.solvers.lbfgs` traces."""

import warnings
from typing import Any, cast

import jax
import jax.numpy as jnp

from jaxstyle.arrays import Image, Scalar
from jaxstyle.solvers.base import Function, SolverState, is_finite
from jaxstyle.solvers.linesearch import search, steepest_step

with warnings.catch_warnings():
    # jaxopt is archived and says so on import; it is pinned here on purpose.
    warnings.filterwarnings("ignore", "JAXopt is no longer maintained", DeprecationWarning)
    import jaxopt
    from jaxopt._src.base import LineSearchStep
    from jaxopt._src.lbfgs import LbfgsState


class _LineSearch(jaxopt.ZoomLineSearch):
    """Puts :func:`search` where jaxopt's own line search would stand.

    jaxopt's compiles four copies of the objective (the first iteration unrolled, three branches)
    and spends one more forward pass a call on the shape of the auxiliary output.

    Attributes:
        aux: What the objective returned beside the loss at the start of the search.
    """

    aux: Any = None

    def run(
        self,
        init_stepsize: Any,
        params: Any,
        value: Any = None,
        grad: Any = None,
        descent_direction: Any = None,
        fun_args: Any = (),
        fun_kwargs: Any = None,
    ) -> LineSearchStep:
        del fun_kwargs  # the objective has none
        found = search(
            lambda image: self.value_and_grad(image, *fun_args),  # pyright: ignore[reportCallIssue]
            params, value, grad, self.aux, descent_direction, init_stepsize,
        )  # fmt: skip
        return LineSearchStep(cast(float, found.step), found)


def _jaxopt(fun: Function, aux: Any, history: int) -> jaxopt.LBFGS:
    value_and_grad = jax.value_and_grad(fun, has_aux=True)
    line_search = _LineSearch(value_and_grad, value_and_grad=value_and_grad, has_aux=True)
    line_search.aux = aux
    return jaxopt.LBFGS(
        value_and_grad,
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


def init(image: Image, aux: Any, history: int) -> SolverState:
    """Returns the state at the image to start from, which is not evaluated yet."""
    loss = jnp.float32(jnp.inf)

    def nothing(image: Image) -> tuple[tuple[Scalar, Any], Image]:
        return (loss, aux), jnp.zeros_like(image)

    # Without a gradient the first update goes nowhere and evaluates the image as it is.
    inner = jaxopt.LBFGS(
        nothing, value_and_grad=True, has_aux=True, history_size=history
    ).init_state(image)
    zero = jnp.zeros_like(inner.num_grad_eval)
    inner = inner._replace(num_grad_eval=zero, num_fun_eval=zero)
    # jaxopt's own type would have to be imported to take over a state that a kept trace returns.
    return SolverState(image, loss, aux, jnp.bool_(True), jnp.bool_(False), zero, tuple(inner))


def update(fun: Function, state: SolverState, data: tuple[Any, ...], history: int) -> SolverState:
    """Returns the state one step further, after one evaluation or a few."""
    old = LbfgsState(*state.inner)
    image, new = _jaxopt(fun, state.aux, history).update(state.image, old, *data)
    first, failed = jnp.isinf(state.loss), new.failed_linesearch
    # A pair without positive curvature would turn directions uphill: zero leaves it out.
    rho = jnp.where(jnp.isfinite(new.rho_history) & (new.rho_history > 0), new.rho_history, 0.0)
    # jaxopt would read the latest pair out of the history again: XLA then copies all of it.
    step, change = image - state.image, new.grad - old.grad
    gamma = jnp.vdot(step, change) / jnp.vdot(change, change)
    gamma = jnp.where(jnp.isfinite(gamma) & (gamma > 0), gamma, old.gamma)
    # A search that found nothing forgets what led it there. Without memory, it is the end.
    stuck = failed & ~first & jnp.all(old.rho_history == 0)
    new = new._replace(
        rho_history=jnp.where(failed, 0.0, rho),
        gamma=jnp.where(failed | first, steepest_step(new.grad), gamma),
    )
    finite = is_finite(new.value, new.grad)
    evaluations = new.num_grad_eval
    return SolverState(image, new.value, new.aux, finite, stuck, evaluations, tuple(new))
