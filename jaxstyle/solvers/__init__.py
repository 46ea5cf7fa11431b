"""Solvers: how an image goes downhill, as pairs of pure functions.

A :class:`Solver` is static and hashable, so that it is part of the compiled program. Each
``update`` is one evaluation of the objective, the first one at the image that ``init`` was given;
what a state tells of image, loss and terms always belongs together.
One family a module, and :mod:`from_jaxopt` for what takes jaxopt; nothing outside this room imports
jaxopt or optax.
"""

from jaxstyle.solvers.base import Solver, SolverState
from jaxstyle.solvers.first_order import adam, from_optax, gradient_descent
from jaxstyle.solvers.lbfgs import lbfgs

__all__ = ["Solver", "SolverState", "adam", "from_optax", "gradient_descent", "lbfgs"]
