"""Transfer and preservation of colours. Pure; computed on the sRGB values as they are."""

from collections.abc import Sequence
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.arrays import Image
from jaxstyle.errors import check_choice

Colour = Literal["style", "content", "luminance", "match"]
"""Where the colours of the result come from; see :func:`recolour`."""

# Y of YIQ for red, green and blue (NTSC 1953, Rec. 601). They add up to 1, so grey stays grey.
_LUMINANCE = (0.299, 0.587, 0.114)
# Added to variances (the range of values is 1): the covariance of a flat image is singular.
_REGULARISATION = 1e-6


def _moments(image: Image) -> tuple[Float[Array, "3"], Float[Array, "3 3"]]:
    pixels = image.reshape(-1, 3)
    mean = pixels.mean(0)
    centred = pixels - mean
    return mean, centred.T @ centred / len(pixels) + _REGULARISATION * jnp.eye(3, dtype=image.dtype)


def _power(matrix: Float[Array, "3 3"], exponent: float) -> Float[Array, "3 3"]:
    values, vectors = jnp.linalg.eigh(matrix)
    # Rounding can make the smallest eigenvalues negative.
    values = jnp.maximum(values, 1e-7 * values[-1])
    return (vectors * values**exponent) @ vectors.T


def match_colour(image: Image, reference: Image) -> Image:
    """Matches the colour mean and covariance of an image to another's, changing colours least.

    ``x ↦ T (x − μ) + μᵣ`` with ``T = Σ^−½ (Σ^½ Σᵣ Σ^½)^½ Σ^−½``, the optimal transport between the
    two normal distributions (Pitié & Kokaram 2007, "The linear Monge-Kantorovitch linear colour
    mapping for example-based colour transfer"; Gatys et al. 2016, arXiv:1606.05897, for its use).

    Args:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        reference: ``f32[h', w', 3]``, sRGB in [0, 1].

    Returns:
        ``f32[h, w, 3]``, not clipped, because clipping would change the moments.

    Examples:
        >>> a, b = jax.random.uniform(jax.random.key(0), (2, 32, 32, 3))
        >>> bool(jnp.allclose(match_colour(a, b / 2).mean((0, 1)), b.mean((0, 1)) / 2, atol=1e-4))
        True
    """
    # Full float32, because the inverse root magnifies errors of reduced precision.
    with jax.default_matmul_precision("highest"):
        mean, covariance = _moments(image)
        reference_mean, reference_covariance = _moments(reference)
        root, inverse_root = _power(covariance, 0.5), _power(covariance, -0.5)
        transport = inverse_root @ _power(root @ reference_covariance @ root, 0.5) @ inverse_root
        return (image - mean) @ transport.T + reference_mean


def _match_channel(values: Float[Array, " n"], reference: Float[Array, " m"]) -> Float[Array, " n"]:
    ordered, wanted = jnp.sort(values), jnp.sort(reference)
    below = jnp.searchsorted(ordered, values, side="left")
    not_above = jnp.searchsorted(ordered, values, side="right")
    # A rank, not divided by n, because float32 represents it exactly up to 8 million pixels.
    position = (below + not_above) / 2 * (len(wanted) / len(ordered)) - 0.5
    position = jnp.clip(position, 0.0, len(wanted) - 1.0)
    lower = jnp.floor(position).astype(jnp.int32)
    upper = jnp.minimum(lower + 1, len(wanted) - 1)
    return wanted[lower] + (position - lower) * (wanted[upper] - wanted[lower])


def match_histogram(image: Image, reference: Image) -> Image:
    """Matches the histogram of each channel of an image to another's.

    ``x ↦ Q(F(x))`` per channel, with ``F(x) = (#{p < x} + #{p ≤ x}) / 2n`` counted over the n
    pixels of the image. Q interpolates linearly between the points ``((j + ½)/m, r_j)``, where
    ``r_0 ≤ … ≤ r_{m−1}`` are the sorted values of the reference, and is constant beyond them
    (Gonzalez & Woods, "Digital Image Processing", histogram matching). If n = m and all values are
    distinct, the i-th smallest value becomes the i-th smallest of the reference. Equal values stay
    equal, so flat areas stay flat, and the histogram of an image with many equal values matches the
    reference only approximately.

    Args:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        reference: ``f32[h', w', 3]``, sRGB in [0, 1].

    Returns:
        ``f32[h, w, 3]``, within the range of the reference.

    Examples:
        >>> ramp = jnp.linspace(0, 1, 16).reshape(4, 4, 1) * jnp.ones(3)
        >>> bool(jnp.allclose(match_histogram(ramp[::-1], ramp**2), ramp[::-1] ** 2))
        True
    """
    pixels, wanted = image.reshape(-1, 3), reference.reshape(-1, 3)
    return jax.vmap(_match_channel, in_axes=1, out_axes=1)(pixels, wanted).reshape(image.shape)


def luminance(image: Image) -> Image:
    """Returns the luminance of an image as a grey image.

    ``Y = 0.299 R + 0.587 G + 0.114 B`` in all three channels: the Y of YIQ and of Rec. 601,
    computed from the sRGB values as they are.

    Args:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].

    Examples:
        >>> luminance(jnp.array([[[1.0, 0.0, 0.0]]]))
        Array([[[0.299, 0.299, 0.299]]], dtype=float32)
    """
    weights = jnp.asarray(_LUMINANCE, image.dtype)
    return jnp.broadcast_to((image * weights).sum(-1, keepdims=True), image.shape)


