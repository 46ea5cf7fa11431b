"""Traces, kept in a folder: where programs are compiled already, tracing is most of the wait.

XLA's cache of compiled programs spares none of what comes before: Python running over every layer,
autodiff, lowering. A trace is what they lead to, StableHLO, and the same for the same code,
settings and shapes.
"""

import contextlib
import functools
import hashlib
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, ParamSpec, TypeAlias, TypeVar

import jax
from jax import export

from jaxstyle.atomic import replacing
from jaxstyle.compilation.outlines import outline, restore

_Trace: TypeAlias = tuple[export.Exported, Any]
"""A program, from leaves to leaves, and the structure of the tree that they make up."""

P = ParamSpec("P")
R = TypeVar("R")

# NumPy too: what it draws while tracing is part of the trace.
_LIBRARIES = ("jax", "jaxlib", "numpy", "flax", "optax", "jaxopt")

_folder: Path | None = None


def keep_traces(folder: Path | None) -> None:
    """Lets whole programs be traced into a folder, and taken from there by later processes.

    Meant for applications: a trace is found by the ``repr`` of what is static, by this package's
    code and by the versions below it, not by the code of others that may be handed in. What is read
    is run as a program of XLA's: the folder is as trusted as one of compiled programs.

    Args:
        folder: Created when the first trace is written; None to keep none.
    """
    global _folder
    _folder = folder
    _code()  # Now, while it is still what Python has imported.


def kept(function: Callable[P, R], static_argnames: tuple[str, ...]) -> Callable[P, R]:
    """Returns the function, traced once only where there is a folder of traces.

    Args:
        function: Pure, and kept only if its module has it under its name.
        static_argnames: Its arguments that change the program.

    Returns:
        The same function for ``jax.jit``, which calls it when it has no program for some shapes.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        name = _name(function)
        # A trace is made for the default backend, not for another device.
        if _folder is None or name is None or jax.config.values["jax_default_device"]:
            return function(*args, **kwargs)
        arguments = signature.bind(*args, **kwargs).arguments
        static = {key: arguments.pop(key) for key in static_argnames if key in arguments}
        leaves, tree = jax.tree.flatten(arguments)
        types = [jax.typeof(leaf) for leaf in leaves]
        shapes = [jax.ShapeDtypeStruct(t.shape, t.dtype, weak_type=t.weak_type) for t in types]
        path = _folder / _digest(name, static, tree, shapes)
        trace = _read(path)
        if trace is None:
            partly = functools.partial(function, **static)
            written = _export(lambda *leaves: partly(**jax.tree.unflatten(tree, leaves)), shapes)
            if written is None:
                return function(*args, **kwargs)
            _write(path, written)
            # What JAX makes of a trace that was not written differs: XLA would compile both.
            trace = _parse(written)
        exported, structure = trace
        return jax.tree.unflatten(structure, exported.call(*leaves))

    return call


def _name(function: Callable[..., Any]) -> str | None:
    """Returns what a function is found by; None if that is another one, or none at all.

    JAX's transformations hand on the names of what they transform.
    """
    found = getattr(sys.modules.get(function.__module__), function.__qualname__, None)
    named = getattr(found, "function", found)  # behind a decorator of ours
    return f"{function.__module__}.{function.__qualname__}" if named is function else None


def _digest(name: str, static: Mapping[str, Any], tree: Any, shapes: list[Any]) -> str:
    config = sorted(jax.config.values.items())
    parts = (_code(), jax.default_backend(), config, name, static, tree, shapes)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


@functools.cache
def _code() -> str:
    """Returns what tells this package's code and the libraries' below it apart from others."""
    digest = hashlib.sha256(repr([version(name) for name in _LIBRARIES]).encode())
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _export(function: Callable[..., Any], shapes: list[jax.ShapeDtypeStruct]) -> bytes | None:
    """Returns what :func:`_parse` reads, None if the result's structure cannot be written down."""
    structures = []

    def flat(*leaves: jax.Array) -> list[Any]:
        # JAX writes structures of built-in containers only.
        result, structure = jax.tree.flatten(function(*leaves))
        structures.append(structure)
        return result

    exported = export.export(jax.jit(flat))(*shapes)
    try:
        head = json.dumps(outline(structures[-1]))
    except TypeError:
        return None
    return head.encode() + b"\n" + exported.serialize()


def _parse(written: bytes) -> _Trace:
    head, _, exported = written.partition(b"\n")
    return export.deserialize(bytearray(exported)), restore(json.loads(head))


def _read(path: Path) -> _Trace | None:
    try:
        return _parse(path.read_bytes())
    except Exception:  # Whatever is wrong with the file, it is traced and written anew.
        return None


def _write(path: Path, written: bytes) -> None:
    with contextlib.suppress(OSError):  # Without it the next run takes as long as this one.
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_bytes(written)
