"""What the terms of the loss are divided by: what one unit of a loss weight means.

The field's tools differ here more than anywhere else. Style distances are taken between statistics
per position; whoever sums instead, or divides by other numbers, scales features by some factor
``s``, and with them a distance of degree ``d`` by ``s^d``. With ``c`` channels, ``n`` positions of
the layer and ``m`` pixels of the image, and the squared difference of ``k = c^(d/2)`` numbers:

==============  ==================  ==============  ===================  =======
normalisation   content term        style features  style term           TV
==============  ==================  ==============  ===================  =======
energy          ``/ Σ‖p‖²``         as they are     ``/ energy``         mean
mean            mean                as they are     ``/ k``              mean
neural-style    mean                ``/ √c``        ``/ k``              sum
udacity         mean                ``· √n``        ``/ (k c n)``        mean
keras           sum                 ``· √(n/6m)``   as it is             sum
==============  ==================  ==============  ===================  =======

``energy`` is ours: scale-free, so that a weight means the same with every encoder, layer and size.
``mean`` is Gatys' and Crowson's, and ``keras`` the first paper's (Gatys et al. 2015,
arXiv:1508.06576, eqs. 1, 4), whose ``4c²m²`` with ``c = 3`` Keras and Surma keep for all layers.
"""

import dataclasses
from typing import Any, Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.arrays import Scalar

# The least energy per element that a term is divided by: a flat picture may have none at all.
_FLOOR = 1e-6


@dataclasses.dataclass(frozen=True, kw_only=True)
class StyleLayer:
    """A style layer, as far as a divisor may depend on it.

    Attributes:
        degree: Power of the features' scale that the statistic's distance grows by.
        channels: Number of channels of the layer.
        positions: Number of positions of the layer.
        pixels: Number of pixels of the image.
        energy: Of each region's target, how far features that are all zero would be from it.
    """

    degree: int
    channels: int
    positions: Scalar
    pixels: Scalar
    energy: Float[Array, "..."]

    @property
    def numbers(self) -> float:
        """Numbers that the distance is a squared difference of, ``k``."""
        return self.channels ** (self.degree / 2)


@runtime_checkable
class Normalisation(Protocol):
    """What the terms are divided by; implementations are frozen dataclasses."""

    def content_divisor(self, energy: Scalar, size: int) -> Any:
        """Returns what a content layer's ``Σ‖f − p‖²`` is divided by.

        Args:
            energy: ``Σ‖p‖²``.
            size: Elements of the layer, positions × channels.
        """
        ...

    def style_divisor(self, layer: StyleLayer) -> Any:
        """Returns what a style layer's distance is divided by."""
        ...

    def tv_divisor(self, pixels: Scalar) -> Any:
        """Returns what the total variation is divided by."""
        ...


@dataclasses.dataclass(frozen=True)
class Mean:
    """Means over whatever a term sums: Gatys' and Crowson's."""

    def content_divisor(self, energy: Scalar, size: int) -> Any:
        """Returns the number of elements."""
        return size

    def style_divisor(self, layer: StyleLayer) -> Any:
        """Returns the numbers that differ."""
        return layer.numbers

    def tv_divisor(self, pixels: Scalar) -> Any:
        """Returns the number of the image's elements."""
        return 3 * pixels


@dataclasses.dataclass(frozen=True)
class Energy(Mean):
    """Ours: every term relative to what it would be without any features."""

    def content_divisor(self, energy: Scalar, size: int) -> Any:
        """Returns the energy of the content features."""
        return jnp.maximum(energy, _FLOOR * size)

    def style_divisor(self, layer: StyleLayer) -> Any:
        """Returns the energy of the target."""
        return jnp.maximum(layer.energy, _FLOOR * layer.numbers)


@dataclasses.dataclass(frozen=True)
class NeuralStyle(Mean):
    """J. Johnson's neural-style."""

    def style_divisor(self, layer: StyleLayer) -> Any:
        """Returns the numbers that differ, of features over the root of the channels."""
        return layer.numbers**2

    def tv_divisor(self, pixels: Scalar) -> Any:
        """Returns 1."""
        return 1.0


@dataclasses.dataclass(frozen=True)
class Udacity(Mean):
    """Udacity's notebook."""

    def style_divisor(self, layer: StyleLayer) -> Any:
        """Returns ``k c n``, of features times the root of the positions ``n``."""
        return layer.numbers * layer.channels * layer.positions ** (1 - layer.degree / 2)


@dataclasses.dataclass(frozen=True)
class Keras:
    """Sums: Gatys et al. 2015, with the numbers that Keras' example keeps."""

    def content_divisor(self, energy: Scalar, size: int) -> Any:
        """Returns 1."""
        return 1.0

    def style_divisor(self, layer: StyleLayer) -> Any:
        """Returns what makes positions of the layer elements of the image."""
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
"""The known ones by name."""
