"""The plan that evaluates an image tile by tile, in memory that hardly grows with the image.

Every window passes through the whole network. It contains everything that the network sees from
the positions that the window owns, so the sums are exact. Where windows overlap, features are
computed more than once.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxstyle.arrays import Features, Image, is_traced
from jaxstyle.compilation import jit
from jaxstyle.encoder import Encoder, encode, shape_at
from jaxstyle.encoder.receptive import field_at, joint_field
from jaxstyle.errors import InputError
from jaxstyle.evaluate.grid import Grid, grid_of
from jaxstyle.evaluate.plan import Plan, Request, flatten, layers_of
from jaxstyle.evaluate.whole import WHOLE
from jaxstyle.evaluate.windows import (
    Owned,
    Table,
    add_at,
    cut_windows,
    extended,
    owned_by,
    sum_over_windows,
    zeros_like,
)
from jaxstyle.losses.loss_weights import LossWeights
from jaxstyle.losses.objective import Objective, check_additive
from jaxstyle.losses.term import Local, Size, View

Scratch = Callable[[tuple[int, ...], np.dtype], np.ndarray]
"""Creates an array of a shape and data type, which is written once and read in parts."""


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Tiles(Plan):
    """Stores the activations of one tile at a time, and recomputes each tile for the gradient.

    Attributes:
        side: A tile has at most as many pixels as a square of this side in pixels.
        scratch: Creates the arrays of the content features, for example as memory-mapped files
            (:func:`jaxstyle.files.scratch`); None for arrays in memory.
    """

    side: int = 1104
    _: dataclasses.KW_ONLY
    scratch: Scratch | None = dataclasses.field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.side < 1:
            raise InputError(f"tile side {self.side}: too small; give a number of pixels above 0")

    @property
    def serial(self) -> bool:
        """True, because preparing the next scale would take additional memory."""
        return True

    def check(self, encoder: Encoder, objective: Objective) -> None:
        """Checks that all terms are sums over positions."""
        check_additive(objective.terms, "Tiles")
        if objective.normalise_gradients:
            raise InputError(
                "plan Tiles: norms of gradients are not sums over tiles; choose Whole, or no "
                "normalise_gradients"
            )

    def grid(
        self, shape: tuple[int, int], encoder: Encoder, layers: tuple[str, ...]
    ) -> Grid | None:
        """Returns the windows of an image; None if there is only one.

        Raises:
            InputError: A layer does not have one position for each whole block of pixels.
        """
        if shape[0] * shape[1] <= self.side**2:
            return None
        field = joint_field(encoder, layers)
        for name in layers:
            stride = field_at(encoder, name).stride
            if shape_at(encoder, name, shape) != (shape[0] // stride, shape[1] // stride):
                raise InputError(
                    f"plan Tiles: {name} does not have a position for each whole {stride}×{stride} "
                    "pixels; choose Whole"
                )
        grid = grid_of(shape, field, self.side, wrap=encoder.wraps)
        return grid if grid.windows > 1 else None

    def measure(
        self,
        image: Image,
        requests: tuple[Request, ...],
        local: Mapping[str, Local],
        encoder: Encoder,
        size: Size,
        norms: LossWeights | None = None,
    ) -> dict[str, Any]:
        """Returns the requested sums."""
        grid = self.grid(size.shape, encoder, layers_of(requests))
        if grid is None:
            return WHOLE.measure(image, requests, local, encoder, size, norms)
        return measure_windows(image, requests, local, encoder, grid, jnp.asarray(grid.table))

    def features(
        self, image: Image, encoder: Encoder, layers: tuple[str, ...], size: Size
    ) -> Features:
        """Returns the features of an image; on the host they are written to scratch arrays."""
        grid = self.grid(size.shape, encoder, layers)
        if grid is None:
            return encode(image, encoder, layers)
        if is_traced(image, encoder, jnp.zeros(())):
            arrays = extended(grid, (1,), (image,))
            found = features_of_windows(arrays[0], encoder, layers, grid, jnp.asarray(grid.table))
            strides = {name: field_at(encoder, name).stride for name in layers}
            return {n: _without_margin(f, grid, strides[n], size, n) for n, f in found.items()}
        return self._on_host(image, encoder, layers, size, grid)

    def _on_host(
        self, image: Image, encoder: Encoder, layers: tuple[str, ...], size: Size, grid: Grid
    ) -> Features:
        """Returns features that are never on the device in their entirety."""
        found: dict[str, np.ndarray] = {}
        for row in grid.table:
            window = _window_features(image, encoder, jnp.asarray(row), grid, layers)
            for name, feature in window.items():
                if name not in found:
                    whole = (*size.layers[name], feature.shape[2])
                    found[name] = (self.scratch or np.empty)(whole, feature.dtype)
                stride = field_at(encoder, name).stride
                _place(found[name], np.asarray(feature), row, grid, stride)
        return {name: jax.device_put(array, may_alias=True) for name, array in found.items()}


def measure_windows(
    image: Image,
    requests: tuple[Request, ...],
    local: Mapping[str, Local],
    encoder: Encoder,
    grid: Grid,
    table: Table,
) -> dict[str, Any]:
    """Returns the sums over the windows of a table.

    Args:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        requests: Terms with layers.
        local: For each of them, arrays with one entry per position.
        encoder: Network and pretrained parameters.
        grid: The shape of the windows.
        table: The windows.
    """
    leaves, layers, tree = flatten({r.name: local[r.name] for r in requests})
    strides = (1, *(field_at(encoder, layer).stride for layer in layers))
    part = _Part(requests, tree)
    return sum_over_windows(part, grid, strides, table, (image, *leaves), encoder)


@dataclasses.dataclass(frozen=True)
class _Part:
    """The contribution of a window to the sums.

    Attributes:
        requests: The terms.
        tree: Structure of their local arrays.
    """

    requests: tuple[Request, ...]
    tree: Any

    def __call__(self, window: tuple[Array, ...], owned: Owned, encoder: Encoder) -> Any:
        image, local = window[0], jax.tree.unflatten(self.tree, window[1:])
        features = encode(image, encoder, layers_of(self.requests))
        counts = {
            name: owned.mask(f.shape[0], f.shape[1], field_at(encoder, name).stride)
            for name, f in features.items()
        }
        return {
            request.name: request(
                View(
                    image,
                    {name: features[name] for name in request.term.layers},
                    local[request.name],
                    {name: counts[name] for name in request.term.layers},
                    encoder.wraps,
                )
            )
            for request in self.requests
        }


def features_of_windows(
    image: Image, encoder: Encoder, layers: tuple[str, ...], grid: Grid, table: Table
) -> Features:
    """Returns the features of an image, window by window, within a program.

    Args:
        image: ``f32[h, w, 3]``, with the grid's margins.
        encoder: Network and pretrained parameters.
        layers: Layer names.
        grid: The shape of the windows.
        table: The windows.

    Returns:
        ``{layer: f32[h', w', c]}``, with margins.
    """
    strides = {name: field_at(encoder, name).stride for name in layers}

    def features_of(i: Any) -> Features:
        (window,) = cut_windows(grid, (1,), (image,), table[i])
        owned = owned_by(table[i])
        found = encode(window, encoder, layers)
        return {
            n: f * owned.mask(f.shape[0], f.shape[1], strides[n])[..., None]
            for n, f in found.items()
        }

    def add(i: Any, total: Features) -> Features:
        found = features_of(i)
        return {n: add_at(strides[n], total[n], f, table[i]) for n, f in found.items()}

    height, width, _ = image.shape
    whole = {
        n: jax.ShapeDtypeStruct((height // strides[n], width // strides[n], f.shape[2]), f.dtype)
        for n, f in jax.eval_shape(features_of, 0).items()
    }
    return jax.lax.fori_loop(0, len(table), add, zeros_like(whole, table))


def _without_margin(feature: Array, grid: Grid, stride: int, size: Size, layer: str) -> Array:
    top, left = (axis.margin // stride for axis in grid)
    height, width = size.layers[layer]
    return feature[top : top + height, left : left + width]


def _place(whole: np.ndarray, part: np.ndarray, row: np.ndarray, grid: Grid, stride: int) -> None:
    """Writes the owned part of a window into the whole array."""
    here, there = [], []
    for origin, (first, end), axis in zip(row[:2], (row[2:4], row[4:6]), grid, strict=True):
        # In units of the stride; an incomplete stride at the end has no position.
        here.append(slice((first - origin) // stride, (end - origin) // stride))
        there.append(slice((first - axis.margin) // stride, (end - axis.margin) // stride))
    whole[tuple(there)] = part[tuple(here)]


@jit(static_argnames=("grid", "layers"))
def _window_features(
    image: Image, encoder: Encoder, row: Array, grid: Grid, layers: tuple[str, ...]
) -> Features:
    (window,) = cut_windows(grid, (1,), extended(grid, (1,), (image,)), row)
    return encode(window, encoder, layers)
