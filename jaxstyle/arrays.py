"""The names that every array of the library goes by, and what an array must be to have one.

An image is ``f32[h, w, 3]``, sRGB in [0, 1], without a batch axis: batches come from ``jax.vmap``.
The aliases are checked where the tests switch jaxtyping's import hook on; elsewhere they cost
nothing. They leave height and width open; a function that ties sizes together says so itself.
"""

from typing import Any, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float

from jaxstyle.errors import InputError

Image: TypeAlias = Float[Array, "_ _ 3"]
Feature: TypeAlias = Float[Array, "_ _ _"]
Features: TypeAlias = dict[str, Float[Array, "_ _ _"]]
Params: TypeAlias = dict[str, dict[str, Float[Array, "..."]]]
Masks: TypeAlias = Float[Array, "r _ _"]
Scalar: TypeAlias = Float[Array, ""]

A = TypeVar("A", bound=Any)


def check_image(name: str, image: Any, *, least: int = 1) -> None:
    """Refuses what is no image, by shape and type alone: at trace time, too.

    Args:
        name: Argument that it is, for the message.
        image: To be checked.
        least: Pixels that each side must have.

    Raises:
        InputError: It is not ``f32[h, w, 3]`` (or of another floating-point type), or too small.
    """
    shape, dtype = jnp.shape(image), jnp.result_type(image)
    if len(shape) != 3 or shape[2] != 3 or not jnp.issubdtype(dtype, jnp.floating):
        kind = f"{dtype}{list(shape)}"
        raise InputError(f"{name}: {kind} is no image; give float32[h, w, 3] in [0, 1]")
    if min(shape[:2]) < least:
        raise InputError(f"{name}: a side under {least} px; give a larger picture")


def is_traced(*trees: Any) -> bool:
    """Returns whether a function is being traced with these arguments."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(trees))


def widen(x: A) -> A:
    """Returns an array in float32 at least: sums over positions need it."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
