"""Imports go strictly downward, between rooms and within them, and what stands where it should."""

import ast
import dataclasses
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import jaxstyle

PACKAGE = Path(jaxstyle.__file__).parent
# From the ground up; a module may import what stands on a line above its own, and nothing else.
# A name without a dot is a module at the root or a room's ``__init__``.
FLOORS = """
    errors atomic configuration interrupts paths version
    arrays
    compilation.options compilation.programs
    compilation.jitted
    compilation
    ops
    ops.winograd ops.pooling ops.resize ops.fourier ops.gradients ops.variation
    ops.convolution ops.colour
    encoder.preprocessing
    encoder.base encoder.vgg
    encoder.vgg_encoder encoder.receptive
    encoder
    tiling
    tiling.grid
    tiling.windows
    losses
    losses.normalisation losses.statistics.base losses.statistics.roots
    losses.statistics.gram losses.statistics.sliced
    losses.statistics.moments
    losses.statistics
    losses.objective losses.strips
    losses.tiles
    losses.measure
    losses.targets
    losses.loss
    large
    large.tiles large.mesh
    large.halo
    large.patches
    large.sharded
    large.devices
    perceptual.pair
    perceptual.relative
    perceptual.calibration
    perceptual.learned
    perceptual
    solvers.base solvers.linesearch
    solvers.from_jaxopt
    solvers.lbfgs solvers.first_order
    solvers
    run
    run.schedule run.sources run.start run.parameterisation
    run.ahead run.loop
    run.shares
    run.chunks run.optimise run.lanes run.sweep_sources
    run.checkpoint
    run.progress
    run.stylize
    run.texture run.sweep
    pretrained
    recipes
    recipes.typed
    recipes.recipe recipes.system_memory
    recipes.demand
    recipes.fitting
    recipes.paint recipes.presets recipes.words
    recipes.sweeps
    files
    jobs
    batch
    __init__
    web
    cli
    __main__
"""
# Rooms of the shell, whose modules this file leaves to their own order.
SHELL = {"files", "pretrained", "jobs", "batch", "web", "cli", "__main__"}
HEAVY = {"h5py", "PIL", "requests", "rich", "safetensors", "tifffile", "tyro", "torch"}
HEAVY |= {"starlette", "uvicorn"}
SOLVER_LIBRARIES = {"jaxopt", "optax"}

FLOOR = {name: i for i, line in enumerate(FLOORS.strip().splitlines()) for name in line.split()}


def name_of(path):
    """A file's dotted name below the package; a room of the shell is one name."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    if parts[0] in SHELL:
        return parts[0]
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


FILES = {path: name_of(path) for path in sorted(PACKAGE.rglob("*.py"))}
NAMES = set(FILES.values())


def imports(path):
    """Yields the dotted names that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            for alias in node.names:
                below = f"{node.module}.{alias.name}"
                is_module = below.removeprefix("jaxstyle.") in NAMES
                yield below if is_module or node.module == "jaxstyle" else node.module


def used(path):
    """Yields the names of the package's own that a file imports."""
    for dotted in imports(path):
        top, _, rest = dotted.partition(".")
        if top == "jaxstyle":
            room = rest.partition(".")[0]
            found = room if room in SHELL else rest
            yield found if found in NAMES else "__init__"


def test_every_module_has_a_floor():
    assert FLOOR.keys() == NAMES


@pytest.mark.parametrize("path", FILES, ids=FILES.values())
def test_imports_go_down(path):
    name = FILES[path]
    above = {other for other in used(path) if other != name and FLOOR[other] >= FLOOR[name]}
    assert not above, f"{name} imports {above}, which do not stand below it"


def test_one_room_knows_the_solver_libraries():
    users = {
        name.partition(".")[0]
        for path, name in FILES.items()
        if any(dotted.split(".")[0] in SOLVER_LIBRARIES for dotted in imports(path))
    }
    assert users == {"solvers"}


def test_the_core_knows_nothing_of_the_shell():
    for path, name in FILES.items():
        if name not in SHELL:
            assert not {dotted.split(".")[0] for dotted in imports(path)} & HEAVY, name


def test_modules_are_short():
    lengths = {path: len(path.read_text().splitlines()) for path in FILES}
    assert max(lengths.values()) <= 300, lengths


def test_no_room_shares_its_name_with_a_function():
    rooms = {name.partition(".")[0] for name in NAMES}
    for name in rooms & set(jaxstyle.__all__):
        assert inspect.ismodule(getattr(jaxstyle, name)), name


ORDER = ("image", "stats", "content", "style", "styles", "masks", "shape", "targets")
ORDER += ("loss_weights", "encoder", "objective", "layers")


def test_arguments_come_in_one_order():
    """What is differentiated, pictures and targets, loss weights, the encoder, the objective."""
    seen = 0
    for name in jaxstyle.__all__:
        function = getattr(jaxstyle, name)
        function = getattr(function, "function", function)  # behind a decorator of ours
        if inspect.isfunction(function):
            parameters = inspect.signature(function).parameters.values()
            positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
            known = [p for p in positional if p in ORDER]
            assert known == sorted(known, key=ORDER.index), name
            seen += len(known)
    assert seen > 30


def test_public_dataclasses_take_names_only():
    for name in jaxstyle.__all__:
        kind = getattr(jaxstyle, name)
        is_kind = isinstance(kind, type) and dataclasses.is_dataclass(kind)
        fields = dataclasses.fields(kind) if is_kind else ()
        # Flax makes its modules' constructors itself; a statistic has one number at most.
        if len(fields) > 1 and name != "VGG":
            assert all(field.kw_only for field in fields), name


def test_defaults_stand_once():
    """A default that two dataclasses or functions share is one name, not the same number twice."""
    recipe = {f.name: f.default for f in dataclasses.fields(jaxstyle.Recipe)}
    for name, parameter in inspect.signature(jaxstyle.stylize).parameters.items():
        if name in recipe and parameter.default not in (parameter.empty, None):
            assert parameter.default == recipe[name], name
    del recipe["memory"]  # auto, which only whoever knows the memory can decide
    for kind in (jaxstyle.Schedule, jaxstyle.Objective):
        for field in dataclasses.fields(kind):
            if field.name in recipe and not isinstance(
                recipe[field.name], dataclasses._MISSING_TYPE
            ):
                assert field.default is dataclasses.MISSING or field.default == recipe[field.name]
    padding = inspect.signature(jaxstyle.load_encoder).parameters["padding"].default
    assert padding == recipe["padding"]


def test_import_starts_nothing():
    """Importing must not start a backend, warn, or import what only the command needs."""
    program = (
        "import sys, jaxstyle, jax;"
        "from jax._src import xla_bridge;"
        "assert not xla_bridge._backends, 'a backend was started';"
        "told = {'jaxopt', 'onnx', 'requests', 'tensorflow', 'tifffile', 'torch', 'tyro'};"
        "assert not told & set(sys.modules), told & set(sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
