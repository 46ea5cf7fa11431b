"""Square roots of covariances by products and triangular solves, without eigendecompositions."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.arrays import Scalar

Matrix = Float[Array, "n n"]

# Fast steps take singular values from 1e-7 of the largest (the precision of float32) to [0.56, 1];
# plain steps take them from there to 1. Even faster steps would map 1 to almost 0 and amplify
# rounding errors.
_FAST, _STEPS = 20, 26


def polar_factor(matrix: Matrix) -> Matrix:
    """Returns the orthogonal matrix ``U`` of the polar decomposition ``M = U (MᵀM)^½``.

    The Newton–Schulz iteration ``X ← 3/2 α X − 1/2 α³ X Xᵀ X`` from ``M / ‖M‖`` (Higham 2008,
    Functions of Matrices, eq. 8.20), with ``α = 3/2`` in the first steps and then 1 (Chen & Chow
    2014, "A stable scaling of Newton-Schulz for improving the sign function computation").

    Args:
        matrix: ``f32[n, n]``, of full rank.

    Examples:
        >>> import jax.numpy as jnp
        >>> factor = polar_factor(jnp.array([[0.0, -2.0], [3.0, 0.0]]))
        >>> [[round(x) for x in row] for row in factor.tolist()]
        [[0, -1], [1, 0]]
    """

    def iterate(step: Any, x: Any) -> Any:
        scaled = jnp.where(step < _FAST, 1.5, 1.0).astype(x.dtype) * x
        gram = jnp.matmul(scaled.T, scaled, precision="highest")
        return 1.5 * scaled - 0.5 * jnp.matmul(scaled, gram, precision="highest")

    return jax.lax.fori_loop(0, _STEPS, iterate, matrix / jnp.linalg.norm(matrix))


# Number of tenfold increases, beyond the rounding error of any sum.
_SHIFTS = 6


def made_definite(covariance: Matrix, least: Scalar) -> Matrix:
    """Returns ``Σ + δI`` with a ``δ`` that compensates for rounding errors.

    ``δ`` is the first of 0, ``least``, ``10 least``, … for which a Cholesky factor exists. It has
    no derivative.

    Args:
        covariance: ``Σ``, symmetric, and positive definite except for rounding errors.
        least: The smallest ``δ`` other than 0, > 0.

    Examples:
        >>> import jax.numpy as jnp
        >>> definite = made_definite(jnp.diag(jnp.array([1.0, -2e-3])), jnp.float32(1e-4))
        >>> [round(float(x), 4) for x in jnp.diagonal(definite)]
        [1.01, 0.008]
    """
    # Without the barrier XLA computes it again with other rounding, and the factor may not exist.
    covariance = jax.lax.optimization_barrier(covariance)
    frozen = jax.lax.stop_gradient(covariance)
    identity = jnp.eye(len(frozen), dtype=frozen.dtype)
    least = jax.lax.stop_gradient(least)

    def shift(step: Any) -> Any:
        return jnp.where(step == 0, 0, least * 10.0 ** (step - 1)).astype(frozen.dtype)

    def fails(step: Any) -> Any:
        factor = jnp.linalg.cholesky(frozen + shift(step) * identity)
        return (step < _SHIFTS) & ~jnp.isfinite(factor).all()

    step = jax.lax.while_loop(fails, lambda step: step + 1, 0)
    return jax.lax.optimization_barrier(covariance + shift(step) * identity)


@jax.custom_vjp
def fidelity(covariance: Matrix, factor: Matrix) -> Scalar:
    """Returns the fidelity of the covariances ``Σ`` and ``LLᵀ``, ``tr (LᵀΣL)^½``.

    The sum of the singular values of ``B = LᵀK`` with ``Σ = KKᵀ`` (Bhatia, Jain & Lim 2019, "On the
    Bures–Wasserstein distance between positive definite matrices", eq. 4). ``LᵀΣL`` itself, which
    would square the condition number, is never formed. With the polar factor ``U`` of ``B``, the
    gradient with respect to ``Σ`` is ``L U K⁻¹ / 2``, and with respect to ``L`` it is ``K Uᵀ``.

    Args:
        covariance: ``Σ``, symmetric, positive definite.
        factor: ``L``, of full rank.

    Examples:
        >>> import jax.numpy as jnp
        >>> covariance, factor = jnp.diag(jnp.array([4.0, 9.0])), jnp.diag(jnp.array([1.0, 2.0]))
        >>> round(float(fidelity(covariance, factor)), 3)
        8.0
    """
    return _forward(covariance, factor)[0]


def _forward(covariance: Any, factor: Any) -> Any:
    root = jnp.linalg.cholesky(covariance)
    product = jnp.matmul(factor.T, root, precision="highest")
    polar = polar_factor(product)
    return (polar * product).sum(), (root, factor, polar)


def _backward(saved: Any, dy: Any) -> Any:
    root, factor, polar = saved
    product = jnp.matmul(factor, polar, precision="highest")
    # The transpose of L U K⁻¹, symmetric except for rounding errors.
    gradient = jax.scipy.linalg.solve_triangular(root, product.T, trans=1, lower=True)
    dfactor = dy * jnp.matmul(root, polar.T, precision="highest")
    return 0.25 * dy * (gradient + gradient.T), dfactor


fidelity.defvjp(_forward, _backward)
