"""The term of total variation: neighbouring pixels differ little."""

import dataclasses
from typing import Any

import jax.numpy as jnp

from jaxstyle.arrays import Scalar
from jaxstyle.errors import choose
from jaxstyle.losses.normalisation import NORMALISATIONS, Normalisation
from jaxstyle.losses.term import Size, Target, Term, View, Weight
from jaxstyle.ops.variation import VARIATIONS, Variation, total_variation


@dataclasses.dataclass(frozen=True, kw_only=True)
class TotalVariation(Term):
    """``w TV / n``; see :mod:`jaxstyle.ops.variation`.

    Attributes:
        kind: The kind of total variation: a name, or a function of an image.
        normalisation: The divisor ``n``.
    """

    kind: str | Variation = "l2"
    normalisation: Normalisation = NORMALISATIONS["energy"]

    def __post_init__(self) -> None:
        choose("tv", self.kind, VARIATIONS)

    def sums(self, view: View) -> Scalar:
        """Returns the total variation."""
        return total_variation(view.image, self.kind, wrap=view.wraps)

    def value(self, sums: Any, target: Target, weight: Weight, size: Size) -> Scalar:
        """Returns the weighted total variation per element of the image."""
        pixels = jnp.asarray(size.pixels, sums.dtype)
        return weight.total * sums / self.normalisation.tv_divisor(pixels)
