"""Mean and spread: the features of a layer seen as a normal distribution."""

import dataclasses
from typing import NamedTuple

import jax.export
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.arrays import Feature, Scalar
from jaxstyle.losses.statistics.base import Additive, Mask, per_position
from jaxstyle.losses.statistics.gram import gram
from jaxstyle.losses.statistics.roots import fidelity, made_definite

Vector = Float[Array, "_"]
Matrix = Float[Array, "_ _"]


class Moments(NamedTuple):
    """First and second moments, summed or per position.

    Attributes:
        first: ``Σ f``.
        second: ``Σ f fᵀ``, or its diagonal alone.
    """

    first: Vector
    second: Matrix | Vector


class Normal(NamedTuple):
    """A normal distribution to become.

    Attributes:
        mean: ``f32[c]``.
        covariance: With the ridge, ``f32[c, c]``.
        factor: Its Cholesky factor.
    """

    mean: Vector
    covariance: Matrix
    factor: Matrix


class Spread(NamedTuple):
    """Mean and standard deviation of each channel, ``f32[c]``."""

    mean: Vector
    std: Vector


for _kind in (Normal, Spread):
    jax.export.register_namedtuple_serialization(
        _kind, serialized_name=f"jaxstyle.{_kind.__name__}"
    )


def _sum(feature: Feature, mask: Mask | None) -> Vector:
    return (feature if mask is None else feature * mask[..., None]).sum((0, 1))


# Of the second moments: what float32 may lose where the mean is subtracted.
_ROUNDING = 1e-6


@dataclasses.dataclass(frozen=True)
class Wasserstein(Additive):
    """The squared 2-Wasserstein distance between normal distributions.

    ``‖μ − μ̂‖² + tr(Σ + Σ̂ − 2 (Σ̂^½ Σ Σ̂^½)^½)`` (Olkin & Pukelsheim 1982; as a style statistic:
    Li et al. 2017, arXiv:1701.01036, and K. Crowson's style-transfer-pytorch).

    Attributes:
        ridge: Added to the diagonals of both covariances, > 0: without it roots have no gradient.
            Where it is less than 1e-6 of the sum of the mean squares, that is added instead.
    """

    ridge: float = 1e-4

    degree = 2  # squares of features

    def sums(self, feature: Feature, mask: Mask | None) -> Moments:
        """Returns the sums of features and of their products."""
        return Moments(_sum(feature, mask), gram(feature, mask))

    def describe(self, means: Moments) -> Normal:
        """Returns the normal distribution of these moments."""
        mean, covariance = self._normal(means)
        return Normal(mean, covariance, jnp.linalg.cholesky(covariance))

    def _normal(self, moments: Moments) -> tuple[Vector, Matrix]:
        mean, second = moments
        ridge = jnp.maximum(self.ridge, _ROUNDING * jnp.trace(second))
        covariance = second - jnp.outer(mean, mean) + ridge * jnp.eye(len(mean), dtype=mean.dtype)
        return mean, made_definite(covariance, ridge)

    def distance(self, sums: Moments, positions: Scalar, target: Normal) -> Scalar:
        """Returns the squared 2-Wasserstein distance."""
        mean, covariance = self._normal(per_position(sums, positions))
        common = fidelity(covariance, target.factor)
        spread = jnp.trace(covariance) + jnp.trace(target.covariance) - 2 * common
        return jnp.square(mean - target.mean).sum() + spread

    def energy(self, target: Normal) -> Scalar:
        """Returns ``‖μ̂‖² + tr Σ̂``."""
        return jnp.square(target.mean).sum() + jnp.trace(target.covariance)


@dataclasses.dataclass(frozen=True)
class MeanStd(Additive):
    """``‖μ − μ̂‖² + ‖σ − σ̂‖²`` over channels (Huang & Belongie 2017, arXiv:1703.06868, eq. 13).

    Attributes:
        ridge: Added to the variances, > 0: without it a flat channel has no gradient.
    """

    ridge: float = 1e-4

    degree = 2  # squares of features

    def sums(self, feature: Feature, mask: Mask | None) -> Moments:
        """Returns the sums of features and of their squares."""
        return Moments(_sum(feature, mask), _sum(jnp.square(feature), mask))

    def describe(self, means: Moments) -> Spread:
        """Returns mean and standard deviation of these moments."""
        mean, second = means
        variance = jnp.maximum(second - jnp.square(mean), 0.0)
        return Spread(mean, jnp.sqrt(variance + self.ridge))

    def distance(self, sums: Moments, positions: Scalar, target: Spread) -> Scalar:
        """Returns ``‖μ − μ̂‖² + ‖σ − σ̂‖²``."""
        mean, std = self.describe(per_position(sums, positions))
        return jnp.square(mean - target.mean).sum() + jnp.square(std - target.std).sum()

    def energy(self, target: Spread) -> Scalar:
        """Returns ``‖μ̂‖² + ‖σ̂‖²``."""
        return jnp.square(target.mean).sum() + jnp.square(target.std).sum()
