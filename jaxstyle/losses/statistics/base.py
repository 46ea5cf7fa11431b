"""The protocol of style statistics."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.arrays import Feature, Masks, Scalar

Mask = Float[Array, "h w"]

# Minimum divisor of sums: a region may be missing from a picture and have no positions.
_FEW = 1e-6


@runtime_checkable
class Statistic(Protocol):
    """A style statistic of a layer's features; implementations are frozen dataclasses.

    Subclasses of :class:`Additive` define ``degree``, ``sums``, ``distance`` and ``energy``, and
    optionally ``describe``.
    """

    @property
    def degree(self) -> int:
        """The degree of the distance: features scaled by ``s`` scale it by ``s^degree``."""
        ...

    @property
    def additive(self) -> bool:
        """Whether sums over parts of an image add up to the sums over the whole image."""
        ...

    def sums(self, feature: Feature, mask: Mask | None) -> Any:
        """Returns the sums over the positions of a layer.

        Args:
            feature: ``f32[h, w, c]``.
            mask: Weight of each position, ``f32[h, w]`` in [0, 1]; None for 1.
        """
        ...

    def target(
        self, sums: Sequence[Any], positions: Sequence[Scalar], blend: Float[Array, "_"], size: int
    ) -> Any:
        """Returns the target per position of the sums of an image, with channels last.

        Args:
            sums: Sums of the layer, one per style.
            positions: Number of positions in the sums of each style.
            blend: Weight of each style; the weights add up to 1.
            size: Number of positions of the layer in the image to be optimised.
        """
        ...

    def distance(self, sums: Any, positions: Scalar, target: Any) -> Scalar:
        """Returns the distance of sums over positions from a target; 0 if they agree."""
        ...

    def energy(self, target: Any) -> Scalar:
        """Returns the distance of all-zero features from a target."""
        ...


class Additive:
    """Base class of statistics with sums that add up; it blends the sums of several styles."""

    additive = True

    def describe(self, means: Any) -> Any:
        """Returns the target for sums per position, with channels last."""
        return means

    def target(
        self, sums: Sequence[Any], positions: Sequence[Scalar], blend: Float[Array, "_"], size: int
    ) -> Any:
        """Returns the target for the blended sums."""
        return self.describe(blended(sums, positions, blend))


def per_position(sums: Any, positions: Scalar) -> Any:
    """Divides sums by the number of positions; sums over no positions stay zero."""
    return jax.tree.map(lambda total: total / jnp.maximum(positions, _FEW), sums)


def blended(sums: Sequence[Any], positions: Sequence[Scalar], blend: Float[Array, "_"]) -> Any:
    """Returns the weighted mean of the sums per position of several styles."""
    shares = [
        jax.tree.map(lambda mean, share=share: share * mean, per_position(total, count))
        for total, count, share in zip(sums, positions, blend, strict=True)
    ]
    return jax.tree.map(lambda *parts: sum(parts[1:], parts[0]), *shares)


def region_sums(feature: Array, masks: Masks | None, statistic: Statistic) -> Any:
    """Returns the sums of a statistic over a layer, with a leading axis of regions.

    Args:
        feature: ``f32[h, w, c]``.
        masks: One per region, ``f32[r, h, w]``; None for one region.
        statistic: The statistic.
    """
    if masks is None:
        return jax.tree.map(lambda x: x[None], statistic.sums(feature, None))
    return jax.vmap(statistic.sums, (None, 0))(feature, masks)
