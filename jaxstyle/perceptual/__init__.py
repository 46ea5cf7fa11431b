"""Perceptual distances between pictures, as pure functions on an encoder's features.

Each takes an image and a reference, returns a number ≥ 0 that is 0 for a picture and itself, and
works under ``jax.jit``, ``jax.grad`` and ``jax.vmap``. Derivatives in reverse mode are exact, for
both pictures, the encoder's parameters and the calibration.

``lpips`` and ``dists`` take the published numbers, from :func:`jaxstyle.load_calibration`, and
refuse an encoder that these were not fitted to. ``lpips_uncalibrated`` and ``dists_uncalibrated``
have the same form on any encoder, without a judgement of people's in it: their values are no LPIPS
and no DISTS, and only to be compared with each other.
"""

from jaxstyle.perceptual.calibration import (
    VGG16_TORCH,
    DistsCalibration,
    FittedTo,
    LpipsCalibration,
)
from jaxstyle.perceptual.learned import (
    LAYERS,
    dists,
    dists_uncalibrated,
    lpips,
    lpips_uncalibrated,
)
from jaxstyle.perceptual.relative import content_distance, style_distance

__all__ = [
    "LAYERS",
    "VGG16_TORCH",
    "DistsCalibration",
    "FittedTo",
    "LpipsCalibration",
    "content_distance",
    "dists",
    "dists_uncalibrated",
    "lpips",
    "lpips_uncalibrated",
    "style_distance",
]
