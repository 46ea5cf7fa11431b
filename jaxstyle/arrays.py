"""The names that every array of the library goes by.

An image is ``f32[h, w, 3]``, sRGB in [0, 1], without a batch axis: batches come from ``jax.vmap``.
The aliases are checked where the tests switch jaxtyping's import hook on; elsewhere they cost
nothing. They leave height and width open; a function that ties sizes together says so itself.
"""

from typing import TypeAlias

from jaxtyping import Array, Float

Image: TypeAlias = Float[Array, "_ _ 3"]
Feature: TypeAlias = Float[Array, "_ _ _"]
Features: TypeAlias = dict[str, Float[Array, "_ _ _"]]
Params: TypeAlias = dict[str, dict[str, Float[Array, "..."]]]
Masks: TypeAlias = Float[Array, "r _ _"]
Scalar: TypeAlias = Float[Array, ""]
