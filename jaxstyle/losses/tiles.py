"""Sums over positions window by window: memory for the activations of one window, not of the image.

Every window goes through the whole network. What the network sees from what a window owns lies in
it, so the sums are exact; what overlaps is computed more than once.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxstyle.arrays import Features, Image, Masks, Scalar
from jaxstyle.compilation import jit
from jaxstyle.encoder.base import Encoder, check_layers, encode, shape_at, wraps
from jaxstyle.encoder.receptive import field_at, joint_field
from jaxstyle.errors import InputError
from jaxstyle.losses.objective import Objective
from jaxstyle.losses.statistics import region_sums
from jaxstyle.tiling.grid import Grid, grid_of
from jaxstyle.tiling.windows import Owned, Table, cut_windows, extended, sum_over_windows

Scratch = Callable[[tuple[int, ...], np.dtype], np.ndarray]
"""Makes an array of a shape and type, for what is written once and read in parts."""


def grid_for(image: Image, encoder: Encoder, objective: Objective, layers: tuple[str, ...]) -> Grid:
    """Returns the windows that an image is computed in as far as some layers.

    Raises:
        InputError: A layer is none of the encoder's, or does not round sizes down.
    """
    field = joint_field(encoder, check_layers(encoder, layers))
    shape = image.shape[0], image.shape[1]
    for name in layers:
        stride = field_at(encoder, name).stride
        if shape_at(encoder, name, shape) != (shape[0] // stride, shape[1] // stride):
            raise InputError(
                f"memory tiles: {name} has not a position for each whole {stride}×{stride} pixels; "
                "choose memory high"
            )
    return grid_of(shape, field, objective.tile, wrap=wraps(encoder))


def needs_tiles(image: Image, encoder: Encoder, objective: Objective) -> bool:
    """Returns whether an image is computed in several windows; in one, it is as it always is."""
    tiled = objective.memory == "tiles"
    return tiled and grid_for(image, encoder, objective, objective.layers).windows > 1


def measure_in_tiles(
    image: Image,
    encoder: Encoder,
    objective: Objective,
    content: Mapping[str, Array],
    masks: Mapping[str, Masks],
) -> tuple[dict[str, Scalar], dict[str, Any]]:
    """Returns the distances of content layers, and what is summed of the style layers.

    Args:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        encoder: One that tells its receptive fields.
        objective: Which style layers, which statistic, and how large tiles are.
        content: Per content layer, the features to measure the distance to.
        masks: Per style layer, one mask per region; one region if there are none.
    """
    layers = tuple(dict.fromkeys((*content, *objective.style_layers)))
    grid = grid_for(image, encoder, objective, layers)
    table = jnp.asarray(grid.table)
    return measure_windows(image, encoder, objective, content, masks, grid, table)


def measure_windows(
    image: Image,
    encoder: Encoder,
    objective: Objective,
    content: Mapping[str, Array],
    masks: Mapping[str, Masks],
    grid: Grid,
    table: Table,
) -> tuple[dict[str, Scalar], dict[str, Any]]:
    """Returns what the windows of a table measure, as :func:`measure_in_tiles` of all of them."""
    guides = {n: jnp.moveaxis(masks[n], 0, -1) for n in objective.style_layers if n in masks}
    # Every array has its height and width in front.
    arrays = (image, *content.values(), *guides.values())
    strides = (1, *(field_at(encoder, name).stride for name in (*content, *guides)))
    part = _Part(objective, tuple(content), tuple(guides))
    return sum_over_windows(part, grid, strides, table, arrays, encoder)


@dataclasses.dataclass(frozen=True)
class _Part:
    """What a window adds to the sums.

    Attributes:
        objective: Of all.
        content: The layers whose features are handed in, in their order.
        masked: Likewise, the layers whose masks are.
    """

    objective: Objective
    content: tuple[str, ...]
    masked: tuple[str, ...]

    def __call__(self, window: tuple[Array, ...], owned: Owned, encoder: Encoder) -> Any:
        image, wanted, guides = window[0], window[1:], window[1 + len(self.content) :]
        style, statistic = self.objective.style_layers, self.objective.statistic
        features = encode(image, encoder, (*self.content, *style))

        def owned_of(name: str) -> Masks:
            height, width, _ = features[name].shape
            return owned.mask(height, width, field_at(encoder, name).stride)[None]

        distances = {
            name: (jnp.square(features[name] - p) * owned_of(name)[0, ..., None]).sum()
            for name, p in zip(self.content, wanted, strict=False)
        }
        regions = {n: jnp.moveaxis(m, -1, 0) for n, m in zip(self.masked, guides, strict=True)}
        sums = {
            name: region_sums(features[name], owned_of(name) * regions.get(name, 1.0), statistic)
            for name in style
        }
        return distances, sums


def features_in_tiles(
    image: Image, encoder: Encoder, objective: Objective, scratch: Scratch | None
) -> Features:
    """Returns the features of the content layers, which are never on the device as a whole.

    Runs on the host. On CPUs the arrays are those that ``scratch`` made, so that what it maps from
    a file stays there until it is read.

    Args:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        encoder: One that tells its receptive fields.
        objective: Which content layers, and how large tiles are.
        scratch: Makes the arrays; in memory if None.
    """
    layers, shape = objective.content_layers, (image.shape[0], image.shape[1])
    if not layers:
        return {}
    grid, found = grid_for(image, encoder, objective, layers), {}
    for row in grid.table:
        window = _window_features(image, encoder, jnp.asarray(row), grid, layers)
        for name, feature in window.items():
            if name not in found:
                whole = (*shape_at(encoder, name, shape), feature.shape[2])
                found[name] = (scratch or np.empty)(whole, feature.dtype)
            _place(found[name], np.asarray(feature), row, grid, field_at(encoder, name).stride)
    return {name: jax.device_put(array, may_alias=True) for name, array in found.items()}


def _place(whole: np.ndarray, part: np.ndarray, row: np.ndarray, grid: Grid, stride: int) -> None:
    """Writes what a window owns to its place."""
    here, there = [], []
    for origin, (first, end), axis in zip(row[:2], (row[2:4], row[4:6]), grid, strict=True):
        # In strides; the last one may end within a stride, which is no position.
        here.append(slice((first - origin) // stride, (end - origin) // stride))
        there.append(slice((first - axis.margin) // stride, (end - axis.margin) // stride))
    whole[tuple(there)] = part[tuple(here)]


@jit(static_argnames=("grid", "layers"))
def _window_features(
    image: Image, encoder: Encoder, row: Array, grid: Grid, layers: tuple[str, ...]
) -> Features:
    (window,) = cut_windows(grid, (1,), extended(grid, (1,), (image,)), row)
    return encode(window, encoder, layers)
