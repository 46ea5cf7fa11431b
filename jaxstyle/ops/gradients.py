"""Functions that change gradients in the backward pass."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike

from jaxstyle.arrays import Feature


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def with_gradient_norm(feature: Feature, norm: ArrayLike, axis: str | None = None) -> Feature:
    """Returns a feature map unchanged, and scales its gradient to the L1 norm ``norm``.

    ``g ↦ norm · g / ‖g‖₁``, the ``-normalize_gradients`` of J. Johnson's neural-style, applied
    after each of its loss modules.

    Args:
        feature: ``f32[h, w, c]``, used by one term only.
        norm: L1 norm of the gradient: the weight of the term.
        axis: Within ``shard_map``, the name of the mesh axis that the feature map is sharded along.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> term = lambda f: 7.0 * with_gradient_norm(f, 2.0).sum()
        >>> float(jax.grad(term)(jnp.ones((1, 2, 2)))[0, 0, 0])
        0.5
    """
    del norm, axis
    return feature


def _forward(feature: Any, norm: Any, axis: str | None) -> Any:
    del axis
    return feature, norm


def _backward(axis: str | None, norm: Any, gradient: Any) -> Any:
    length = jnp.abs(gradient).sum()
    if axis is not None:
        length = jax.lax.psum(length, axis)
    factor = jnp.where(length > 0, norm / jnp.where(length > 0, length, 1.0), 0.0)
    return gradient * factor, None


with_gradient_norm.defvjp(_forward, _backward)
