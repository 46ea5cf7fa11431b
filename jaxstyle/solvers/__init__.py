"""Solvers: algorithms that minimise the loss, as pairs of pure functions.

A :class:`Solver` is static and hashable, and so becomes part of the compiled program. Each
``update`` evaluates the objective once; the first one evaluates the initial image. The image, loss
and terms in a state always belong together.

There is one module per family; :mod:`from_jaxopt` contains everything that needs jaxopt. No other
package imports jaxopt or optax.
"""

from jaxstyle.solvers.base import Solver, SolverState
from jaxstyle.solvers.first_order import adam, from_optax, gradient_descent
from jaxstyle.solvers.lbfgs import lbfgs

__all__ = ["Solver", "SolverState", "adam", "from_optax", "gradient_descent", "lbfgs"]
