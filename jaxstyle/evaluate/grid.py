"""Cuts an image into windows of one shape, so that they share a program.

Windows overlap. Each owns a part of the image and also contains everything that the network sees
from this part, so errors at the border of a window never count. Windows at the border of the image
end there. All windows begin at multiples of the stride, so pooling forms the same blocks in a
window as in the image.
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
        origins: Start of each window in the image with margins, multiples of the stride.
        owned: Start of the owned part of each window, and the end of the last one.
        margin: Pixels from the opposite end that are added on both sides of an image that wraps.
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
        """Top, left, and start and end of the owned part on each axis, ``int32[windows, 6]``."""
        axes = [
            list(zip(axis.origins, axis.owned[:-1], axis.owned[1:], strict=True)) for axis in self
        ]
        rows = [(y, x, *own_y, *own_x) for y, *own_y in axes[0] for x, *own_x in axes[1]]
        return np.asarray(rows, np.int32)


def grid_of(shape: Shape, field: Field, side: int, *, wrap: bool = False) -> Grid:
    """Returns the windows with the least total work.

    Args:
        shape: Height and width of the image.
        field: From :func:`~jaxstyle.encoder.receptive.joint_field`.
        side: If possible, a window has at most as many pixels as a square of this side in pixels.
        wrap: Whether opposite borders are neighbours.

    Examples:
        >>> grid = grid_of((2048, 2048), Field(16, 64), 1100)
        >>> grid.window, grid.rows.origins, grid.rows.owned
        ((1088, 1088), (0, 960), (0, 1024, 2048))
    """
    rows, columns = (axes_of(size, field, wrap=wrap) for size in shape)
    grids = [Grid(a, b) for a in rows for b in columns]
    small = [grid for grid in grids if _area(grid) <= side * side]
    # If no window is small enough, choose the smallest.
    return min(small, key=lambda g: g.windows * _area(g)) if small else min(grids, key=_area)


def _area(grid: Grid) -> int:
    return grid.rows.window * grid.columns.window


def axes_of(size: int, field: Field, *, wrap: bool) -> list[Axis]:
    """Returns the cuts of an axis into one window, two windows, and so on."""
    axes = [Axis(size, size, (0,), (0, size))]
    # An image that wraps must be a multiple of the stride, or blocks in the margins would differ.
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
    # The last window ends with the image, and all begin at multiples of the stride.
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
