"""Which rules of differentiation are traced: adjoints written by hand, or JAX's own.

Adjoints written by hand (``jax.custom_vjp``) are faster, but JAX cannot differentiate through them
in forward mode. The switch is read while a function is traced.
"""

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any, Literal, TypeVar

import jax

from jaxstyle.errors import InputError

Derivatives = Literal["reverse", "any"]
"""``reverse``: reverse mode, by adjoints written by hand; ``any``: all that JAX can do."""

T = TypeVar("T")
_ACTIVE: contextvars.ContextVar[Derivatives] = contextvars.ContextVar("derivatives")


@contextlib.contextmanager
def derivatives(kind: Derivatives) -> Iterator[None]:
    """Traces the functions that are called inside for these derivatives.

    Raises:
        InputError: They are differentiated in forward mode, and ``kind`` is ``reverse``.
    """
    token = _ACTIVE.set(kind)
    try:
        yield
    except TypeError as error:
        if "forward-mode" not in str(error):
            raise
        raise InputError(
            'forward mode: not with handwritten adjoints; give an encoder with derivatives="any"'
        ) from None
    finally:
        _ACTIVE.reset(token)


def handwritten() -> bool:
    """Returns whether adjoints written by hand are used."""
    return _ACTIVE.get("reverse") == "reverse"


def like_primal(cotangent: Any, primal: Any) -> Any:
    """Returns a cotangent that varies over the same mesh axes as the value that it belongs to.

    Within ``jax.shard_map`` a value that all devices share has one cotangent: the sum of those that
    the devices compute.

    Args:
        cotangent: A pytree of arrays.
        primal: A pytree of the same structure.
    """

    def match(ct: Any, x: Any) -> Any:
        extra = mesh_axes(ct) - mesh_axes(x)
        return jax.lax.psum(ct, tuple(sorted(extra))) if extra else ct

    return jax.tree.map(match, cotangent, primal)


def mesh_axes(*trees: Any) -> frozenset[str]:
    """Returns the axes of a ``shard_map``'s mesh that any of some arrays varies over."""
    return frozenset().union(*(_varying(jax.typeof(leaf)) for leaf in jax.tree.leaves(trees)))


def _varying(kind: Any) -> frozenset[str]:
    # JAX 0.10 has renamed the attribute.
    marked = getattr(kind, "mat", None)
    return frozenset(getattr(kind, "vma", ()) if marked is None else marked.varying)


def varying_like(tree: T, *references: Any) -> T:
    """Returns arrays that vary over the mesh axes that some others do, to begin a loop with."""
    axes = mesh_axes(references)
    if not axes:
        return tree

    def vary(x: Any) -> Any:
        missing = tuple(sorted(axes - mesh_axes(x)))
        return _vary(x, missing) if missing else x

    return jax.tree.map(vary, tree)


def _vary(x: Any, axes: tuple[str, ...]) -> Any:
    if hasattr(jax.lax, "pcast"):
        return jax.lax.pcast(x, axes, to="varying")
    return jax.lax.pvary(x, axes)  # pyright: ignore[reportAttributeAccessIssue] # JAX before 0.9