def match_luminance(image: Image, reference: Image) -> Image:
    """Matches the mean and standard deviation of an image's luminance to another's.

    ``Y ↦ (Y − μ) σᵣ/σ + μᵣ`` (Gatys et al. 2016, arXiv:1606.05897, luminance-only transfer).

    Args:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        reference: ``f32[h', w', 3]``, sRGB in [0, 1].

    Returns:
        ``f32[h, w, 3]``, grey, not clipped, because clipping would change the moments.

    Examples:
        >>> a, b = jax.random.uniform(jax.random.key(0), (2, 32, 32, 3))
        >>> bool(jnp.isclose(match_luminance(a, b / 2).std(), luminance(b / 2).std(), atol=1e-4))
        True
    """
    image, reference = luminance(image), luminance(reference)
    variances = jnp.stack([reference.var(), image.var()]) + _REGULARISATION
    return (image - image.mean()) * jnp.sqrt(variances[0] / variances[1]) + reference.mean()


def with_luminance(
    image: Float[Array, "h w 3"], reference: Float[Array, "h w 3"]
) -> Float[Array, "h w 3"]:
    """Combines the chroma of an image with the luminance of another.

    ``x + Y(reference) − Y(x)``, the same difference in all three channels. With ``I = 0.74 (R − Y)
    − 0.27 (B − Y)`` and ``Q = 0.48 (R − Y) + 0.41 (B − Y)``, adding one number to all channels adds
    it to Y and leaves I and Q unchanged, so the result has the image's I and Q and the reference's
    Y (Gatys et al. 2016, arXiv:1606.05897, luminance-only transfer).

    Args:
        image: Source of the chroma, ``f32[h, w, 3]``, sRGB in [0, 1].
        reference: Source of the luminance, ``f32[h, w, 3]``, sRGB in [0, 1].

    Returns:
        ``f32[h, w, 3]``, not clipped, because clipping would change both.

    Examples:
        >>> a, b = jax.random.uniform(jax.random.key(0), (2, 8, 8, 3))
        >>> bool(jnp.allclose(luminance(with_luminance(a, b)), luminance(b), atol=1e-6))
        True
    """
    return image + luminance(reference) - luminance(image)


def _into_gamut(image: Image) -> Image:
    """Moves each colour towards the grey of its luminance just far enough to lie in [0, 1]."""
    grey = luminance(image)
    chroma = image - grey
    grey = jnp.clip(grey, 0.0, 1.0)
    room = jnp.where(chroma > 0, 1 - grey, grey)
    factor = (room / jnp.maximum(jnp.abs(chroma), 1e-6)).min(-1, keepdims=True)
    # This clips rounding errors only.
    return jnp.clip(grey + jnp.minimum(factor, 1.0) * chroma, 0.0, 1.0)


def recolour(
    mode: Colour, content: Image, styles: Sequence[Image]
) -> tuple[Image, tuple[Image, ...]]:
    """Prepares the colours of content and styles for a run; see also :func:`restore`.

    Args:
        mode: ``style`` changes nothing: the result takes the colours of the styles. The other modes
            preserve the colours of the content: ``content`` applies :func:`match_colour` and
            ``match`` applies :func:`match_histogram` to every style, with the content as reference;
            ``luminance`` makes all images grey: the :func:`luminance` of the content, and
            :func:`match_luminance` of every style to it.
        content: ``f32[h, w, 3]``, sRGB in [0, 1].
        styles: Each ``f32[h', w', 3]``, sRGB in [0, 1], of any size.

    Returns:
        Content and styles with their sizes unchanged, clipped to [0, 1], because the result of a
        run cannot have colours outside this range.

    Raises:
        InputError: The mode is unknown.

    Examples:
        >>> content, style = jax.random.uniform(jax.random.key(0), (2, 16, 16, 3))
        >>> _, (matched,) = recolour("match", content, [style])
        >>> bool(jnp.allclose(matched.mean((0, 1)), content.mean((0, 1)), atol=1e-3))
        True
    """
    check_choice("colour", mode, get_args(Colour))
    if mode == "style":
        return content, tuple(styles)
    match = {
        "content": match_colour,
        "luminance": match_luminance,
        "match": match_histogram,
    }[mode]
    matched = tuple(jnp.clip(match(style, content), 0.0, 1.0) for style in styles)
    return jnp.clip(luminance(content), 0.0, 1.0) if mode == "luminance" else content, matched


def restore(
    mode: Colour, image: Float[Array, "h w 3"], content: Float[Array, "h w 3"]
) -> Float[Array, "h w 3"]:
    """Restores the colours of the result of a run on images from :func:`recolour`.

    Changes the image in the mode ``luminance`` only, by :func:`with_luminance` of the content and
    the image. Where the colour would leave [0, 1], its chroma is scaled down just far enough. This
    departs from the paper: clipping would brighten dark strokes over saturated colours.

    Args:
        mode: The mode given to :func:`recolour`.
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        content: The original content, ``f32[h, w, 3]``, sRGB in [0, 1], resized to the size of the
            image.

    Returns:
        ``f32[h, w, 3]``, in [0, 1] if the image is.

    Raises:
        InputError: The mode is unknown.

    Examples:
        >>> content, image = jax.random.uniform(jax.random.key(0), (2, 16, 16, 3))
        >>> restored = restore("luminance", image, content)
        >>> bool(jnp.allclose(luminance(restored), luminance(image), atol=1e-6))
        True
    """
    check_choice("colour", mode, get_args(Colour))
    return _into_gamut(with_luminance(content, image)) if mode == "luminance" else image
