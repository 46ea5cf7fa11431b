"""How each device cuts its share of an image into windows: tiles of many devices.

A window may reach into a neighbour's rows, which are fetched once before all windows. All devices
run one program, so their windows have one shape and number; where they lie is a table of each.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxstyle.arrays import Features, Image, Masks, Scalar
from jaxstyle.encoder import Encoder, encode
from jaxstyle.encoder.base import wraps
from jaxstyle.encoder.receptive import Field, field_at, joint_field
from jaxstyle.large.halo import reach_over
from jaxstyle.large.mesh import AXIS, Rows
from jaxstyle.losses.objective import Objective
from jaxstyle.losses.tiles import measure_windows
from jaxstyle.tiling.grid import Axis, Grid, axes_of
from jaxstyle.tiling.windows import Table, add_at, cut_windows, owned_by, zeros_like

Places = tuple[tuple[tuple[int, int, int], ...], ...]


class Patches(NamedTuple):
    """The windows of all devices. Static and hashable.

    Attributes:
        grid: The shape of a window, and its number, of which each device has as many.
        above: Number of rows that a device needs of the one above.
        below: Likewise.
        rows: Of each device and each of its windows along the rows, where it begins, and the first
            and the end of what it owns, in rows of the share with those around it.
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
    """Returns the windows that shares are computed in with the least work; None if there are none.

    Args:
        rows: How the image's rows are shared out.
        width: Width of the image in pixels.
        field: From :func:`~jaxstyle.encoder.receptive.joint_field`.
        side: Pixels; a window has no more of them than a square of this side, if it can.
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
    """Returns shares cut into windows along the rows; None if two neighbours are not enough."""
    stride, reach = field
    step = stride * -(-rows.share // (count * stride))
    window = step + 2 * reach
    window += (rows.height - window) % stride  # The last one ends with the image.
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
    """Returns where a window begins, and what it owns of the rows that there are."""
    first, end = min(first, rows.height), min(end, rows.height)
    return min(max(first - reach, 0), rows.height - window), first, end


def _local(place: tuple[int, int, int], start: int) -> tuple[int, int, int]:
    origin, first, end = place
    # One that owns nothing may lie anywhere.
    return (origin - start, first - start, end - start) if first < end else (0, 0, 0)


def patches_for(
    width: int, encoder: Encoder, objective: Objective, rows: Rows, layers: Iterable[str]
) -> Patches | None:
    """Returns the windows of an image in shares; None if its shares are not cut.

    Args:
        width: Width of the image in pixels.
        encoder: Network and pretrained parameters.
        objective: Whether it is computed in tiles, and how large they are.
        rows: How the image's rows are shared out.
        layers: The layers that are reached.
    """
    small = rows.share * width <= objective.tile**2
    if objective.memory != "tiles" or small or wraps(encoder):
        return None
    return patches_of(rows, width, joint_field(encoder, layers), objective.tile)


def measure_patches(
    image: Image,
    encoder: Encoder,
    objective: Objective,
    content: Mapping[str, Array],
    masks: Mapping[str, Masks],
    patches: Patches,
    rows: Rows,
) -> tuple[dict[str, Scalar], dict[str, Any]]:
    """Returns what this device's windows add to the sums; within ``shard_map``.

    Args:
        image: ``f32[share, w, 3]``, the rows of this device.
        encoder: Network and pretrained parameters.
        objective: Which layers and which statistic.
        content: Per content layer, the features to measure the distance to, of these rows.
        masks: Per style layer, one mask per region, of these rows.
        patches: The windows.
        rows: How the image's rows are shared out.
    """

    def around(name: str, x: Array, axis: int) -> Array:
        # Of what lies around a share nothing is owned: zeros serve.
        stride = field_at(encoder, name).stride
        widths = [(0, 0)] * x.ndim
        widths[axis] = patches.above // stride, patches.below // stride
        return jnp.pad(x, widths)

    return measure_windows(
        reach_over(image, patches.above, patches.below, rows),
        encoder,
        objective,
        {name: around(name, p, 0) for name, p in content.items()},
        {name: around(name, m, 1) for name, m in masks.items()},
        patches.grid,
        patches.table(),
    )


def observe_patches(
    image: Image, encoder: Encoder, layers: tuple[str, ...], patches: Patches, rows: Rows
) -> Features:
    """Returns the features of this device's rows, window by window; within ``shard_map``.

    Args:
        image: ``f32[share, w, 3]``, the rows of this device.
        encoder: Network and pretrained parameters.
        layers: Which features.
        patches: The windows.
        rows: How the image's rows are shared out.
    """
    surrounded = reach_over(image, patches.above, patches.below, rows)
    table, strides = patches.table(), {name: field_at(encoder, name).stride for name in layers}

    def features_of(i: Any) -> Features:
        (window,) = cut_windows(patches.grid, (1,), (surrounded,), table[i])
        owned = owned_by(table[i])
        features = encode(window, encoder, layers)
        return {
            name: f * owned.mask(f.shape[0], f.shape[1], strides[name])[..., None]
            for name, f in features.items()
        }

    def add(i: Any, total: Features) -> Features:
        return {
            name: add_at(strides[name], total[name], f, table[i])
            for name, f in features_of(i).items()
        }

    height, width, _ = surrounded.shape
    whole = {
        name: jax.ShapeDtypeStruct(
            (height // strides[name], width // strides[name], f.shape[2]), f.dtype
        )
        for name, f in jax.eval_shape(features_of, 0).items()
    }
    found = jax.lax.fori_loop(0, len(table), add, zeros_like(whole, table))
    first = {name: patches.above // stride for name, stride in strides.items()}
    return {n: f[first[n] : first[n] + rows.share // strides[n]] for n, f in found.items()}
