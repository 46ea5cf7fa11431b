"""Imports go strictly downward: a module may use only what stands on a lower floor."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import jaxstyle

PACKAGE = Path(jaxstyle.__file__).parent
FLOORS = [
    {"arrays", "atomic", "errors", "interrupts", "winograd"},
    {"compilation"},
    {"colour", "convolution", "gradients", "normalisation", "resize", "solvers", "variation"}
    | {"fourier", "pooling", "preprocessing"},
    {"schedule", "sources", "vgg"},
    {"parameterisation", "stats"},
    {"objective"},
    {"targets"},
    {"terms"},
    {"loop"},
    {"stylize"},
    {"recipe", "texture"},
    {"presets"},
    {"files", "pretrained"},
    {"__init__"},
    {"report"},
    {"cli"},
    {"__main__"},
]
SHELL = {"files", "pretrained", "report", "cli", "__main__"}
SOLVER_LIBRARIES = {"jaxopt", "optax"}


def floor(room):
    return next(i for i, rooms in enumerate(FLOORS) if room in rooms)


def rooms():
    """Maps every room, a module or a package, to its files."""
    return {
        path.stem: sorted(path.rglob("*.py")) if path.is_dir() else [path]
        for path in PACKAGE.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }


def imports(path):
    """Yields the dotted names that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def used_rooms(room, files):
    """Yields the other rooms that a room's files import; the package itself is ``__init__``."""
    for path in files:
        for name in imports(path):
            top, *rest = name.split(".")
            if top == "jaxstyle":
                used = rest[0] if rest and rest[0] in rooms() else "__init__"
                # `from jaxstyle import vgg` names both; what counts is the room.
                if used != room and not (used == "__init__" and from_package(path, name)):
                    yield used


def from_package(path, name):
    return name == "jaxstyle" and f"import {name}" not in path.read_text()


def test_every_room_has_a_floor():
    assert set().union(*FLOORS) == set(rooms())


@pytest.mark.parametrize("room", sorted(rooms()))
def test_imports_go_down(room):
    above = {other for other in used_rooms(room, rooms()[room]) if floor(other) >= floor(room)}
    assert not above, f"{room} imports {above}, which do not stand below it"


def test_one_module_knows_the_solver_libraries():
    users = {
        room
        for room, files in rooms().items()
        for path in files
        if any(name.split(".")[0] in SOLVER_LIBRARIES for name in imports(path))
    }
    assert users == {"solvers"}


def test_the_core_knows_nothing_of_the_shell():
    libraries = {"h5py", "PIL", "pooch", "rich", "safetensors", "tifffile", "tyro", "torch"}
    for room, files in rooms().items():
        if room not in SHELL:
            used = {name.split(".")[0] for path in files for name in imports(path)}
            assert not used & libraries, room


def test_modules_are_short():
    lengths = {path: len(path.read_text().splitlines()) for p in rooms().values() for path in p}
    assert max(lengths.values()) <= 300, lengths


def test_import_starts_nothing():
    """Importing must not start a backend, warn, or import what only the command needs."""
    program = (
        "import sys, jaxstyle, jax;"
        "from jax._src import xla_bridge;"
        "assert not xla_bridge._backends, 'a backend was started';"
        "assert not {'tyro', 'torch'} & set(sys.modules), 'the command was imported'"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
