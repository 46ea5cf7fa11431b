"""Sliced Wasserstein: distributions of features, projected onto random directions.

This is the only statistic that is not a sum over positions. It sorts them, so parts of an image do
not add up.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxstyle.arrays import Feature, Scalar
from jaxstyle.losses.statistics.base import Mask, per_position

Table = Float[Array, "_ _"]


class Sorted(NamedTuple):
    """Features projected onto directions, in ascending order.

    Attributes:
        values: ``f32[positions, directions]``.
        counts: Weight of each value, in the same order; None for 1.
    """

    values: Table
    counts: Table | None


def _levels(data: Sorted) -> Table:
    """Returns the fraction of positions below each value, counting the value itself by half."""
    counts = jnp.ones_like(data.values) if data.counts is None else data.counts
    return (jnp.cumsum(counts, 0) - counts / 2) / jnp.maximum(counts.sum(0), 1e-6)


def _middles(size: int, directions: int) -> Table:
    """Returns the levels of ``size`` equally weighted values, for each direction."""
    return jnp.tile(((jnp.arange(size) + 0.5) / size)[:, None], directions)


_interpolate = jax.vmap(jnp.interp, in_axes=1, out_axes=1)


@dataclasses.dataclass(frozen=True)
class Sliced:
    """The sliced 2-Wasserstein distance between the distributions of features.

    ``c · mean_v mean_i (x_v(i) − t_v(i))²`` with the features ``x`` and ``t`` sorted along ``c``
    unit directions ``v`` (Heitz et al. 2021, arXiv:2006.07229, eqs. 6 to 8). The directions are
    drawn once, not at every step, so that the loss is a fixed function, as a line search requires.

    Attributes:
        seed: Random seed of the directions.
    """

    seed: int = 0

    degree = 2  # squares of features
    additive = False  # sorting needs all positions at once

    def _directions(self, channels: int) -> np.ndarray:
        drawn = np.random.default_rng(self.seed).normal(size=(channels, channels))
        return (drawn / np.linalg.norm(drawn, axis=0)).astype(np.float32)

    def sums(self, feature: Feature, mask: Mask | None) -> Sorted:
        """Returns the features projected onto each direction, sorted."""
        flat = feature.reshape(-1, feature.shape[-1])
        projected = jnp.matmul(flat, self._directions(flat.shape[1]), precision="highest")
        if mask is None:
            return Sorted(jnp.sort(projected, 0), None)
        counts = jnp.broadcast_to(mask.reshape(-1, 1), projected.shape)
        # Masked-out positions are sorted to the end, with the largest value of the others.
        inside = counts > 0
        largest = jnp.where(inside, projected, projected.min(0)).max(0)
        keys = jnp.where(inside, projected, largest), -counts
        values, negative = jax.lax.sort(keys, dimension=0, num_keys=2)
        return Sorted(values, -negative)

    def target(
        self,
        sums: Sequence[Sorted],
        positions: Sequence[Scalar],
        blend: Float[Array, "_"],
        size: int,
    ) -> Table:
        """Returns the blended quantiles, ``size`` for each direction."""
        tables = [
            data.values
            if data.counts is None and len(data.values) == size
            else _interpolate(_middles(size, data.values.shape[1]), _levels(data), data.values)
            for data in sums
        ]
        return jnp.einsum("s,sqv->qv", blend, jnp.stack(tables))

    def distance(self, sums: Sorted, positions: Scalar, target: Table) -> Scalar:
        """Returns the mean squared difference, summed over as many directions as channels."""
        if sums.counts is None:
            return jnp.square(sums.values - target).mean(0).sum()
        levels = jax.lax.stop_gradient(_levels(sums))
        wanted = _interpolate(levels, _middles(*target.shape), target)
        weighted = sums.counts * jnp.square(sums.values - wanted)
        return per_position(weighted.sum(), positions)

    def energy(self, target: Table) -> Scalar:
        """Returns the mean square, summed over directions."""
        return jnp.square(target).mean(0).sum()
