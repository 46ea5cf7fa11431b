"""Types of the library's arrays, and checks of what is passed as one.

An image is ``f32[h, w, 3]``, sRGB in [0, 1], without a batch axis: batches come from ``jax.vmap``.
The aliases are checked where the tests use jaxtyping's import hook; elsewhere they cost nothing.
They leave height and width open; a function that relates sizes checks them itself.
"""

from typing import Any, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from jaxstyle.errors import InputError

Image: TypeAlias = Float[Array, "_ _ 3"]
Feature: TypeAlias = Float[Array, "_ _ _"]
Features: TypeAlias = dict[str, Float[Array, "_ _ _"]]
Params: TypeAlias = dict[str, dict[str, Float[Array, "..."]]]
Masks: TypeAlias = Float[Array, "r _ _"]
Scalar: TypeAlias = Float[Array, ""]
Variable: TypeAlias = Float[Array, "..."]
"""What a solver moves: an image, or a vector."""

A = TypeVar("A", bound=Any)


# What an optimised image may leave [0, 1] by, and what a picture may by rounding.
_OUTSIDE = 0.01


def check_picture(name: str, picture: Any, *, least: int = 1, outside: float = _OUTSIDE) -> None:
    """Checks the kind and the range of a picture's values, where they are known.

    Args:
        name: Name of the argument, for the message.
        picture: ``f32[h, w, 3]``, sRGB in [0, 1].
        least: Minimum length of each side in pixels.
        outside: By how much values may leave [0, 1].

    Raises:
        InputError: The picture is not an array, or its values are not in [0, 1].
    """
    if not isinstance(picture, jax.Array | np.ndarray):
        kind = f"{type(picture).__module__.partition('.')[0]}.{type(picture).__name__}"
        advice = {"torch": "give picture.numpy()", "PIL": "give js.load_image(file)"}
        advice |= {"pathlib": "give js.load_image(path)", "builtins": "give js.load_image(path)"}
        todo = advice.get(kind.partition(".")[0], "give a NumPy or JAX array")
        raise InputError(f"{name}: a {kind} is not an array; {todo}")
    check_image(name, picture, least=least)
    if is_traced(picture) or not getattr(picture, "is_fully_addressable", True):
        return
    values = np.asarray(picture, np.float32)
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError(f"{name}: has values that are not finite; give sRGB in [0, 1]")
    if low < -outside or high > 1 + outside:
        todo = "divide by 255" if high > 2 else "add 1 and divide by 2"
        found = f"{name}: values from {low:.3g} to {high:.3g}"
        raise InputError(f"{found}; give sRGB in [0, 1]: {todo}")


def check_image(name: str, image: Any, *, least: int = 1) -> None:
    """Checks the shape and type of an image, at trace time, too.

    Args:
        name: Name of the argument, for the message.
        image: ``f32[h, w, 3]``, or of another floating-point type.
        least: Pixels that each side must have.

    Raises:
        InputError: The image has another shape or type, or is too small.
    """
    shape, dtype = jnp.shape(image), jnp.result_type(image)
    if len(shape) != 3 or shape[2] != 3 or not jnp.issubdtype(dtype, jnp.floating):
        kind = f"{dtype}{list(shape)}"
        raise InputError(f"{name}: {kind} is not an image; give float32[h, w, 3] in [0, 1]")
    if min(shape[:2]) < least:
        raise InputError(f"{name}: a side under {least} px; give a larger picture")


def is_traced(*trees: Any) -> bool:
    """Returns whether a function is being traced with these arguments."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(trees))


def widen(x: A) -> A:
    """Returns an array in float32 at least: sums over positions need it."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
