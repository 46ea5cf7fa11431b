"""Pictures in one pass, as pure functions for ``jit``, ``vmap`` and reverse-mode derivatives."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.arrays import Image
from jaxstyle.compilation import jit
from jaxstyle.instant.networks import StyleNetwork, Transformer
from jaxstyle.instant.parameters import InstantParams
from jaxstyle.ops import resize

SIDE = 256
"""Height and width of the squares that the network sees: the size with which it was trained."""

Vector = Float[Array, "100"]


def style_vector(style: Image, params: InstantParams) -> Vector:
    """Returns the style vector of a painting.

    The network sees squares. A longer painting is covered with as few squares of its shorter side
    as possible, and the vector is the mean of theirs, so that no stroke is distorted.

    Args:
        style: ``f32[h, w, 3]``, sRGB in [0, 1], of any size.
        params: Parameters from :func:`load_instant`.

    Examples:
        >>> import jaxstyle as js
        >>> style_vector(js.load_style("starry-night"), js.instant.load_instant()).shape
        (100,)
    """
    squares = (resize.resize(square, (SIDE, SIDE)) for square in _squares(style))
    return jnp.stack([_vector(square, params.style) for square in squares]).mean(0)


def _squares(style: Image) -> Iterator[Image]:
    """Yields squares that cover a painting, at equal distances."""
    height, width = resize.shape_of(style)
    side, longer = min(height, width), max(height, width)
    last = math.ceil(longer / side) - 1
    for i in range(last + 1):
        start = i * (longer - side) // max(last, 1)
        top, left = (start, 0) if height > width else (0, start)
        yield style[top : top + side, left : left + side]


@jit()
def _vector(image: Image, params: Any) -> Vector:
    return StyleNetwork().apply({"params": params}, image[None])  # pyright: ignore[reportReturnType]


@jit()
def transform(content: Image, vector: Vector, params: InstantParams) -> Image:
    """Returns a photograph in the style of a style vector.

    Args:
        content: ``f32[h, w, 3]``, sRGB in [0, 1], of the size of the result.
        vector: A style vector from :func:`style_vector`, or a weighted mean of several.
        params: Parameters from :func:`load_instant`.

    Returns:
        ``f32[h, w, 3]``, sRGB in [0, 1].

    Examples:
        >>> import jaxstyle as js
        >>> params = js.instant.load_instant()
        >>> vector = style_vector(js.load_style("starry-night"), params)
        >>> transform(js.load_style("coffee", size=96), vector, params).shape
        (64, 96, 3)
    """
    return Transformer().apply({"params": params.transformer}, content[None], vector)[0]  # pyright: ignore[reportIndexIssue, reportReturnType]


def apply(
    content: Image,
    styles: Sequence[Image],
    params: InstantParams,
    *,
    blend: Sequence[float] | Float[Array, "_"] | None = None,
    strength: float | Float[Array, ""] = 1.0,
) -> Image:
    """Paints a photograph in the style of one or several paintings, in one pass.

    The style vector is λ · Σ wᵢ sᵢ / Σ wᵢ + (1 − λ) · s₀, where s₀ is that of the photograph
    (Ghiasi et al. 2017, arXiv:1705.06830).

    Args:
        content: ``f32[h, w, 3]``, sRGB in [0, 1], of the size of the result.
        styles: Paintings, each ``f32[h', w', 3]``, of any size.
        params: Parameters from :func:`load_instant`.
        blend: Weight wᵢ ≥ 0 of each painting; None for equal weights.
        strength: λ: 0 for the style of the photograph itself, 1 for that of the paintings; more
            exaggerates.

    Returns:
        ``f32[h, w, 3]``, sRGB in [0, 1].

    Examples:
        >>> import jaxstyle as js
        >>> content = js.load_style("coffee", size=96)
        >>> styles = [js.load_style("starry-night"), js.load_style("great-wave")]
        >>> params = js.instant.load_instant()
        >>> apply(content, styles, params, blend=[3.0, 1.0], strength=0.8).shape
        (64, 96, 3)
    """
    vectors = jnp.stack([style_vector(style, params) for style in styles])
    weights = jnp.ones(len(vectors)) if blend is None else jnp.asarray(blend, jnp.float32)
    painted, own = weights @ vectors / weights.sum(), style_vector(content, params)
    return transform(content, strength * painted + (1 - strength) * own, params)
