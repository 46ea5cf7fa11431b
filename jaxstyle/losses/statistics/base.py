"""What every style statistic is."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.arrays import Feature, Masks, Scalar

Mask = Float[Array, "h w"]

# The least number of positions that a sum is divided by: a region may be missing from a picture.
_FEW = 1e-6


@runtime_checkable
class Statistic(Protocol):
    """What of a layer's features carries style; implementations are frozen dataclasses.

    Whoever inherits from :class:`Additive` writes ``degree``, ``sums``, ``describe``, ``distance``
    and ``energy``.
    """

    @property
    def degree(self) -> int:
        """Power of the features' scale that the distance grows by."""
        ...

    @property
    def additive(self) -> bool:
        """Whether the sums over parts of an image add up to those over the whole."""
        ...

    def sums(self, feature: Feature, mask: Mask | None) -> Any:
        """Returns the sums over the positions of a layer.

        Args:
            feature: ``f32[h, w, c]``.
            mask: How much each position counts, in [0, 1]; all count in full if None.
        """
        ...

    def target(
        self, sums: Sequence[Any], positions: Sequence[Scalar], blend: Float[Array, "_"], size: int
    ) -> Any:
        """Returns what the sums of an image should become, per position; channels come last.

        Args:
            sums: Of the layer, one per style.
            positions: How many positions each has been summed over.
            blend: Share of each style; the shares add up to 1.
            size: Positions of the layer in the image to be optimised.
        """
        ...

    def distance(self, sums: Any, positions: Scalar, target: Any) -> Scalar:
        """Returns how far sums over positions are from a target; 0 where they agree."""
        ...

    def energy(self, target: Any) -> Scalar:
        """Returns how far features that are all zero are from a target."""
        ...


class Additive:
    """A statistic whose sums add up: styles are blended as sums, and then described."""

    additive = True

    def describe(self, means: Any) -> Any:
        """Returns what the sums per position tell; channels come last."""
        return means

    def target(
        self, sums: Sequence[Any], positions: Sequence[Scalar], blend: Float[Array, "_"], size: int
    ) -> Any:
        """Returns the description of the blended sums."""
        return self.describe(blended(sums, positions, blend))


def per_position(sums: Any, positions: Scalar) -> Any:
    """Divides sums by the number of positions; sums over nothing stay zero."""
    return jax.tree.map(lambda total: total / jnp.maximum(positions, _FEW), sums)


def blended(sums: Sequence[Any], positions: Sequence[Scalar], blend: Float[Array, "_"]) -> Any:
    """Returns the sums per position of several styles, weighted and added."""
    shares = [
        jax.tree.map(lambda mean, share=share: share * mean, per_position(total, count))
        for total, count, share in zip(sums, positions, blend, strict=True)
    ]
    return jax.tree.map(lambda *parts: sum(parts[1:], parts[0]), *shares)


def region_sums(feature: Array, masks: Masks | None, statistic: Statistic) -> Any:
    """Returns what a statistic sums of a layer, with an axis of regions in front.

    Args:
        feature: ``f32[h, w, c]``.
        masks: One per region, ``f32[r, h, w]``; None for one region.
        statistic: What is summed.
    """
    if masks is None:
        return jax.tree.map(lambda x: x[None], statistic.sums(feature, None))
    return jax.vmap(statistic.sums, (None, 0))(feature, masks)
