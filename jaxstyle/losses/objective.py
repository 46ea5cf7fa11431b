"""The objective's settings: what changes the program, and what changes numbers only.

:class:`Objective` is static. :class:`LossWeights` is a pytree, as are the targets, so that another
weight or picture never recompiles and ``vmap`` runs over them.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from jaxstyle.encoder import IMAGE
from jaxstyle.encoder.vgg import LAYER
from jaxstyle.errors import InputError, check_choice, choose, unknown
from jaxstyle.losses.normalisation import NORMALISATIONS, Normalisation
from jaxstyle.losses.statistics import Gram, Statistic
from jaxstyle.ops.variation import VARIATIONS, Variation

Memory = Literal["high", "low", "tiles"]


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True, kw_only=True)
class Objective:
    """What the terms of the loss are made of. Static and hashable.

    Attributes:
        content_layers: Layers whose features the image should keep.
        style_layers: Layers whose statistics the image should take over.
        statistic: What of a style layer's features is taken over.
        normalisation: What the terms are divided by: a name, or an object of one's own.
        tv: The kind of total variation: a name, or a function of one's own.
        normalise_gradients: Whether the gradient that each layer's term sends back is divided by
            its L1 norm. No loss has such a gradient: it takes a solver without a line search.
        memory: ``low`` computes activations strip by strip, and once more on the way back, instead
            of keeping them; ``tiles`` window by window, in memory that does not grow with the
            image. The loss is the same.
        tile: Pixels: a window of ``tiles`` has no more of them than a square of this side.
    """

    content_layers: tuple[str, ...] = ("conv4_2",)
    style_layers: tuple[str, ...] = ("image", "conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
    statistic: Statistic = dataclasses.field(default_factory=Gram)
    normalisation: str | Normalisation = "energy"
    tv: str | Variation = "l2"
    normalise_gradients: bool = False
    memory: Memory = "high"
    tile: int = 1104

    def __post_init__(self) -> None:
        choose("normalisation", self.normalisation, NORMALISATIONS)
        choose("tv", self.tv, VARIATIONS)
        check_choice("memory", self.memory, get_args(Memory))
        if self.tile < 1:
            raise InputError(f"tile {self.tile}: no side; give a number of pixels above 0")
        if self.memory == "tiles" and not self.adds_up:
            what = "norms of gradients are" if self.normalise_gradients else "this statistic is"
            raise InputError(f"memory tiles: {what} no sum over tiles; choose memory high or low")

    @property
    def adds_up(self) -> bool:
        """Whether all that is measured of parts of an image adds up to that of the whole."""
        return self.statistic.additive and not self.normalise_gradients

    @property
    def layers(self) -> tuple[str, ...]:
        """All layers, each once."""
        return tuple(dict.fromkeys((*self.content_layers, *self.style_layers)))


# Chosen by eye and by measure, docs/recipe.md: conv2_1 and conv3_1 carry strokes and see every grid
# of pixels; deep layers alone draw one, and bring things over instead of strokes.
_BALANCE = {"image": 20.0, "conv2_1": 10.0, "conv3_1": 10.0, "conv5_1": 0.1}


@jax.tree_util.register_pytree_with_keys_class
@dataclasses.dataclass(frozen=True, kw_only=True)
class LossWeights:
    """How much each term counts: a pytree of traced numbers ≥ 0, or of vectors of them for vmap.

    However a number is written, ``8``, ``8.0``, ``np.float64(8)``, it becomes one float32 and
    recompiles nothing.

    Attributes:
        content: Of the content term.
        style: Of the style term.
        tv: Of the total variation.
        content_layers: Of single content layers; 1 where a layer is not named.
        style_layers: Of single style layers; 1 where a layer is not named.

    Examples:
        >>> import jax
        >>> weights = LossWeights(style=np.array([1.0, 3.0, 10.0]))
        >>> double = lambda weights: 2 * weights.style
        >>> jax.vmap(double, in_axes=(weights.axes(),))(weights).tolist()
        [2.0, 6.0, 20.0]
    """

    content: ArrayLike = 1.0
    style: ArrayLike = 60.0
    tv: ArrayLike = 5.0
    content_layers: Mapping[str, ArrayLike] = dataclasses.field(default_factory=dict)
    style_layers: Mapping[str, ArrayLike] = dataclasses.field(
        default_factory=lambda: dict(_BALANCE)
    )

    def __post_init__(self) -> None:
        for name in ("content", "style", "tv"):
            object.__setattr__(self, name, _number(getattr(self, name)))
        for name in ("content_layers", "style_layers"):
            layers = {layer: _number(weight) for layer, weight in getattr(self, name).items()}
            object.__setattr__(self, name, layers)

    def tree_flatten_with_keys(self) -> tuple[tuple[Any, ...], None]:
        """Returns the fields as JAX wants them."""
        names = _LOSS_WEIGHT_FIELDS
        return tuple((jax.tree_util.GetAttrKey(n), getattr(self, n)) for n in names), None

    @classmethod
    def tree_unflatten(cls, aux: None, fields: Sequence[Any]) -> "LossWeights":
        """Returns what JAX puts together: whatever the leaves are, they are left alone."""
        weights = object.__new__(cls)
        for name, value in zip(_LOSS_WEIGHT_FIELDS, fields, strict=True):
            object.__setattr__(weights, name, value)
        return weights

    def replace(self, **changes: Any) -> "LossWeights":
        """Returns the loss weights with other values for some fields."""
        return dataclasses.replace(self, **changes)

    def axes(self) -> "LossWeights":
        """Returns ``in_axes`` for ``jax.vmap``: 0 for what is a vector, None for single numbers."""
        return jax.tree.map(lambda weight: 0 if jnp.ndim(weight) else None, self)

    @staticmethod
    def stack(weights: "Sequence[LossWeights]") -> "LossWeights":
        """Returns several loss weights as one with vectors in it, for ``jax.vmap``.

        Args:
            weights: One or more; a layer that some do not name counts 1 there.

        Examples:
            >>> stacked = LossWeights.stack([LossWeights(style=1), LossWeights(style=2)])
            >>> stacked.style.tolist()
            [1.0, 2.0]
        """

        def named(field: str) -> dict[str, ArrayLike]:
            layers = dict.fromkeys(layer for w in weights for layer in getattr(w, field))
            return {n: _stacked([getattr(w, field).get(n, 1.0) for w in weights]) for n in layers}

        single = {n: _stacked([getattr(w, n) for w in weights]) for n in ("content", "style", "tv")}
        return LossWeights(
            **single, content_layers=named("content_layers"), style_layers=named("style_layers")
        )

    def check_layers(self, objective: Objective) -> None:
        """Refuses weights of what is no layer; those of layers that the objective lacks wait.

        Raises:
            InputError: A name is none of the objective's, and not like any layer's.
        """
        for name in (*self.content_layers, *self.style_layers):
            if name not in (IMAGE, *objective.layers) and not LAYER.fullmatch(name):
                raise unknown("loss weight of layer", name, objective.layers)

    def of_content(self, layer: str) -> ArrayLike:
        """Returns the weight of a content layer."""
        return self.content * self.content_layers.get(layer, 1.0)

    def of_style(self, layer: str) -> ArrayLike:
        """Returns the weight of a style layer."""
        return self.style * self.style_layers.get(layer, 1.0)


_LOSS_WEIGHT_FIELDS = tuple(field.name for field in dataclasses.fields(LossWeights))


def _number(weight: Any) -> Any:
    """Returns a number as one of NumPy's in float32; what JAX computed is left alone."""
    plain = isinstance(weight, int | float | np.generic | np.ndarray)
    return np.asarray(weight, np.float32)[()] if plain else weight


def _stacked(weights: Sequence[Any]) -> Any:
    plain = all(isinstance(weight, float | np.generic) for weight in weights)
    return np.stack(weights) if plain else jnp.stack([jnp.asarray(weight) for weight in weights])
