"""Loss weights: how much each term and each layer counts."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from jaxstyle.encoder import IMAGE
from jaxstyle.encoder.vgg import LAYER
from jaxstyle.errors import InputError, unknown
from jaxstyle.losses.objective import Objective
from jaxstyle.losses.term import Weight

# Chosen by eye and by measurement, docs/recipe.md: conv2_1 and conv3_1 carry strokes and see every
# grid of pixels; deep layers alone draw one, and bring objects over instead of strokes.
STYLE_LAYERS = {"image": 20.0, "conv2_1": 10.0, "conv3_1": 10.0, "conv5_1": 0.1}
"""The default weights of style layers."""


@jax.tree_util.register_pytree_with_keys_class
@dataclasses.dataclass(frozen=True, kw_only=True)
class LossWeights:
    """How much each term counts: a pytree of traced numbers ≥ 0, or of vectors of them for vmap.

    ``8``, ``8.0`` and ``np.float64(8)`` become the same float32 and do not recompile.

    Attributes:
        content: Weight of the content term.
        style: Weight of the style term.
        tv: Weight of the total variation.
        content_layers: Weights of content layers; 1 where a layer is not named.
        style_layers: Weights of style layers; 1 where a layer is not named.
        extra: Weights of further terms; 1 where a term is not named.

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
        default_factory=lambda: dict(STYLE_LAYERS)
    )
    extra: Mapping[str, ArrayLike] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in _NUMBERS:
            object.__setattr__(self, name, _number(getattr(self, name)))
        for name in _MAPPINGS:
            numbers = {key: _number(weight) for key, weight in getattr(self, name).items()}
            object.__setattr__(self, name, numbers)

    def tree_flatten_with_keys(self) -> tuple[tuple[Any, ...], None]:
        """Returns the fields for JAX."""
        return tuple((jax.tree_util.GetAttrKey(n), getattr(self, n)) for n in _FIELDS), None

    @classmethod
    def tree_unflatten(cls, aux: None, fields: Sequence[Any]) -> "LossWeights":
        """Returns loss weights with any leaves, which JAX needs."""
        weights = object.__new__(cls)
        for name, value in zip(_FIELDS, fields, strict=True):
            object.__setattr__(weights, name, value)
        return weights

    def replace(self, **changes: Any) -> "LossWeights":
        """Returns the loss weights with other values for some fields."""
        return dataclasses.replace(self, **changes)

    def axes(self) -> "LossWeights":
        """Returns ``in_axes`` for ``jax.vmap``: 0 for vectors, None for single numbers."""
        return jax.tree.map(lambda weight: 0 if jnp.ndim(weight) else None, self)

    @staticmethod
    def stack(weights: "Sequence[LossWeights]") -> "LossWeights":
        """Returns several loss weights as one with vectors, for ``jax.vmap``.

        Args:
            weights: One or more; a layer or term that some do not name counts 1 there.

        Examples:
            >>> stacked = LossWeights.stack([LossWeights(style=1), LossWeights(style=2)])
            >>> stacked.style.tolist()
            [1.0, 2.0]
        """

        def named(field: str) -> dict[str, Any]:
            keys = dict.fromkeys(key for w in weights for key in getattr(w, field))
            return {k: _stacked([getattr(w, field).get(k, 1.0) for w in weights]) for k in keys}

        fields: dict[str, Any] = {n: named(n) for n in _MAPPINGS}
        fields |= {n: _stacked([getattr(w, n) for w in weights]) for n in _NUMBERS}
        return LossWeights(**fields)

    def of(self, term: str) -> Weight:
        """Returns the weight of a term with those of its layers."""
        if term in _NUMBERS:
            return Weight(getattr(self, term), getattr(self, f"{term}_layers", {}))
        return Weight(self.extra.get(term, 1.0))

    def check(self, objective: Objective) -> None:
        """Checks that the weights belong to an objective; weights of unused layers are ignored.

        Raises:
            InputError: A name is neither a layer nor a term, or a weight is not a single number.
        """
        for name in (*self.content_layers, *self.style_layers):
            if name not in (IMAGE, *objective.layers) and not LAYER.fullmatch(name):
                raise unknown("loss weight of layer", name, objective.layers)
        for name in self.extra:
            if name not in objective.terms:
                raise unknown("loss weight of term", name, objective.terms)
        for path, weight in jax.tree_util.tree_leaves_with_path(self):
            if jnp.ndim(weight):
                name = jax.tree_util.keystr(path).lstrip(".")
                raise InputError(
                    f"loss_weights: {name} has the shape {list(jnp.shape(weight))}; use jax.vmap "
                    "with in_axes=(loss_weights.axes(),)"
                )


jax.export.register_pytree_node_serialization(
    LossWeights,
    serialized_name="jaxstyle.LossWeights",
    serialize_auxdata=lambda aux: b"",
    deserialize_auxdata=lambda text: None,
)

_NUMBERS = ("content", "style", "tv")
_MAPPINGS = ("content_layers", "style_layers", "extra")
_FIELDS = (*_NUMBERS, *_MAPPINGS)


def _number(weight: Any) -> Any:
    """Returns a number as a float32 array on the device; arrays of JAX are left alone."""
    if not isinstance(weight, int | float | np.generic | np.ndarray):
        return weight
    return jax.device_put(np.asarray(weight, np.float32))


def _stacked(weights: Sequence[Any]) -> Any:
    return jnp.stack([jnp.asarray(weight) for weight in weights])
