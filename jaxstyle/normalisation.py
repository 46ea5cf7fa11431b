"""What the terms of the loss are divided by: what one unit of a loss weight means.

The field's tools differ here more than anywhere else. Style distances are taken between statistics
per position; whoever sums instead, or divides by other numbers, scales features by some factor
``s``, and with them a distance of degree ``d`` by ``s^d``. With ``c`` channels, ``n`` positions of
the layer and ``m`` pixels of the image, and the squared difference of ``k = c^(d/2)`` numbers:

==============  ==================  ==============  ===================  =======
normalisation   content term        style features  style term           TV
==============  ==================  ==============  ===================  =======
energy          ``/ Σ‖p‖²``         as they are     ``/ energy``         mean
mean            mean                as they are     ``/ k``              mean
neural-style    mean                ``/ √c``        ``/ k``              sum
udacity         mean                ``· √n``        ``/ (k c n)``        mean
keras           sum                 ``· √(n/6m)``   as it is             sum
==============  ==================  ==============  ===================  =======

``energy`` is ours: scale-free, so that a weight means the same with every encoder, layer and size.
``mean`` is Gatys' and Crowson's, and ``keras`` the first paper's (Gatys et al. 2015,
arXiv:1508.06576, eqs. 1, 4), whose ``4c²m²`` with ``c = 3`` Keras and Surma keep for all layers.
"""

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.arrays import Scalar

Normalisation = Literal["energy", "mean", "neural-style", "udacity", "keras"]

# The least energy per element that a term is divided by: a flat picture may have none at all.
_FLOOR = 1e-6


def content_divisor(normalisation: Normalisation, energy: Scalar, size: int) -> Scalar:
    """Returns what a content layer's ``Σ‖f − p‖²`` is divided by.

    Args:
        normalisation: Which.
        energy: ``Σ‖p‖²``.
        size: Elements of the layer, positions × channels.
    """
    if normalisation == "energy":
        return jnp.maximum(energy, _FLOOR * size)
    return jnp.float32(1 if normalisation == "keras" else size)


def style_divisor(
    normalisation: Normalisation,
    *,
    degree: int,
    channels: int,
    positions: Scalar,
    pixels: Scalar,
    energy: Float[Array, "..."],
) -> Float[Array, "..."]:
    """Returns what a style layer's distance is divided by.

    Args:
        normalisation: Which.
        degree: Of the statistic.
        channels: Of the layer.
        positions: Of the layer.
        pixels: Of the image.
        energy: Of the target, or of several.
    """
    half = degree / 2
    numbers = jnp.float32(channels**half)
    if normalisation == "energy":
        return jnp.maximum(energy, _FLOOR * numbers)
    if normalisation == "neural-style":
        return numbers * channels**half
    if normalisation == "udacity":
        return numbers * channels * positions ** (1 - half)
    if normalisation == "keras":
        return (6 * pixels / positions) ** half
    return numbers


def tv_divisor(normalisation: Normalisation, size: int) -> int:
    """Returns what the total variation is divided by; ``size`` is pixels × channels."""
    return 1 if normalisation in ("neural-style", "keras") else size
