"""Traces, kept in a folder: where programs are compiled already, tracing is most of the wait.

XLA's cache of compiled programs spares none of what comes before: Python running over every layer,
autodiff, lowering. A trace is what they lead to, StableHLO, and the same for the same code,
settings and shapes.
"""

import contextlib
import functools
import hashlib
import inspect
import os
import pickle
import tempfile
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, ParamSpec, TypeAlias, TypeVar

import jax
from jax import export

_Trace: TypeAlias = tuple[export.Exported, Any]
"""The program, from leaves to leaves, and the structure of the tree that it returns."""

P = ParamSpec("P")
R = TypeVar("R")

_LIBRARIES = ("jax", "jaxlib", "flax", "optax", "jaxopt")

_folder: Path | None = None


def keep_traces(folder: Path | None) -> None:
    """Lets whole programs be traced into a folder, and taken from there by later processes.

    Meant for applications: a trace is found by the ``repr`` of what is static, by this package's
    code and by the versions below it, not by the code of others that may be handed in. What is read
    is unpickled: the folder is as trusted as one of compiled programs.

    Args:
        folder: Created when the first trace is written; None to keep none.
    """
    global _folder
    _folder = folder


def kept(function: Callable[P, R], static_argnames: tuple[str, ...]) -> Callable[P, R]:
    """Returns the function, traced once only where there is a folder of traces.

    Args:
        function: Pure, and kept only if it stands by itself in a module.
        static_argnames: Its arguments that change the program.

    Returns:
        The same function for ``jax.jit``, which calls it when it has no program for some shapes.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        # Nothing tells functions within functions apart.
        if _folder is None or "<" in function.__qualname__:
            return function(*args, **kwargs)
        traced = signature.bind(*args, **kwargs).arguments
        static = {name: traced.pop(name) for name in static_argnames if name in traced}
        leaves, tree = jax.tree.flatten(traced)
        types = [jax.typeof(leaf) for leaf in leaves]
        shapes = [jax.ShapeDtypeStruct(t.shape, t.dtype, weak_type=t.weak_type) for t in types]
        name = f"{function.__module__}.{function.__qualname__}"
        path = _folder / _digest(name, static, tree, shapes)
        found = _read(path)
        if found is None:
            whole = functools.partial(function, **static)
            trace = _trace(lambda *leaves: whole(**jax.tree.unflatten(tree, leaves)), shapes)
            _write(path, trace)
            # What JAX makes of a trace that was not written differs: XLA would compile both.
            found = _parse(trace)
        exported, structure = found
        return jax.tree.unflatten(structure, exported.call(*leaves))

    return call


def _trace(function: Callable[..., Any], shapes: list[jax.ShapeDtypeStruct]) -> bytes:
    structures = []

    def flat(*leaves: jax.Array) -> list[Any]:
        # JAX writes structures of built-in containers only.
        result, structure = jax.tree.flatten(function(*leaves))
        structures.append(structure)
        return result

    exported = export.export(jax.jit(flat))(*shapes)
    return pickle.dumps((bytes(exported.serialize()), structures[-1]))


def _parse(trace: bytes) -> _Trace:
    exported, structure = pickle.loads(trace)
    return export.deserialize(bytearray(exported)), structure


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


def _read(path: Path) -> _Trace | None:
    try:
        return _parse(path.read_bytes())
    except Exception:  # Whatever is wrong with the file, it is traced and written anew.
        return None


def _write(path: Path, trace: bytes) -> None:
    with contextlib.suppress(OSError):  # Without it the next run takes as long as this one.
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(trace)
        os.replace(file.name, path)
