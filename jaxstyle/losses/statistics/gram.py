"""The Gram matrix: which features occur together, wherever that is."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.arrays import Feature, Scalar
from jaxstyle.losses.statistics.base import Additive, Mask, per_position
from jaxstyle.ops.derivatives import handwritten, like_primal

Matrix = Float[Array, "_ _"]


def gram(feature: Float[Array, "h w c"], mask: Mask | None = None) -> Float[Array, "c c"]:
    """Returns the Gram matrix ``FᵀF``, summed over positions, not divided by anything.

    Gatys, Ecker & Bethge 2016, "Image Style Transfer Using Convolutional Neural Networks", eq. 3;
    with a mask ``Σ m f fᵀ``, the guided Gram matrix of Gatys et al. 2017, arXiv:1611.07865, eq. 4.

    Args:
        feature: ``f32[h, w, c]``.
        mask: How much each position counts, ``f32[h, w]`` in [0, 1].

    Examples:
        >>> import jax.numpy as jnp
        >>> gram(jnp.ones((2, 3, 1))).item()
        6.0
    """
    if handwritten():
        return _gram(feature, mask)
    return _product(feature if mask is None else feature * mask[..., None], feature)


@jax.custom_vjp
def _gram(feature: Feature, mask: Mask | None) -> Matrix:
    weighted = feature if mask is None else feature * mask[..., None]
    return (_by_rows if jax.default_backend() == "cpu" else _product)(weighted, feature)


# Multiplied at a time on CPUs.
_POSITIONS = 2**12


def _by_rows(a: Feature, b: Feature) -> Matrix:
    # XLA's CPU backend transposes one side of the product: so within the cache, and not as a copy
    # of the whole feature map.
    height, width = a.shape[:2]
    rows = min(height, -(-_POSITIONS // width))
    count = height // rows

    def add(i: Array, total: Matrix) -> Matrix:
        return total + _product(*(jax.lax.dynamic_slice_in_dim(x, i * rows, rows) for x in (a, b)))

    rest = _product(a[count * rows :], b[count * rows :])
    return jax.lax.fori_loop(0, count, add, rest)


def _product(a: Feature, b: Feature) -> Matrix:
    # In full float32: style is in small differences of these sums, which shortened products lose.
    return jnp.einsum("hwi,hwj->ij", a, b, precision="highest")


def _forward(feature: Any, mask: Any) -> Any:
    return _gram(feature, mask), (feature, mask)


def _backward(residuals: Any, dg: Any) -> Any:
    # One product where autodiff, which does not see the symmetry, takes two.
    feature, mask = residuals
    df = jnp.einsum("hwi,ij->hwj", feature, dg + dg.T, precision="highest")
    if mask is None:
        return like_primal(df, feature), None
    # f dG fᵀ is half of f (dG + dGᵀ) fᵀ.
    dmask = 0.5 * (df * feature).sum(-1)
    return like_primal((df * mask[..., None], dmask), (feature, mask))


_gram.defvjp(_forward, _backward)


@dataclasses.dataclass(frozen=True)
class Gram(Additive):
    """``‖G − A‖²`` of Gram matrices per position (Gatys, Ecker & Bethge 2016)."""

    degree = 4  # fourth powers of features

    def sums(self, feature: Feature, mask: Mask | None) -> Matrix:
        """Returns the Gram matrix."""
        return gram(feature, mask)

    def distance(self, sums: Matrix, positions: Scalar, target: Matrix) -> Scalar:
        """Returns ``‖G − A‖²``."""
        return jnp.square(per_position(sums, positions) - target).sum()

    def energy(self, target: Matrix) -> Scalar:
        """Returns ``‖A‖²``."""
        # XLA's CPU backend would unroll a sum of 32 · 32 squares: half a second of compiling.
        return jnp.vdot(target, target, precision="highest")
