"""Solvers: how an image goes downhill, as pairs of pure functions.

A :class:`Solver` is static and hashable, so that it is part of the compiled program. Its first
``update`` evaluates the objective at the image that ``init`` was given; each one after it takes one
step and leaves the evaluation at the new image in the state, so that what a state tells always
belongs together.
One family a module, and :mod:`from_jaxopt` for what takes jaxopt; nothing outside this room imports
jaxopt or optax.
"""

from jaxstyle.solvers.base import Solver, SolverState
from jaxstyle.solvers.first_order import adam, gradient_descent
from jaxstyle.solvers.lbfgs import lbfgs

__all__ = ["Solver", "SolverState", "adam", "gradient_descent", "lbfgs"]
