"""Perceptual distances between pictures, as pure functions on an encoder's features.

Each takes an image and a reference, returns a number ≥ 0, which is 0 for equal pictures, and
works under ``jax.jit``, ``jax.grad`` and ``jax.vmap``. Derivatives in reverse mode are exact, with
respect to both pictures, the encoder's parameters and the calibration.

``lpips`` and ``dists`` use the published calibrations, from :func:`jaxstyle.load_calibration`, and
reject an encoder to which these were not fitted. ``lpips_uncalibrated`` and ``dists_uncalibrated``
have the same form for any encoder, without human judgements. Their values are not LPIPS or DISTS
values and can only be compared with each other.
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
