"""The rows around a device's share of a feature map, from its neighbours. Within ``shard_map``."""

import jax
import jax.numpy as jnp

from jaxstyle.arrays import Feature, Image
from jaxstyle.encoder.vgg import Padding
from jaxstyle.large.mesh import AXIS, Rows


def surround(x: Feature, padding: Padding, rows: Rows) -> Feature:
    """Returns a share with the rows above and below that a convolution's padding wants there.

    Args:
        x: ``f32[share, w, c]``, the rows of this device.
        padding: What surrounds the whole map.
        rows: How the map's rows are shared out.

    Returns:
        ``f32[share + 2, w, c]``.
    """
    last = len(rows.mesh) - 1
    above, below = jnp.zeros_like(x[-1:]), jnp.zeros_like(x[:1])
    if last:  # What has no neighbour receives zeros.
        above = jax.lax.ppermute(x[-1:], AXIS, [(i, i + 1) for i in range(last)])
        below = jax.lax.ppermute(x[:1], AXIS, [(i + 1, i) for i in range(last)])
    if padding == "zeros" and rows.full:
        return jnp.concatenate([above, x, below])
    y = jnp.concatenate([above, x, below])
    start = jax.lax.axis_index(AXIS) * rows.share - 1
    index = (start + jnp.arange(rows.share + 2))[:, None, None]
    if padding == "zeros":
        return jnp.where(index < rows.height, y, 0)
    first, final = y[1:2], _row(y, rows.height - 1 - start)
    if padding == "circular":
        first, final = _everywhere(first, start < 0), _everywhere(final, _holds(start, rows))
        first, final = final, first
    return _replace(y, index, first, final, rows)


def reach_over(x: Image, above: int, below: int, rows: Rows) -> Image:
    """Returns a share with the last rows of the one above and the first of the one below.

    Args:
        x: ``f32[share, w, c]``, the rows of this device.
        above: Number of rows, no more than a share has; zeros where there are none.
        below: Likewise.
        rows: How the rows are shared out.
    """
    last, end = len(rows.mesh) - 1, x.shape[0]
    if not last:
        return jnp.pad(x, ((above, below), (0, 0), (0, 0)))
    top = jax.lax.ppermute(x[end - above :], AXIS, [(i, i + 1) for i in range(last)])
    bottom = jax.lax.ppermute(x[:below], AXIS, [(i + 1, i) for i in range(last)])
    return jnp.concatenate([top, x, bottom])


def _replace(y: Feature, index: jax.Array, above: Feature, below: Feature, rows: Rows) -> Feature:
    """Returns rows of which those outside the map are replaced."""
    top = jnp.where(index[:1] < 0, above, y[:1])
    if not rows.full:
        return jnp.concatenate([top, jnp.where(index[1:] < rows.height, y[1:], below)])
    bottom = jnp.where(index[-1:] < rows.height, y[-1:], below)
    return jnp.concatenate([top, y[1:-1], bottom])


def _row(y: Feature, index: jax.Array) -> Feature:
    return jax.lax.dynamic_slice_in_dim(y, jnp.clip(index, 0, y.shape[0] - 1), 1)


def _holds(start: jax.Array, rows: Rows) -> jax.Array:
    """Returns whether the map's last row is one of this device's own."""
    own = rows.height - 1 - start
    return (own >= 1) & (own <= rows.share)


def _everywhere(row: Feature, mine: jax.Array) -> Feature:
    """Returns the row of the one device whose it is, on all."""
    return jax.lax.psum(jnp.where(mine, row, 0), AXIS)


def counting(rows: Rows, width: int) -> jax.Array | None:
    """Returns which positions of a share count, ``f32[share, w]``; None if all do."""
    if rows.full:
        return None
    index = jax.lax.axis_index(AXIS) * rows.share + jnp.arange(rows.share)
    return jnp.broadcast_to(jnp.where(index < rows.height, 1.0, 0.0)[:, None], (rows.share, width))
