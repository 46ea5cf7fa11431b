"""L-BFGS, by jaxopt, with a line search of our own."""

import dataclasses
import warnings
from typing import Any, cast

import jax
import jax.numpy as jnp

from jaxstyle.arrays import Image
from jaxstyle.solvers.base import Function, SolverState, is_finite
from jaxstyle.solvers.linesearch import search

with warnings.catch_warnings():
    # jaxopt is archived and says so on import; it is pinned here on purpose.
    warnings.filterwarnings("ignore", "JAXopt is no longer maintained", DeprecationWarning)
    import jaxopt
    from jaxopt._src.base import LineSearchStep


class _LineSearch(jaxopt.ZoomLineSearch):
    """Puts :func:`search` where jaxopt's own line search would stand.

    jaxopt's compiles four copies of the objective (the first iteration unrolled, three branches)
    and spends one more forward pass a call on the shape of the auxiliary output.
    """

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
            params, value, grad, descent_direction, init_stepsize,
        )  # fmt: skip
        return LineSearchStep(cast(float, found.step), found)


@dataclasses.dataclass(frozen=True)
class LBFGS:
    """jaxopt's L-BFGS; see :func:`lbfgs`."""

    history: int

    def _jaxopt(self, fun: Function) -> jaxopt.LBFGS:
        value_and_grad = jax.value_and_grad(fun, has_aux=True)
        line_search = _LineSearch(value_and_grad, value_and_grad=value_and_grad, has_aux=True)
        return jaxopt.LBFGS(
            value_and_grad,
            value_and_grad=True,
            has_aux=True,
            tol=0.0,
            linesearch=cast(str, line_search),
            linesearch_init="max",
            history_size=self.history,
            implicit_diff=False,
            unroll=False,
        )

    def init(self, fun: Function, image: Image, *data: Any) -> SolverState:
        """Returns the state at the image to start from, after one evaluation."""
        return self._state(image, self._jaxopt(fun).init_state(image, *data))

    def update(self, fun: Function, state: SolverState, *data: Any) -> SolverState:
        """Returns the state one step further, after one evaluation or a few."""
        image, inner = self._jaxopt(fun).update(state.image, state.inner, *data)
        # A search that found nothing stays where it was, whose terms it has not been told.
        stayed = inner.failed_linesearch
        aux = jax.tree.map(lambda old, new: jnp.where(stayed, old, new), state.aux, inner.aux)
        return self._state(image, inner._replace(aux=aux))

    def _state(self, image: Image, inner: Any) -> SolverState:
        finite = is_finite(inner.value, inner.grad)
        return SolverState(image, inner.value, inner.aux, finite, inner.num_grad_eval, inner)


def lbfgs(*, history: int = 10) -> LBFGS:
    """Returns the limited-memory BFGS method with a line search for the strong Wolfe conditions.

    Nocedal & Wright, Numerical Optimization, 2nd ed., algorithm 7.5; jaxopt's.

    Args:
        history: Pairs of steps and gradient differences kept, ≥ 1; each costs two images.

    Examples:
        >>> lbfgs(history=20)
        LBFGS(history=20)
    """
    return LBFGS(history)
