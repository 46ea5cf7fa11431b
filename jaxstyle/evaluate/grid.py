"""How an image is cut into windows of one shape, so that one program serves all of them.

Windows overlap. Each owns a part of the image and is surrounded by as much of it as the network
sees from there, so errors at a window's border are never counted. Windows at the border of the
image touch it. Everything lies on whole strides, so that pooling makes the same blocks in a window
as in the image.
"""

from typing import NamedTuple

import numpy as np

from jaxstyle.encoder.base import Field

Shape = tuple[int, int]


class Axis(NamedTuple):
    """The windows along one axis.

    Attributes:
        size: Length of the image.
        window: Length of each window.
        origins: Where each window begins, multiples of the stride, in an image with margins.
        owned: Where the owned part of each begins, and where that of the last one ends.
        margin: Pixels of the opposite end that are added on both sides of an image that wraps.
    """

    size: int
    window: int
    origins: tuple[int, ...]
    owned: tuple[int, ...]
    margin: int = 0


class Grid(NamedTuple):
    """The windows of an image: all pairs of windows along its axes."""

    rows: Axis
    columns: Axis

    @property
    def windows(self) -> int:
        """Number of windows."""
        return len(self.rows.origins) * len(self.columns.origins)

    @property
    def window(self) -> Shape:
        """Height and width of a window."""
        return self.rows.window, self.columns.window

    @property
    def table(self) -> np.ndarray:
        """Top, left, and first and end of the owned part on each axis, ``int32[windows, 6]``."""
        axes = [
            list(zip(axis.origins, axis.owned[:-1], axis.owned[1:], strict=True)) for axis in self
        ]
        rows = [(y, x, *own_y, *own_x) for y, *own_y in axes[0] for x, *own_x in axes[1]]
        return np.asarray(rows, np.int32)


def grid_of(shape: Shape, field: Field, side: int, *, wrap: bool = False) -> Grid:
    """Returns the windows that an image is computed in with the least work.

    Args:
        shape: Height and width of the image.
        field: From :func:`~jaxstyle.encoder.receptive.joint_field`.
        side: Pixels; a window has at most as many pixels as a square of this side, if possible.
        wrap: Whether opposite borders are neighbours.

    Examples:
        >>> grid = grid_of((2048, 2048), Field(16, 64), 1100)
        >>> grid.window, grid.rows.origins, grid.rows.owned
        ((1088, 1088), (0, 960), (0, 1024, 2048))
    """
    rows, columns = (axes_of(size, field, wrap=wrap) for size in shape)
    grids = [Grid(a, b) for a in rows for b in columns]
    small = [grid for grid in grids if _area(grid) <= side * side]
    # Where none is small enough, the smallest.
    return min(small, key=lambda g: g.windows * _area(g)) if small else min(grids, key=_area)


def _area(grid: Grid) -> int:
    return grid.rows.window * grid.columns.window


def axes_of(size: int, field: Field, *, wrap: bool) -> list[Axis]:
    """Returns an axis cut into one window, into two, and so on."""
    axes = [Axis(size, size, (0,), (0, size))]
    # An image that wraps needs whole strides, or blocks behind an end would not be the image's.
    margin = field.reach if wrap else 0
    counts = range(0 if wrap and size % field.stride else size // field.stride)
    for count in counts[2:]:
        axis = _axis(size, count, field, margin)
        if axis.window < min(size, axes[-1].window):
            axes.append(axis)
    return axes


def _axis(size: int, count: int, field: Field, margin: int) -> Axis:
    stride, reach = field
    whole = size + 2 * margin
    # The last window ends with the image, and all begin with a stride.
    window = stride + 2 * reach + (size - stride) % stride
    window += max(0, -(-(whole - 2 * reach - count * (window - 2 * reach)) // count))
    window += (size - window) % stride
    step = (window - 2 * reach) // stride * stride
    if whole - window > (count - 1) * step:
        window, step = window + stride, step + stride
    last = whole - window
    origins = (*range(0, last, step), last)
    owned = (margin, *(origin + reach for origin in origins[1:]), margin + size)
    return Axis(size, window, origins, owned, margin)
