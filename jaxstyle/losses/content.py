"""The content term: features stay close to those of the content picture."""

import dataclasses
from typing import Any

import jax.numpy as jnp

from jaxstyle.arrays import Features, Scalar
from jaxstyle.compilation import jit
from jaxstyle.errors import InputError
from jaxstyle.losses.normalisation import NORMALISATIONS, Normalisation
from jaxstyle.losses.pictures import Scene
from jaxstyle.losses.term import Local, Size, Target, Term, View, Weight, total


@dataclasses.dataclass(frozen=True, kw_only=True)
class Content(Term):
    """``Σ_l w_l Σ‖f − p‖² / n_l`` (Gatys, Ecker & Bethge 2016, eq. 1).

    Attributes:
        layers: Layers at which the image's features ``f`` are compared with the content's, ``p``.
        normalisation: The divisors ``n_l``.
    """

    layers: tuple[str, ...] = ("conv4_2",)
    normalisation: Normalisation = NORMALISATIONS["energy"]

    @property
    def content_layers(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The same layers."""
        return self.layers

    def content_target(self, view: View, scene: Scene, size: Size) -> tuple[Local, Any]:
        """Returns the content's features, and the energy ``Σ‖p‖²`` of each layer."""
        features = {name: view.features[name] for name in self.layers}
        return features, energies(features)

    def sums(self, view: View) -> dict[str, Scalar]:
        """Returns ``Σ‖f − p‖²`` of each layer."""
        for name in self.layers:
            if name not in view.local:
                raise InputError(f"targets: the content layer {name} is missing; make them again")
        pairs = {name: (view.features[name], view.local[name]) for name in self.layers}
        return {name: view.sum(name, jnp.square(f - p)) for name, (f, p) in pairs.items()}

    def value(self, sums: Any, target: Target, weight: Weight, size: Size) -> Scalar:
        """Returns the weighted distance of the features."""
        parts = []
        for name, distance in sums.items():
            elements = size.positions(name) * target.local[name].shape[-1]
            divisor = self.normalisation.content_divisor(target.content[name], elements)
            parts.append(weight.of(name) * distance / divisor)
        return total(parts)


@jit()
def energies(features: Features) -> dict[str, Scalar]:
    """Returns ``Σ‖p‖²`` of each layer."""
    return {name: jnp.square(p).sum() for name, p in features.items()}
