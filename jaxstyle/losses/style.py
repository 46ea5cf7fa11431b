"""The style term: matches a statistic of the features to that of the style pictures."""

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.arrays import Masks, Scalar
from jaxstyle.compilation import jit
from jaxstyle.errors import InputError
from jaxstyle.losses.normalisation import NORMALISATIONS, Normalisation, StyleLayer
from jaxstyle.losses.pictures import Scene, masks_at
from jaxstyle.losses.statistics import Gram, Statistic, region_sums
from jaxstyle.losses.term import Local, Size, Target, Term, View, Weight, total

# A region that covers a smaller fraction of a picture counts as missing.
_LEAST = 1e-6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Style(Term):
    """``Σ_l w_l Σ_r s_r D(S_lr, A_lr) / n_lr``: matches the statistic ``S`` to the styles' ``A``.

    Styles are blended as statistics. With masks, each region ``r``, which covers the fraction
    ``s_r`` of the image, takes over the style of the same region (Gatys et al. 2017,
    arXiv:1611.07865). A style in which a region is missing does not contribute to it.

    Attributes:
        layers: Layers at which the statistic is computed.
        statistic: The statistic and its distance ``D``.
        normalisation: The divisors ``n_lr``.
    """

    layers: tuple[str, ...] = ("image", "conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
    statistic: Statistic = dataclasses.field(default_factory=Gram)
    normalisation: Normalisation = NORMALISATIONS["energy"]

    @property
    def additive(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the statistic is additive."""
        return self.statistic.additive

    def content_target(self, view: View, scene: Scene, size: Size) -> tuple[Local, Any]:
        """Returns the masks at the sizes of the layers."""
        return self.style_local(scene.masks, size), None

    def style_local(self, masks: Masks | None, size: Size) -> Local:
        """Returns the masks at the sizes of the layers, ``f32[h', w', r]``; empty without masks."""
        return {} if masks is None else masks_at(masks, {n: size.layers[n] for n in self.layers})

    def sums(self, view: View) -> dict[str, Any]:
        """Returns the sums of the statistic, with a leading axis of regions."""
        return {
            name: region_sums(view.features[name], _regions(view, name), self.statistic)
            for name in self.layers
        }

    def of_style(self, view: View) -> Any:
        """Returns the sums of the statistic, and the number of positions of each region."""
        regions = {name: _regions(view, name) for name in self.layers if name in view.local}
        counted = {name: masks.sum((1, 2)) for name, masks in regions.items() if masks is not None}
        return self.sums(view), counted

    def style_target(self, sums: Sequence[Any], blend: Float[Array, "_"], size: Size) -> Any:
        """Returns the target of the statistic and its energy, for each layer and region."""
        first = jax.tree.leaves(sums[0][0])[0]
        stats, positions = [], []
        for (of_layers, counted), own in sums:
            stats.append(of_layers)
            positions.append({n: _positions(counted.get(n), own, n, first) for n in self.layers})
        blend = jnp.asarray(blend, jnp.promote_types(jnp.float32, first.dtype))
        sizes = tuple(size.positions(name) for name in self.layers)
        return _combine(stats, positions, blend, self, sizes)

    def value(self, sums: Any, target: Target, weight: Weight, size: Size) -> Scalar:
        """Returns the weighted distance of the statistics."""
        parts = []
        for name in self.layers:
            if name not in target.style:
                raise InputError(f"targets: the style layer {name} is missing; make them again")
            of_layer, (wanted, energy) = sums[name], target.style[name]
            self._check(name, of_layer, wanted, size)
            masks = target.local.get(name)
            first = jax.tree.leaves(of_layer)[0]
            counted = None if masks is None else masks.sum((0, 1))
            positions = _positions(counted, size, name, first)
            distances = jax.vmap(self.statistic.distance)(of_layer, positions, wanted)
            layer = StyleLayer(
                degree=self.statistic.degree,
                channels=jax.tree.leaves(wanted)[0].shape[-1],
                positions=positions.sum(),
                pixels=jnp.asarray(size.pixels, first.dtype),
                energy=energy,
            )
            shares = positions / positions.sum()
            divisor = self.normalisation.style_divisor(layer)
            parts.append(weight.of(name) * (shares * distances / divisor).sum())
        return total(parts)

    def _check(self, name: str, sums: Any, target: Any, size: Size) -> None:
        """Checks that a target was made with this statistic."""

        def make(sums: Any) -> Any:
            own = jax.tree.map(lambda x: x[0], sums)
            number = jnp.asarray(1.0, jax.tree.leaves(own)[0].dtype)
            blend = jnp.ones(1, number.dtype)
            return self.statistic.target([own], [number], blend, size.positions(name))

        expected = jax.tree.map(lambda x: x.shape, jax.eval_shape(make, sums))
        if expected != jax.tree.map(lambda x: x.shape[1:], target):
            kind = type(self.statistic).__name__
            raise InputError(f"targets: those of {name} are not for {kind}; make them again")


def _regions(view: View, layer: str) -> Masks | None:
    """Returns the weight of each position in each region, ``f32[r, h', w']``; None if all are 1."""
    counts = view.counts.get(layer)
    if layer not in view.local:
        return None if counts is None else counts[None]
    masks = jnp.moveaxis(view.local[layer], -1, 0)
    return masks if counts is None else counts[None] * masks


def _positions(counted: Any, size: Size, layer: str, like: Array) -> Float[Array, "_"]:
    """Returns the number of positions of each region; an image without masks is one region."""
    return jnp.full(1, size.positions(layer), like.dtype) if counted is None else counted


@jit(static_argnames=("term", "sizes"))
def _combine(
    stats: Sequence[Any],
    positions: Sequence[Any],
    blend: Float[Array, "_"],
    term: Style,
    sizes: tuple[int, ...],
) -> dict[str, Any]:
    targets = {}
    for name, size in zip(term.layers, sizes, strict=True):
        counted = jnp.stack([of_layers[name] for of_layers in positions])
        present = blend[:, None] * (counted > _LEAST * counted.sum(1, keepdims=True))
        whole = present.sum(0)
        present = present / jnp.where(whole > 0, whole, 1.0)
        targets[name] = jax.vmap(partial(term.statistic.target, size=size))(
            [of_layers[name] for of_layers in stats], list(counted), blend=present.T
        )
    energy = jax.vmap(term.statistic.energy)
    return {name: (target, energy(target)) for name, target in targets.items()}
