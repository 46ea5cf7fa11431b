"""Normalisations: the divisors of the terms, which define the unit of a loss weight.

This is where style transfer tools differ most. Style distances compare statistics per position. A
tool that sums instead, or divides by other numbers, in effect scales features by some factor ``s``,
and so a distance of degree ``d`` by ``s^d``. With ``c`` channels, ``n`` positions of the layer,
``m`` pixels of the image, and a distance that is the squared difference of ``k = c^(d/2)`` numbers:

==============  ==================  ==============  ===================  =======
normalisation   content term        style features  style term           TV
==============  ==================  ==============  ===================  =======
energy          ``/ Σ‖p‖²``         unscaled        ``/ energy``         mean
mean            mean                unscaled        ``/ k``              mean
neural-style    mean                ``/ √c``        ``/ k``              sum
udacity         mean                ``· √n``        ``/ (k c n)``        mean
keras           sum                 ``· √(n/6m)``   undivided            sum
==============  ==================  ==============  ===================  =======

``energy`` is jaxstyle's own: it does not depend on scale, so a weight means the same with every
encoder, layer and size. ``mean`` is used by Gatys' notebook and Crowson. ``keras`` is that of the
first paper (Gatys et al. 2015, arXiv:1508.06576, eqs. 1, 4); Keras and Surma use its divisor
``4c²m²`` with ``c = 3`` for all layers.
"""

import dataclasses
from typing import Any, Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.arrays import Scalar

# Minimum energy per element in a divisor: a flat picture may have no energy at all.
_FLOOR = 1e-6


@dataclasses.dataclass(frozen=True, kw_only=True)
class StyleLayer:
    """The properties of a style layer that a divisor may depend on.

    Attributes:
        degree: Degree of the statistic's distance as a function of the features.
        channels: Number of channels of the layer.
        positions: Number of positions of the layer.
        pixels: Number of pixels of the image.
        energy: Distance of all-zero features from the target of each region.
    """

    degree: int
    channels: int
    positions: Scalar
    pixels: Scalar
    energy: Float[Array, "..."]

    @property
    def numbers(self) -> float:
        """``k``, if the distance is the squared difference of ``k`` numbers."""
        return self.channels ** (self.degree / 2)


@runtime_checkable
class Normalisation(Protocol):
    """The divisors of the terms; implementations are frozen dataclasses."""

    def content_divisor(self, energy: Scalar, size: int) -> Any:
        """Returns the divisor of a content layer's ``Σ‖f − p‖²``.

        Args:
            energy: ``Σ‖p‖²``.
            size: Number of elements of the layer, positions × channels.
        """
        ...

    def style_divisor(self, layer: StyleLayer) -> Any:
        """Returns the divisor of a style layer's distance."""
        ...

    def tv_divisor(self, pixels: Scalar) -> Any:
        """Returns the divisor of the total variation."""
        ...


@dataclasses.dataclass(frozen=True)
class Mean:
    """Means instead of sums, as in Gatys' notebook and Crowson's style-transfer-pytorch."""

    def content_divisor(self, energy: Scalar, size: int) -> Any:
        """Returns the number of elements."""
        return size

    def style_divisor(self, layer: StyleLayer) -> Any:
        """Returns ``k``."""
        return layer.numbers

    def tv_divisor(self, pixels: Scalar) -> Any:
        """Returns the number of elements of the image."""
        return 3 * pixels


@dataclasses.dataclass(frozen=True)
class Energy(Mean):
    """Every term relative to its value for all-zero features; the default."""

    def content_divisor(self, energy: Scalar, size: int) -> Any:
        """Returns the energy of the content features."""
        return jnp.maximum(energy, _FLOOR * size)

    def style_divisor(self, layer: StyleLayer) -> Any:
        """Returns the energy of the target."""
        return jnp.maximum(layer.energy, _FLOOR * layer.numbers)


@dataclasses.dataclass(frozen=True)
class NeuralStyle(Mean):
    """The normalisation of J. Johnson's neural-style."""

    def style_divisor(self, layer: StyleLayer) -> Any:
        """Returns ``k²``: ``k``, with features divided by the root of the number of channels."""
        return layer.numbers**2

    def tv_divisor(self, pixels: Scalar) -> Any:
        """Returns 1."""
        return 1.0


@dataclasses.dataclass(frozen=True)
class Udacity(Mean):
    """The normalisation of Udacity's notebook."""

    def style_divisor(self, layer: StyleLayer) -> Any:
        """Returns ``k c n``, with features multiplied by ``√n``."""
        return layer.numbers * layer.channels * layer.positions ** (1 - layer.degree / 2)


@dataclasses.dataclass(frozen=True)
class Keras:
    """Sums, as in Gatys et al. 2015, with the constants of the Keras example."""

    def content_divisor(self, energy: Scalar, size: int) -> Any:
        """Returns 1."""
        return 1.0

    def style_divisor(self, layer: StyleLayer) -> Any:
        """Returns ``(6m/n)^(d/2)``, which scales features by ``√(n/6m)``."""
        return (6 * layer.pixels / layer.positions) ** (layer.degree / 2)

    def tv_divisor(self, pixels: Scalar) -> Any:
        """Returns 1."""
        return 1.0


NORMALISATIONS: dict[str, Normalisation] = {
    "energy": Energy(),
    "mean": Mean(),
    "neural-style": NeuralStyle(),
    "udacity": Udacity(),
    "keras": Keras(),
}
"""Normalisations by name."""
