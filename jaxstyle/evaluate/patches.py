"""How each device cuts its rows of an image into windows: tiles on several devices.

A window may reach into the rows of a neighbour, which are fetched once before all windows. All
devices run one program, so their windows have the same shape and number; each device has a table of
where its windows lie.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxstyle.encoder.base import Field
from jaxstyle.evaluate.grid import Axis, Grid, axes_of
from jaxstyle.evaluate.mesh import AXIS, Rows
from jaxstyle.evaluate.windows import Table

Places = tuple[tuple[tuple[int, int, int], ...], ...]


class Patches(NamedTuple):
    """The windows of all devices. Static and hashable.

    Attributes:
        grid: The shape of a window, and the number of windows that each device has.
        above: Number of rows that a device needs from the device above.
        below: Number of rows that a device needs from the device below.
        rows: For each device and each of its windows along the rows, where it begins, and the first
            and the end of what it owns, in rows of the device with the rows around them.
    """

    grid: Grid
    above: int
    below: int
    rows: Places

    @property
    def work(self) -> int:
        """Number of pixels that a device computes."""
        return self.grid.windows * self.area

    @property
    def area(self) -> int:
        """Number of pixels of a window."""
        return self.grid.rows.window * self.grid.columns.window

    def table(self) -> Table:
        """Returns this device's windows; within ``shard_map``."""
        columns = self.grid.columns
        across = list(zip(columns.origins, columns.owned[:-1], columns.owned[1:], strict=True))
        tables = [
            [(y, x, *own_y, *own_x) for y, *own_y in device for x, *own_x in across]
            for device in self.rows
        ]
        return jnp.asarray(np.array(tables, np.int32))[jax.lax.axis_index(AXIS)]


def patches_of(rows: Rows, width: int, field: Field, side: int) -> Patches | None:
    """Returns the windows with the least work; None if neighbours do not have enough rows.

    Args:
        rows: How the image's rows are spread over the devices.
        width: Width of the image in pixels.
        field: From :func:`~jaxstyle.encoder.receptive.joint_field`.
        side: Pixels; a window has at most as many pixels as a square of this side, if possible.
    """
    counts = range(1, rows.share // field.stride + 1)
    cuts = [cut for count in counts if (cut := _cut(rows, field, count)) is not None]
    found = [
        Patches(Grid(axis, columns), above, below, places)
        for axis, above, below, places in cuts
        for columns in axes_of(width, field, wrap=False)
    ]
    small = [patches for patches in found if patches.area <= side * side]
    if small:
        return min(small, key=lambda patches: patches.work)
    return min(found, key=lambda patches: patches.area, default=None)


def _cut(rows: Rows, field: Field, count: int) -> tuple[Axis, int, int, Places] | None:
    """Returns the windows along the rows; None if they reach beyond the next device."""
    stride, reach = field
    step = stride * -(-rows.share // (count * stride))
    window = step + 2 * reach
    window += (rows.height - window) % stride  # The last window ends with the image.
    if window > rows.height:
        return None
    devices = [
        [
            _place(rows, window, reach, first, min(first + step, end))
            for first in range(start, end, step)
        ]
        for start in range(0, rows.room, rows.share)
        for end in (start + rows.share,)
    ]
    offsets = [
        (device * rows.share - origin, origin + window - (device + 1) * rows.share)
        for device, places in enumerate(devices)
        for origin, first, end in places
        if first < end
    ]
    above, below = (max(0, *sides) for sides in zip(*offsets, strict=True))
    above += -above % stride
    if max(above, below) > rows.share and len(rows.mesh) > 1:
        return None
    local = tuple(
        tuple(_local(place, device * rows.share - above) for place in places)
        for device, places in enumerate(devices)
    )
    size, number = above + rows.share + below, len(devices[0])
    axis = Axis(size, window, (0,) * number, (0,) * (number + 1))
    return axis, above, below, local


def _place(rows: Rows, window: int, reach: int, first: int, end: int) -> tuple[int, int, int]:
    """Returns where a window begins, and which of the image's rows it owns."""
    first, end = min(first, rows.height), min(end, rows.height)
    return min(max(first - reach, 0), rows.height - window), first, end


def _local(place: tuple[int, int, int], start: int) -> tuple[int, int, int]:
    origin, first, end = place
    # A window that owns nothing may lie anywhere.
    return (origin - start, first - start, end - start) if first < end else (0, 0, 0)
