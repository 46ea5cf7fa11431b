"""Colours of one image made those of another. Pure; images in sRGB, taken as plain numbers."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.arrays import Image

# Of the variance, relative to a full range of 1: a flat image has no covariance to divide by.
_REGULARISATION = 1e-6


def _moments(image: Image) -> tuple[Float[Array, "3"], Float[Array, "3 3"]]:
    pixels = image.reshape(-1, 3)
    mean = pixels.mean(0)
    centred = pixels - mean
    return mean, centred.T @ centred / len(pixels) + _REGULARISATION * jnp.eye(3, dtype=image.dtype)


def _power(matrix: Float[Array, "3 3"], exponent: float) -> Float[Array, "3 3"]:
    values, vectors = jnp.linalg.eigh(matrix)
    # Rounding may turn the smallest ones negative.
    values = jnp.maximum(values, 1e-7 * values[-1])
    return (vectors * values**exponent) @ vectors.T


def match_colour(image: Image, reference: Image) -> Image:
    """Gives an image the colour mean and covariance of another, moving colours least.

    ``x ↦ T (x − μ) + μᵣ`` with ``T = Σ^−½ (Σ^½ Σᵣ Σ^½)^½ Σ^−½``, the optimal transport between the
    two normal distributions (Pitié & Kokaram 2007, "The linear Monge-Kantorovitch linear colour
    mapping for example-based colour transfer"; Gatys et al. 2016, arXiv:1606.05897, for its use).

    Args:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        reference: ``f32[h', w', 3]``, sRGB in [0, 1].

    Returns:
        ``f32[h, w, 3]``, not clipped: clipping would spoil the moments.

    Examples:
        >>> import jax
        >>> a, b = jax.random.uniform(jax.random.key(0), (2, 32, 32, 3))
        >>> bool(jnp.allclose(match_colour(a, b / 2).mean((0, 1)), b.mean((0, 1)) / 2, atol=1e-4))
        True
    """
    mean, covariance = _moments(image)
    wanted_mean, wanted_covariance = _moments(reference)
    root, inverse_root = _power(covariance, 0.5), _power(covariance, -0.5)
    transport = inverse_root @ _power(root @ wanted_covariance @ root, 0.5) @ inverse_root
    return (image - mean) @ transport.T + wanted_mean
