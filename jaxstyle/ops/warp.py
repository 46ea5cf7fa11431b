"""Warping of images along an optical flow, and where a flow can be trusted."""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.compilation import jit
from jaxstyle.errors import check_choice

Method = Literal["linear", "spline"]

_REACH = {"linear": 1, "spline": 2}
# Unser, Aldroubi & Eden 1993, "B-Spline Signal Processing": the pole of the filter that turns
# samples into the coefficients of a cubic spline, and the radius at which it has faded.
_POLE, _FADED = 3**0.5 - 2, 12
# Ruder, Dosovitskiy & Brox 2016, section 4.2: relative and absolute tolerances, in squared pixels.
_RELATIVE, _ABSOLUTE, _EDGE = 0.01, 0.5, 0.002
_SIGMA, _RADIUS = 0.8, 3


@jit(static_argnames=("method",))
def warp(
    image: Float[Array, "h w c"], flow: Float[Array, "h w 2"], *, method: Method = "spline"
) -> Float[Array, "h w c"]:
    """Warps an image along a flow: ``result(p) = image(p + flow(p))``.

    Differentiable with respect to both. Positions outside the image take its border.

    Args:
        image: ``f32[h, w, c]``.
        flow: ``f32[h, w, 2]``, in pixels, to the right and down.
        method: The interpolation: ``linear``, or by a cubic ``spline``, which blurs little when a
            film is warped again and again. (Lanczos kernels amplify some frequencies a little, and
            diverge then.)

    Raises:
        InputError: The method is unknown.

    Examples:
        >>> import jax.numpy as jnp
        >>> image = jnp.arange(6.0).reshape(2, 3, 1)
        >>> warp(image, jnp.full((2, 3, 2), jnp.array([1.0, 0.0])))[..., 0].tolist()
        [[1.0, 2.0, 2.0], [4.0, 5.0, 5.0]]
    """
    check_choice("method", method, get_args(Method))
    height, width, _ = image.shape
    reach = _REACH[method]
    taps = jnp.arange(1 - reach, reach + 1)
    columns, across = _weights(jnp.clip(jnp.arange(width) + flow[..., 0], 0, width - 1), taps)
    y = jnp.arange(height)[:, None] + flow[..., 1]
    rows, down = _weights(jnp.clip(y, 0, height - 1), taps)
    values = image if method == "linear" else _coefficients(image)
    # Samples beyond the border are those of the mirror image.
    values = jnp.pad(values, ((reach, reach), (reach, reach), (0, 0)), mode="symmetric")
    total = jnp.zeros_like(image)
    for i in range(len(taps)):
        line = jnp.zeros_like(image)
        for j in range(len(taps)):
            line += across[..., j, None] * values[rows[..., i] + reach, columns[..., j] + reach]
        total += down[..., i, None] * line
    return total


def _weights(position: Array, taps: Array) -> tuple[Array, Array]:
    """Returns the indices and the weights of the samples around a position along one axis."""
    base = jnp.floor(position)
    weights = _kernel(jnp.abs((position - base)[..., None] - taps), len(taps))
    return base.astype(jnp.int32)[..., None] + taps, weights


def _kernel(x: Array, taps: int) -> Array:
    """Returns the B-spline of degree 1 or 3 at distances."""
    if taps == 2:
        return jnp.maximum(0.0, 1 - x)
    return jnp.where(x < 1, 2 / 3 - x * x + x**3 / 2, jnp.maximum(0.0, 2 - x) ** 3 / 6)


def _coefficients(image: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
    """Returns the coefficients of the cubic spline through the values of an image."""
    return _filtered(image, _POLE ** jnp.abs(jnp.arange(-_FADED, _FADED + 1)), "symmetric")


def _filtered(x: Array, taps: Float[Array, "_"], mode: Literal["edge", "symmetric"]) -> Array:
    """Returns an image filtered along both axes by taps, which are scaled to the sum 1.

    Args:
        x: ``f32[h, w, ...]``.
        taps: An odd number of them.
        mode: How the image continues beyond its border, as in :func:`jax.numpy.pad`.
    """
    taps /= taps.sum()
    reach = len(taps) // 2
    for axis in (0, 1):
        size = x.shape[axis]
        widths = [(reach, reach) if i == axis else (0, 0) for i in range(x.ndim)]
        padded = jnp.pad(x, widths, mode=mode)
        x = sum(  # pyright: ignore
            tap * jax.lax.slice_in_dim(padded, i, i + size, axis=axis) for i, tap in enumerate(taps)
        )
    return x


@jit()
def consistency(
    forward: Float[Array, "h w 2"], backward: Float[Array, "h w 2"]
) -> Float[Array, "h w"]:
    """Returns where the later of two frames shows what the earlier one shows, in [0, 1].

    0 outside the earlier frame, where the flows contradict each other because something was hidden,
    and at the edges of moving things, where flows are least exact; then blurred a little.

    Ruder, Dosovitskiy & Brox 2016, "Artistic Style Transfer for Videos", section 4.2.

    Args:
        forward: Flow from the earlier frame to the later one, in pixels.
        backward: Flow from the later frame to the earlier one.

    Returns:
        A weight for each pixel of the later frame.

    Examples:
        >>> import jax.numpy as jnp
        >>> right = jnp.full((4, 6, 2), jnp.array([2.0, 0.0]))
        >>> consistency(right, -right)[0].round(1).tolist()
        [0.0, 0.3, 0.7, 1.0, 1.0, 1.0]
    """
    height, width, _ = backward.shape
    x = jnp.arange(width) + backward[..., 0]
    y = jnp.arange(height)[:, None] + backward[..., 1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    back = warp(forward, backward, method="linear")
    energy = _square(backward)
    hidden = _square(backward + back) >= _RELATIVE * (energy + _square(back)) + _ABSOLUTE
    steep = sum(_square(gradient) for gradient in jnp.gradient(backward, axis=(0, 1)))
    edge = steep > _RELATIVE * energy + _EDGE
    # Below 0, so that the blur makes hidden places larger.
    trust = jnp.where(hidden, -1.0, jnp.where(inside & ~edge, 1.0, 0.0))
    kernel = jnp.exp(-jnp.square(jnp.arange(-_RADIUS, _RADIUS + 1) / _SIGMA) / 2)
    return jnp.clip(_filtered(trust, kernel, "edge"), 0.0, 1.0)


def _square(flow: Float[Array, "h w 2"]) -> Float[Array, "h w"]:
    return jnp.square(flow).sum(-1)
