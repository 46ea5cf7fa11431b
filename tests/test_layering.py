"""Imports go strictly downward, between packages and within them; conventions of the public API."""

import ast
import dataclasses
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import jaxstyle

PACKAGE = Path(jaxstyle.__file__).parent
# A module may only import those on earlier lines. A name without a dot is a module of the package
# itself, or the ``__init__`` of a package in it.
FLOORS = """
    errors atomic configuration interrupts paths version
    arrays
    compilation.options compilation.programs
    compilation.jitted
    compilation
    ops ops.derivatives ops.winograd
    ops.convolution ops.fourier ops.gradients ops.pooling ops.variation ops.colour
    ops.resize ops.warp
    encoder.preprocessing
    encoder.base encoder.vgg
    encoder.receptive encoder.vgg_encoder
    encoder
    losses
    losses.normalisation losses.pictures losses.statistics.base losses.statistics.roots
    losses.term losses.statistics.gram losses.statistics.sliced
    losses.statistics.moments
    losses.statistics
    losses.content losses.custom losses.laplacian losses.nearest losses.style losses.temporal
    losses.total_variation losses.transport
    losses.objective
    losses.loss_weights
    evaluate evaluate.grid
    evaluate.windows
    evaluate.plan
    evaluate.whole evaluate.mesh
    evaluate.tiles evaluate.halo evaluate.patches
    evaluate.devices evaluate.targets
    evaluate.loss
    perceptual.pair
    perceptual.relative
    perceptual.calibration
    perceptual.learned
    perceptual
    solvers.base solvers.linesearch
    solvers.from_jaxopt
    solvers.lbfgs solvers.first_order
    solvers
    run run.prefetch
    run.schedule run.initial_image run.parameterisation
    run.sources run.loop
    run.chunks run.optimise run.lanes run.sweep_sources
    run.checkpoint
    run.progress
    run.stylize
    run.texture run.sweep
    pretrained
    instant
    recipes
    recipes.typed
    recipes.recipe recipes.system_memory
    recipes.demand
    recipes.fitting
    recipes.paint recipes.presets recipes.words
    recipes.sweeps
    files
    gallery
    jobs
    batch
    video
    __init__
    web
    cli
    __main__
"""
# Packages around the core, whose inner order this file does not check.
SHELL = {"files", "gallery", "instant", "pretrained", "jobs", "batch", "video", "web", "cli"}
SHELL |= {"__main__"}
HEAVY = {"h5py", "PIL", "requests", "rich", "safetensors", "tifffile", "tyro", "torch"}
HEAVY |= {"starlette", "uvicorn", "av", "cv2"}
SOLVER_LIBRARIES = {"jaxopt", "optax"}

FLOOR = {name: i for i, line in enumerate(FLOORS.strip().splitlines()) for name in line.split()}


def name_of(path):
    """Returns the dotted name of a file; a package of the shell is one name."""
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
    """Yields the modules of this package that a file imports."""
    for dotted in imports(path):
        top, _, rest = dotted.partition(".")
        if top == "jaxstyle":
            package = rest.partition(".")[0]
            found = package if package in SHELL else rest
            yield found if found in NAMES else "__init__"


def test_every_module_is_listed():
    assert FLOOR.keys() == NAMES


@pytest.mark.parametrize("path", FILES, ids=FILES.values())
def test_imports_go_downward(path):
    name = FILES[path]
    above = {other for other in used(path) if other != name and FLOOR[other] >= FLOOR[name]}
    assert not above, f"{name} imports {above}, which are not below it"


def test_only_solvers_import_the_solver_libraries():
    users = {
        name.partition(".")[0]
        for path, name in FILES.items()
        if any(dotted.split(".")[0] in SOLVER_LIBRARIES for dotted in imports(path))
    }
    assert users == {"solvers"}


def test_the_core_imports_no_library_of_the_shell():
    for path, name in FILES.items():
        if name not in SHELL:
            assert not {dotted.split(".")[0] for dotted in imports(path)} & HEAVY, name


def test_modules_are_short():
    lengths = {path: len(path.read_text().splitlines()) for path in FILES}
    assert max(lengths.values()) <= 350, lengths


def test_no_package_shares_its_name_with_a_function():
    packages = {name.partition(".")[0] for name in NAMES}
    for name in packages & set(jaxstyle.__all__):
        assert inspect.ismodule(getattr(jaxstyle, name)), name


ORDER = ("image", "content", "style", "shape", "targets")
ORDER += ("loss_weights", "encoder", "objective", "layers")


def test_arguments_come_in_one_order():
    """What is differentiated, then pictures and targets, loss weights, encoder, objective."""
    seen = 0
    for name in jaxstyle.__all__:
        function = getattr(jaxstyle, name)
        function = getattr(function, "function", function)  # without our decorator
        if inspect.isfunction(function):
            parameters = inspect.signature(function).parameters.values()
            positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
            known = [p for p in positional if p in ORDER]
            assert known == sorted(known, key=ORDER.index), name
            seen += len(known)
    assert seen > 30


def test_public_dataclasses_take_one_positional_argument_at_most():
    for name in jaxstyle.__all__:
        kind = getattr(jaxstyle, name)
        is_kind = isinstance(kind, type) and dataclasses.is_dataclass(kind)
        fields = dataclasses.fields(kind) if is_kind else ()
        # Flax makes the constructors of its modules.
        if name != "VGG":
            assert all(field.kw_only for field in fields[1:]), name


def test_defaults_agree():
    """A setting has one default, in whichever dataclasses and functions it occurs."""
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


def test_import_is_light():
    """It must not start a backend, warn, or import what only the command needs."""
    program = (
        "import sys, jaxstyle, jax;"
        "from jax._src import xla_bridge;"
        "assert not xla_bridge._backends, 'a backend was started';"
        "heavy = {'jaxopt', 'onnx', 'requests', 'tensorflow', 'tifffile', 'torch', 'tyro'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
