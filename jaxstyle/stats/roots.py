"""Square roots of positive definite matrices by products alone: no eigenvectors on the device."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.arrays import Scalar

# Eigenvalues of 1e-7 of the largest, float32's end, have converged by then.
_ITERATIONS = 20


def square_root(
    matrix: Float[Array, "n n"],
) -> tuple[Float[Array, "n n"], Float[Array, "n n"]]:
    """Returns the square root of a positive definite matrix, and the root's inverse.

    The coupled Newton–Schulz iteration ``T = (3I − Z Y) / 2``, ``Y ← Y T``, ``Z ← T Z`` from
    ``Y = M / ‖M‖``, ``Z = I``; ``Y → (M / ‖M‖)^½``, ``Z → (M / ‖M‖)^−½`` (Higham 2008, Functions
    of Matrices, eq. 6.35; Lin & Maji 2017, arXiv:1707.06772).

    Args:
        matrix: ``f32[n, n]``, symmetric, positive definite.

    Examples:
        >>> import jax.numpy as jnp
        >>> root, inverse = square_root(jnp.diag(jnp.array([4.0, 9.0])))
        >>> [round(float(x), 4) for x in (*jnp.diag(root), *jnp.diag(inverse))]
        [2.0, 3.0, 0.5, 0.3333]
    """
    norm = jnp.linalg.norm(matrix)
    identity = jnp.eye(len(matrix), dtype=matrix.dtype)

    def multiply(a: Any, b: Any) -> Any:
        return jnp.matmul(a, b, precision="highest")

    def iterate(_: Any, pair: Any) -> Any:
        y, z = pair
        t = 1.5 * identity - 0.5 * multiply(z, y)
        return multiply(y, t), multiply(t, z)

    y, z = jax.lax.fori_loop(0, _ITERATIONS, iterate, (matrix / norm, identity))
    return y * jnp.sqrt(norm), z / jnp.sqrt(norm)


@jax.custom_vjp
def trace_of_root(matrix: Float[Array, "n n"]) -> Scalar:
    """Returns ``tr M^½`` of a positive definite matrix; its gradient is ``M^−½ / 2``.

    That closed form needs no Lyapunov equation: Newton–Schulz finds ``M^−½`` on its way.

    Args:
        matrix: ``f32[n, n]``, symmetric, positive definite.

    Examples:
        >>> import jax.numpy as jnp
        >>> round(float(trace_of_root(jnp.diag(jnp.array([4.0, 9.0])))), 3)
        5.0
    """
    return jnp.trace(square_root(matrix)[0])


def _forward(matrix: Any) -> Any:
    root, inverse = square_root(matrix)
    return jnp.trace(root), inverse


def _backward(inverse: Any, dy: Any) -> Any:
    return (0.5 * dy * inverse,)


trace_of_root.defvjp(_forward, _backward)
