"""Rows that a device gets from its neighbours. Within ``shard_map``."""

import dataclasses

import jax
import jax.numpy as jnp

from jaxstyle.arrays import Feature, Image
from jaxstyle.encoder.vgg import Border, Padding, block_of
from jaxstyle.evaluate.mesh import AXIS, Rows


@dataclasses.dataclass(frozen=True)
class Neighbours(Border):
    """The border of a device's rows: before each convolution, a row from either neighbour.

    So every feature is computed once, and features never leave their device.

    Attributes:
        rows: How the image's rows are spread over the devices.
    """

    rows: Rows | None = None

    def surround(self, x: Feature, layer: str, padding: Padding) -> tuple[Feature, bool]:
        """Returns a device's rows with the rows above and below that the padding puts there.

        Args:
            x: ``f32[share, w, c]``, the rows of this device.
            layer: The convolution.
            padding: What surrounds the whole map.

        Returns:
            ``f32[share + 2, w, c]``.
        """
        assert self.rows is not None  # a default only because the base class has one
        rows = self.rows.at(block_of(layer) - 1)
        last = len(rows.mesh) - 1
        above, below = jnp.zeros_like(x[-1:]), jnp.zeros_like(x[:1])
        if last:  # A device without a neighbour receives zeros.
            above = jax.lax.ppermute(x[-1:], AXIS, [(i, i + 1) for i in range(last)])
            below = jax.lax.ppermute(x[:1], AXIS, [(i + 1, i) for i in range(last)])
        y = jnp.concatenate([above, x, below])
        if padding == "zeros" and rows.full:
            return y, True
        start = jax.lax.axis_index(AXIS) * rows.share - 1
        index = (start + jnp.arange(rows.share + 2))[:, None, None]
        if padding == "zeros":
            return jnp.where(index < rows.height, y, 0), True
        first, final = y[1:2], _row(y, rows.height - 1 - start)
        if padding == "circular":
            first, final = _broadcast(first, start < 0), _broadcast(final, _has_last(start, rows))
            first, final = final, first
        return _replace(y, index, first, final, rows), True


def reach_over(x: Image, above: int, below: int, rows: Rows) -> Image:
    """Returns a device's rows with the last rows from above and the first rows from below.

    Args:
        x: ``f32[share, w, c]``, the rows of this device.
        above: Number of rows, at most as many as a device has; zeros where there are none.
        below: Number of rows, at most as many as a device has.
        rows: How the rows are spread over the devices.
    """
    last, end = len(rows.mesh) - 1, x.shape[0]
    if not last:
        return jnp.pad(x, ((above, below), (0, 0), (0, 0)))
    top = jax.lax.ppermute(x[end - above :], AXIS, [(i, i + 1) for i in range(last)])
    bottom = jax.lax.ppermute(x[:below], AXIS, [(i + 1, i) for i in range(last)])
    return jnp.concatenate([top, x, bottom])


def counting(rows: Rows, width: int) -> jax.Array | None:
    """Returns which positions of a device count, ``f32[share, w]``; None if all do."""
    if rows.full:
        return None
    index = jax.lax.axis_index(AXIS) * rows.share + jnp.arange(rows.share)
    return jnp.broadcast_to(jnp.where(index < rows.height, 1.0, 0.0)[:, None], (rows.share, width))


def _replace(y: Feature, index: jax.Array, above: Feature, below: Feature, rows: Rows) -> Feature:
    """Returns rows with those outside the map replaced."""
    top = jnp.where(index[:1] < 0, above, y[:1])
    if not rows.full:
        return jnp.concatenate([top, jnp.where(index[1:] < rows.height, y[1:], below)])
    bottom = jnp.where(index[-1:] < rows.height, y[-1:], below)
    return jnp.concatenate([top, y[1:-1], bottom])


def _row(y: Feature, index: jax.Array) -> Feature:
    return jax.lax.dynamic_slice_in_dim(y, jnp.clip(index, 0, y.shape[0] - 1), 1)


def _has_last(start: jax.Array, rows: Rows) -> jax.Array:
    """Returns whether this device has the map's last row."""
    own = rows.height - 1 - start
    return (own >= 1) & (own <= rows.share)


def _broadcast(row: Feature, here: jax.Array) -> Feature:
    """Returns the row of the one device that has it, on all devices."""
    return jax.lax.psum(jnp.where(here, row, 0), AXIS)
