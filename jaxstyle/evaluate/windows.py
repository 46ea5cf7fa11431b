"""Sums over the windows of an image, in the memory of one window.

The forward pass adds up the windows one after the other and keeps nothing. The backward pass
computes each window once more and propagates the gradient of the sums through it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxstyle.evaluate.grid import Grid
from jaxstyle.ops.derivatives import handwritten, like_primal

Part = Callable[[Any, "Owned", Any], Any]
"""``(arrays of the window, what it owns, shared) -> sums``, pure and hashable."""
Table = Int[Array, "n 6"]
"""Top and left of each window, and the first and the end of what it owns along each axis."""
T = TypeVar("T")


class Owned(NamedTuple):
    """What a window owns: the positions that no other window counts.

    Attributes:
        rows: First and end, in pixels of the window.
        columns: First and end, in pixels of the window.
    """

    rows: Int[Array, "2"]
    columns: Int[Array, "2"]

    def mask(self, height: int, width: int, stride: int) -> Float[Array, "_ _"]:
        """Returns 1 where the window owns a position of a layer, else 0."""
        rows = _inside(height, stride, self.rows)
        return (rows[:, None] & _inside(width, stride, self.columns)).astype(jnp.float32)


def _inside(size: int, stride: int, bounds: Array) -> Bool[Array, "_"]:
    start = stride * jnp.arange(size)
    return (start >= bounds[0]) & (start < bounds[1])


@jax.tree_util.register_static
class _Changing(tuple):
    """Whether a derivative with respect to each leaf is needed."""


def sum_over_windows(
    part: Part,
    grid: Grid,
    strides: tuple[int, ...],
    table: Table,
    arrays: tuple[Array, ...],
    shared: Any,
) -> Any:
    """Returns ``Σ part(window, owned, shared)`` over the windows of a table.

    Derivatives are exact with respect to every array and everything that is shared.

    Args:
        part: The function that is summed.
        grid: The shape of the windows.
        strides: For each array, pixels of the image per position.
        table: The windows, as in ``Grid.table``.
        arrays: Each ``[h', w', ...]``; ``part`` gets windows of them.
        shared: Passed to every window as it is.
    """
    add_up = _sum_by_hand if handwritten() else _add_up
    return add_up(part, grid, strides, table, arrays, shared)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _sum_by_hand(
    part: Part,
    grid: Grid,
    strides: tuple[int, ...],
    table: Table,
    arrays: tuple[Array, ...],
    shared: Any,
) -> Any:
    return _add_up(part, grid, strides, table, arrays, shared)


def _add_up(
    part: Part, grid: Grid, strides: tuple[int, ...], table: Table, arrays: Any, shared: Any
) -> Any:
    arrays = extended(grid, strides, arrays)

    def sums_of(i: Any) -> Any:
        return part(cut_windows(grid, strides, arrays, table[i]), owned_by(table[i]), shared)

    if len(table) == 1:
        return sums_of(0)
    zeros = zeros_like(jax.eval_shape(sums_of, 0), table)
    add = partial(jax.tree.map, jnp.add)
    return jax.lax.fori_loop(0, len(table), lambda i, total: add(total, sums_of(i)), zeros)


def zeros_like(tree: T, table: Table) -> T:
    """Returns zeros to begin a sum with, which vary over the devices if the table does."""
    zero = 0 * table[0, 0]
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype) + zero.astype(x.dtype), tree)


def _forward(
    part: Part, grid: Grid, strides: tuple[int, ...], table: Any, arrays: Any, shared: Any
) -> tuple[Any, Any]:
    leaves, tree = jax.tree.flatten((arrays, shared), is_leaf=lambda x: hasattr(x, "perturbed"))
    values = [leaf.value for leaf in leaves]
    changing = _Changing(leaf.perturbed for leaf in leaves)
    arrays, shared = jax.tree.unflatten(tree, values)
    kept = table.value, arrays, shared, changing
    return _add_up(part, grid, strides, *kept[:3]), kept


def _backward(
    part: Part, grid: Grid, strides: tuple[int, ...], residuals: Any, dsums: Any
) -> tuple[Any, Any, Any]:
    table, arrays, shared, changing = residuals
    dsums = jax.tree.map(_instantiated, dsums, is_leaf=_is_zero)
    surrounded = extended(grid, strides, arrays)
    # A derivative of parameters that is not needed would take as long as that of the image.
    whole, common = list(changing[: len(arrays)]), list(changing[len(arrays) :])
    leaves, tree = jax.tree.flatten(shared)

    def pull(i: Any) -> Any:
        cut = cut_windows(grid, strides, surrounded, table[i])

        def sums_of(chosen: Any) -> Any:
            own, rest = iter(chosen[0]), iter(chosen[1])
            window = tuple(next(own) if c else x for c, x in zip(whole, cut, strict=True))
            filled = [next(rest) if c else x for c, x in zip(common, leaves, strict=True)]
            return part(window, owned_by(table[i]), jax.tree.unflatten(tree, filled))

        chosen = _chosen(cut, whole), _chosen(leaves, common)
        return jax.vjp(sums_of, chosen)[1](dsums)[0]

    own_strides = tuple(_chosen(strides, whole))

    def add(i: Any, total: Any) -> Any:
        gradients, rest = pull(i)
        placed = [
            add_at(stride, x, gradient, table[i])
            for stride, x, gradient in zip(own_strides, total[0], gradients, strict=True)
        ]
        return placed, jax.tree.map(jnp.add, total[1], rest)

    zeros = zeros_like((_chosen(surrounded, whole), _chosen(leaves, common)), table)
    total, rest = jax.lax.fori_loop(0, len(table), add, zeros)
    folded = iter(_folded(grid, own_strides, total))
    summed = iter(rest)
    darrays = tuple(
        like_primal(next(folded), x) if c else None for c, x in zip(whole, arrays, strict=True)
    )
    dshared = [
        like_primal(next(summed), x) if c else None for c, x in zip(common, leaves, strict=True)
    ]
    return None, darrays, jax.tree.unflatten(tree, dshared)


_sum_by_hand.defvjp(_forward, _backward, symbolic_zeros=True)


def _is_zero(x: Any) -> bool:
    return isinstance(x, jax.custom_derivatives.SymbolicZero)


def _instantiated(x: Any) -> Array:
    return jnp.zeros(x.shape, x.dtype) if _is_zero(x) else x


def _chosen(items: Any, flags: list[bool]) -> list[Any]:
    return [item for item, flag in zip(items, flags, strict=True) if flag]


def owned_by(row: Array) -> Owned:
    """Returns what a window of a table owns."""
    return Owned(row[2:4] - row[0], row[4:6] - row[1])


def _start(x: Array, stride: int, row: Array) -> tuple[Array, ...]:
    return (row[0] // stride, row[1] // stride, *(jnp.zeros_like(row[0]),) * (x.ndim - 2))


def cut_windows(grid: Grid, strides: tuple[int, ...], arrays: Any, row: Array) -> tuple[Array, ...]:
    """Returns a window of each array."""

    def cut(x: Array, stride: int) -> Array:
        extent = grid.rows.window // stride, grid.columns.window // stride
        return jax.lax.dynamic_slice(x, _start(x, stride, row), (*extent, *x.shape[2:]))

    return tuple(cut(x, stride) for x, stride in zip(arrays, strides, strict=True))


def add_at(stride: int, total: Array, gradient: Array, row: Array) -> Array:
    """Returns an array with a gradient added where a window lies."""
    start = _start(total, stride, row)
    there = jax.lax.dynamic_slice(total, start, gradient.shape)
    return jax.lax.dynamic_update_slice(total, there + gradient, start)


def _margins(grid: Grid, stride: int) -> list[tuple[int, int]]:
    return [(axis, grid[axis].margin // stride) for axis in (0, 1) if grid[axis].margin]


def extended(grid: Grid, strides: tuple[int, ...], arrays: Any) -> tuple[Array, ...]:
    """Returns the arrays with margins from their other ends."""

    def extend(x: Array, stride: int) -> Array:
        for axis, margin in _margins(grid, stride):
            cut = partial(jax.lax.slice_in_dim, x, axis=axis)
            x = jnp.concatenate([cut(-margin, None), x, cut(0, margin)], axis)
        return x

    return tuple(extend(x, stride) for x, stride in zip(arrays, strides, strict=True))


def _folded(grid: Grid, strides: tuple[int, ...], arrays: Any) -> list[Array]:
    """Returns the adjoint of :func:`extended`."""

    def fold(x: Array, stride: int) -> Array:
        for axis, margin in reversed(_margins(grid, stride)):
            x = _fold(x, margin, axis)
        return x

    return [fold(x, stride) for x, stride in zip(arrays, strides, strict=True)]


def _fold(x: Array, margin: int, axis: int) -> Array:
    cut = partial(jax.lax.slice_in_dim, x, axis=axis)
    inner, before, behind = cut(margin, -margin), cut(0, margin), cut(-margin, None)
    inner = jnp.moveaxis(inner, axis, 0)
    inner = inner.at[:margin].add(jnp.moveaxis(behind, axis, 0))
    inner = inner.at[-margin:].add(jnp.moveaxis(before, axis, 0))
    return jnp.moveaxis(inner, 0, axis)
