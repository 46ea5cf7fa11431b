"""Total variation: differences between neighbouring pixels. Pure."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.arrays import Image, Scalar
from jaxstyle.errors import choose

Variation = Callable[[Image, bool], Scalar]
"""``(image, wrap) -> variation``, summed over the image: a pure, hashable function."""


def _differences(image: Image, wrap: bool) -> tuple[Float[Array, "_ _ 3"], Float[Array, "_ _ 3"]]:
    """Returns the differences to the right and lower neighbours."""
    if wrap:
        return jnp.roll(image, -1, 1) - image, jnp.roll(image, -1, 0) - image
    return jnp.diff(image, axis=1), jnp.diff(image, axis=0)


def _nine_point(image: Image, wrap: bool) -> Scalar:
    h, w, _ = image.shape
    dx, dy = _differences(image, wrap)
    # Pad one side only, so that differences across the seam are counted once.
    border = (0, 1) if wrap else (1, 1)
    x = jnp.pad(image, (border, border, (0, 0)), "wrap" if wrap else "edge")
    diagonals = x[1:, 1:] - x[:-1, :-1], x[1:, :-1] - x[:-1, 1:]
    axial = (jnp.square(dx).sum() + jnp.square(dy).sum()) / (h * w)
    diagonal = sum(jnp.square(d).mean((0, 1)).sum() for d in diagonals)
    return 2 * h * w * (axial / 3 + diagonal / 12)


def _l1(image: Image, wrap: bool) -> Scalar:
    # Unlike the gradient of ``abs``, this gradient is 0 where the difference is 0.
    dx, dy = _differences(image, wrap)
    return (dx * jnp.sign(dx)).sum() + (dy * jnp.sign(dy)).sum()


def _l2(image: Image, wrap: bool) -> Scalar:
    dx, dy = _differences(image, wrap)
    return jnp.square(dx).sum() + jnp.square(dy).sum()


def _isotropic(image: Image, wrap: bool) -> Scalar:
    dx, dy = _differences(image, wrap)
    if not wrap:
        dx, dy = dx[:-1], dy[:, :-1]
    return jnp.power(jnp.square(dx) + jnp.square(dy), 1.25).sum()


VARIATIONS: dict[str, Variation] = {
    "l1": _l1,
    "l2": _l2,
    "isotropic^1.25": _isotropic,
    "nine-point": _nine_point,
}
"""Kinds of total variation by name."""


def total_variation(image: Image, kind: str | Variation = "l2", *, wrap: bool = False) -> Scalar:
    """Returns the total variation of an image, summed, not divided by its size.

    ``l1``: ``Σ |Δx| + |Δy|``; ``l2``: ``Σ Δx² + Δy²`` (Rudin, Osher & Fatemi 1992; Mahendran &
    Vedaldi 2015, arXiv:1412.0035, eq. 5 with β = 2); ``isotropic^1.25``: ``Σ (Δx² + Δy²)^1.25``,
    the same equation with β = 2.5, as in the Keras example; ``nine-point``: ``2hwc (axial / 3 +
    diagonal / 12)`` with mean squared differences to all eight neighbours, as in K. Crowson's
    style-transfer-pytorch. Derivatives are exact in forward and reverse mode.

    Args:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        kind: Name of a kind, or a custom function.
        wrap: Whether opposite borders are neighbours.

    Raises:
        InputError: The kind is unknown.

    Examples:
        >>> import jax.numpy as jnp
        >>> step = jnp.eye(2)[..., None] * jnp.ones(3)
        >>> [round(float(total_variation(step, kind)), 3) for kind in ("l1", "l2")]
        [12.0, 12.0]
    """
    return choose("tv", kind, VARIATIONS)(image, wrap)
