"""The structure of trees as JSON: what a file may say without being able to run anything."""

import importlib
from typing import Any

import jax

# Whose named tuples a tree may be made of.
_PACKAGES = ("jaxstyle", "optax")


def outline(structure: Any) -> Any:
    """Returns a tree's structure as what JSON can hold.

    Args:
        structure: As ``jax.tree.structure`` gives it.

    Raises:
        TypeError: There is more in it than tuples, named ones of ours and optax's, lists and
            dictionaries.

    Examples:
        >>> import jax
        >>> outline(jax.tree.structure({"x": (1.0, [2.0, None])}))
        {'dict': {'x': {'tuple': [0, [1, None]]}}}
    """
    return _outline(jax.tree.unflatten(structure, range(structure.num_leaves)))


def restore(outlined: Any) -> Any:
    """Returns the structure that :func:`outline` was given.

    Raises:
        ValueError: This is none, or names a type that is no named tuple of ours or optax's.

    Examples:
        >>> restore([0, {"tuple": [1, 2]}]) == jax.tree.structure([0.0, (1.0, 2.0)])
        True
    """
    return jax.tree.structure(_restore(outlined))


def _outline(tree: Any) -> Any:
    if tree is None or type(tree) is int:
        return tree
    if type(tree) is list:
        return [_outline(part) for part in tree]
    if type(tree) is tuple:
        return {"tuple": [_outline(part) for part in tree]}
    if type(tree) is dict and all(type(key) is str for key in tree):
        return {"dict": {key: _outline(part) for key, part in tree.items()}}
    kind = f"{type(tree).__module__}:{type(tree).__qualname__}"
    if _named_tuple(kind) is not type(tree):
        raise TypeError(f"{kind}: cannot be outlined")
    return {"named": kind, "parts": [_outline(part) for part in tree]}


def _restore(outlined: Any) -> Any:
    if outlined is None or type(outlined) is int:
        return outlined
    if type(outlined) is list:
        return [_restore(part) for part in outlined]
    if outlined.keys() == {"tuple"}:
        return tuple(_restore(part) for part in outlined["tuple"])
    if outlined.keys() == {"dict"}:
        return {key: _restore(part) for key, part in outlined["dict"].items()}
    kind = _named_tuple(outlined["named"])
    if kind is None:
        raise ValueError(f"{outlined['named']}: is no named tuple")
    return kind(*(_restore(part) for part in outlined["parts"]))


def _named_tuple(kind: str) -> Any:
    """Returns a type by module and name, None if it is no named tuple that a tree may have."""
    module, _, name = kind.partition(":")
    if module.partition(".")[0] not in _PACKAGES:
        return None
    found = getattr(importlib.import_module(module), name, None)
    named = isinstance(found, type) and issubclass(found, tuple) and hasattr(found, "_fields")
    return found if named else None
