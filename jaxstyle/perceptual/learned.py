"""LPIPS and DISTS, with and without a calibration."""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.arrays import Feature, Features, Image, Scalar
from jaxstyle.configuration import configured
from jaxstyle.encoder import IMAGE, Encoder
from jaxstyle.perceptual.calibration import DistsCalibration, LpipsCalibration
from jaxstyle.perceptual.pair import features_of_both

LAYERS = ("conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3")
"""Layers of VGG-16 that LPIPS and DISTS compare: the last of each block."""

_NOT_ZERO = 1e-10  # added to the lengths of features in LPIPS
_STABLE = 1e-6  # added to numerators and denominators in DISTS

Channels: TypeAlias = Float[Array, "_"]


@configured
def lpips(
    image: Image, reference: Image, encoder: Encoder, calibration: LpipsCalibration
) -> Scalar:
    """Returns LPIPS, the learned perceptual image patch similarity (smaller is more similar).

    ``Σ_l 1/(h_l w_l) Σ_p Σ_c w_lc (x̂_lpc − ŷ_lpc)²`` with features of unit length, ``x̂ = x / ‖x‖``
    at each position (Zhang et al. 2018, arXiv:1801.03924, eq. 1, version 0.1, ``net="vgg"``).

    Args:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        reference: ``f32[h, w, 3]``, sRGB in [0, 1].
        encoder: ``load_encoder("vgg16-torch", padding="zeros")``.
        calibration: The published ``w``, ``load_calibration("lpips")``, or a custom calibration.

    Raises:
        InputError: A picture is invalid, the sizes differ, or the calibration was not fitted to the
            encoder.

    Examples:
        >>> import jax, jaxstyle as js
        >>> a, b = jax.random.uniform(jax.random.key(0), (2, 32, 32, 3))
        >>> own = js.perceptual.LpipsCalibration(channels={"conv1_2": jax.numpy.ones(16)})
        >>> bool(js.perceptual.lpips(a, b, js.load_encoder("random"), own) > 0)
        True
    """
    if calibration.fitted_to:
        calibration.fitted_to.check(encoder)
    layers = tuple(calibration.channels)
    return _lpips(*features_of_both(image, reference, encoder, layers), calibration.channels)


@configured
def lpips_uncalibrated(
    image: Image, reference: Image, encoder: Encoder, layers: Iterable[str] = LAYERS
) -> Scalar:
    """Returns the distance of LPIPS with all weights 1, which is not an LPIPS value.

    Works with any encoder; otherwise like :func:`lpips`.

    Args:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        reference: ``f32[h, w, 3]``, sRGB in [0, 1].
        encoder: Network and pretrained parameters.
        layers: Layers of the encoder; by default the last of each block of VGG-16.

    Raises:
        InputError: A picture is invalid, the sizes differ, or a layer is unknown.
    """
    x, y = features_of_both(image, reference, encoder, tuple(layers))
    return _lpips(x, y, {name: jnp.ones(f.shape[-1], f.dtype) for name, f in x.items()})


@configured
def dists(
    image: Image, reference: Image, encoder: Encoder, calibration: DistsCalibration
) -> Scalar:
    """Returns DISTS, the deep image structure and texture similarity (smaller is more similar).

    ``1 − Σ_l Σ_c (α l(x, y) + β s(x, y))`` with ``l = (2 μ_x μ_y + ε) / (μ_x² + μ_y² + ε)`` of
    means over positions and ``s = (2 σ_xy + ε) / (σ_x² + σ_y² + ε)`` of covariances, on the image
    and the features of a VGG with the pooling :func:`jaxstyle.ops.pooling.hanning_pool`
    (Ding et al. 2020, arXiv:2004.07728). Different parts of one texture are similar.

    Args:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        reference: ``f32[h, w, 3]``, sRGB in [0, 1].
        encoder: ``load_encoder("vgg16-torch", padding="zeros")``.
        calibration: The published ``α`` and ``β``, ``load_calibration("dists")``, or a custom
            calibration.

    Raises:
        InputError: A picture is invalid, the sizes differ, or the calibration was not fitted to the
            encoder.

    Examples:
        >>> import jax, jaxstyle as js
        >>> a, b = jax.random.uniform(jax.random.key(0), (2, 32, 32, 3))
        >>> ones = {"image": jax.numpy.ones(3), "conv1_2": jax.numpy.ones(16)}
        >>> own = js.perceptual.DistsCalibration(texture=ones, structure=ones)
        >>> bool(js.perceptual.dists(a, b, js.load_encoder("random"), own) > 0)
        True
    """
    if calibration.fitted_to:
        calibration.fitted_to.check(encoder)
    texture, structure = calibration.texture, calibration.structure
    x, y = features_of_both(image, reference, encoder, tuple(texture), smooth=True)
    total = _sum(jnp.sum(a) for a in jax.tree.leaves((texture, structure)))
    return _dists(x, y, texture, structure) / total


@configured
def dists_uncalibrated(
    image: Image, reference: Image, encoder: Encoder, layers: Iterable[str] = (IMAGE, *LAYERS)
) -> Scalar:
    """Returns the distance of DISTS with equal weights of layers, which is not a DISTS value.

    The channels of a layer also have equal weights. Works with any encoder: a VGG is pooled as in
    :func:`dists`, other encoders use their own pooling.

    Args:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        reference: ``f32[h, w, 3]``, sRGB in [0, 1].
        encoder: Network and pretrained parameters.
        layers: Layers of the encoder, and ``image`` for the pixels.

    Raises:
        InputError: A picture is invalid, the sizes differ, or a layer is unknown.
    """
    x, y = features_of_both(image, reference, encoder, tuple(layers), smooth=True)
    alike = {name: jnp.full(f.shape[-1], 0.5 / f.shape[-1], f.dtype) for name, f in x.items()}
    return _dists(x, y, alike, alike) / max(len(x), 1)


def _sum(terms: Iterable[Scalar]) -> Scalar:
    return sum(terms, jnp.zeros(()))


def _lpips(x: Features, y: Features, channels: Mapping[str, Channels]) -> Scalar:
    differences = {name: jnp.square(_normalised(x[name]) - _normalised(y[name])) for name in x}
    return _sum((d.mean((0, 1)) * channels[n]).sum() for n, d in differences.items())


def _normalised(feature: Feature) -> Feature:
    # The root is not differentiable at zero, and the ReLU leaves only zeros at some positions.
    squares = jnp.square(feature).sum(-1, keepdims=True)
    lengths = jnp.sqrt(jnp.where(squares > 0, squares, 1.0))
    return feature / (jnp.where(squares > 0, lengths, 0.0) + _NOT_ZERO)


def _dists(
    x: Features, y: Features, texture: Mapping[str, Channels], structure: Mapping[str, Channels]
) -> Scalar:
    return _sum(
        (texture[n] * _texture(x[n], y[n]) + structure[n] * _structure(x[n], y[n])).sum() for n in x
    )


# One minus the fractions of the publication, without cancellation where they are near 1.
def _texture(x: Feature, y: Feature) -> Channels:
    a, b = x.mean((0, 1)), y.mean((0, 1))
    return jnp.square(a - b) / (jnp.square(a) + jnp.square(b) + _STABLE)


def _structure(x: Feature, y: Feature) -> Channels:
    a, b = x - x.mean((0, 1)), y - y.mean((0, 1))
    between, own = jnp.square(a - b), jnp.square(a) + jnp.square(b)
    return between.mean((0, 1)) / (own.mean((0, 1)) + _STABLE)
