"""What stands between two blocks of a network: halving, with gradients from what is kept anyway."""

from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp

from jaxstyle.arrays import Feature
from jaxstyle.errors import check_choice
from jaxstyle.ops.derivatives import handwritten

Pooling = Literal["max", "average", "l2"]

# Under the root of a mean square: where all is zero, it would have no gradient.
_TINY = 1e-12


def _corners(x: Feature) -> list[Feature]:
    h, w = x.shape[0] // 2 * 2, x.shape[1] // 2 * 2
    return [x[i:h:2, j:w:2] for i in (0, 1) for j in (0, 1)]


def _plain_max_pool(x: Feature) -> Feature:
    # Strided maxima: XLA's reduce-window has a slow gradient (select-and-scatter) on every backend.
    a, b, c, d = _corners(x)
    return jnp.maximum(jnp.maximum(a, b), jnp.maximum(c, d))


@jax.custom_vjp
def _max_pool(x: Feature) -> Feature:
    return _plain_max_pool(x)


def _max_pool_forward(x: Any) -> Any:
    y = _max_pool(x)
    return y, (x, y)


def _max_pool_backward(residuals: Any, dy: Any) -> Any:
    # From the features themselves, which are kept anyway; autodiff would keep every comparison.
    x, y = residuals
    shared = dy / sum((corner == y).astype(y.dtype) for corner in _corners(x))
    y, shared = (jnp.repeat(jnp.repeat(z, 2, 0), 2, 1) for z in (y, shared))
    h, w = y.shape[:2]
    dx = jnp.where(x[:h, :w] == y, shared, 0.0)
    return (jnp.pad(dx, ((0, x.shape[0] - h), (0, x.shape[1] - w), (0, 0))),)


_max_pool.defvjp(_max_pool_forward, _max_pool_backward)


def pool(x: Feature, pooling: Pooling) -> Feature:
    """Halves a feature map in blocks of 2×2; an odd last row or column is dropped.

    Args:
        x: ``f32[h, w, c]``.
        pooling: ``max`` or ``average`` of each block, or ``l2``, its root mean square.

    Returns:
        ``f32[h // 2, w // 2, c]``.

    Raises:
        InputError: The pooling is unknown.
    """
    check_choice("pooling", pooling, get_args(Pooling))
    if pooling == "max":
        return _max_pool(x) if handwritten() else _plain_max_pool(x)
    corners = _corners(x)
    if pooling == "average":
        return sum(corners[1:], corners[0]) * 0.25
    squares = [jnp.square(corner) for corner in corners]
    return jnp.sqrt(sum(squares[1:], squares[0]) * 0.25 + _TINY)


def hanning_pool(x: Feature) -> Feature:
    """Halves a feature map by weighted root mean squares of 3×3, without aliasing.

    ``√(g ∗ x²)`` with the weights of a Hanning window, zeros around, at every other position
    (Hénaff & Simoncelli 2016, arXiv:1511.06394; as in DISTS).

    Args:
        x: ``f32[h, w, c]``.

    Returns:
        ``f32[⌈h / 2⌉, ⌈w / 2⌉, c]``.
    """
    squares = jnp.square(x)
    for axis in (0, 1):
        squares = _halve_smoothly(squares, axis)
    return jnp.sqrt(squares + _TINY)


def _halve_smoothly(x: Feature, axis: int) -> Feature:
    padded = jnp.pad(x, [(1, 1) if i == axis else (0, 0) for i in range(3)])
    last = x.shape[axis] // 2 * 2 - 1 + x.shape[axis] % 2 * 2
    left, middle, right = (jax.lax.slice_in_dim(padded, i, i + last, 2, axis) for i in range(3))
    return 0.25 * left + 0.5 * middle + 0.25 * right
