"""Traces kept in a folder: found by what they depend on, used without tracing, never in the way."""

import json
import pickle
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxstyle as js
from jaxstyle import compilation
from jaxstyle.atomic import make_private
from jaxstyle.compilation import outlines, traces


@pytest.fixture
def folder(tmp_path):
    """A folder for traces, in a process that has none in memory."""
    jax.clear_caches()
    compilation.keep_traces(tmp_path / "traced")
    yield tmp_path / "traced"
    compilation.keep_traces(None)
    jax.clear_caches()


CALLS = []


@compilation.jit(static_argnames=("n",))
def multiply(x, n=2):
    CALLS.append((x, n))
    return {"product": n * x, "n": (n, None), "half": jnp.float16(n) * x}


@compilation.jit()
def square(x):
    return x * x


def cube(x):
    return x * x * x


@compilation.jit()
def double(x):
    return x + x


@compilation.jit(donate_argnames=("x",))
def add(y, x):
    return x + y


@pytest.fixture
def calls():
    """What ``multiply`` has been traced for."""
    CALLS.clear()
    return CALLS


def test_another_process_need_not_trace(folder, calls):
    first = multiply(jnp.arange(3.0), n=4)
    jax.clear_caches()
    second = multiply(jnp.arange(3.0), n=4)
    assert len(calls) == len(list(folder.iterdir())) == 1
    assert jax.tree.structure(first) == jax.tree.structure(second)
    np.testing.assert_array_equal(second["product"], [0.0, 4.0, 8.0])


def other_libraries(monkeypatch, folder):
    monkeypatch.setattr(traces, "version", lambda name: f"another {name}")


def other_code(monkeypatch, folder):
    package = Path(traces.__file__).parents[1]
    copy = shutil.copytree(package, folder / "package", ignore=shutil.ignore_patterns("weights"))
    with open(copy / "solvers" / "lbfgs.py", "a") as file:
        file.write(" ")
    monkeypatch.setattr(traces, "__file__", str(copy / "compilation" / "traces.py"))


def other_backend(monkeypatch, folder):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")


def other_precision(monkeypatch, folder):
    jax.config.update("jax_default_matmul_precision", "highest")


@pytest.fixture
def precision():
    yield
    jax.config.update("jax_default_matmul_precision", None)


@pytest.mark.usefixtures("precision")
@pytest.mark.parametrize("change", [other_code, other_libraries, other_backend, other_precision])
def test_what_surrounds_a_program_is_told_apart(monkeypatch, tmp_path, change):
    def digest():
        traces._code.cache_clear()
        return traces._digest("program", {"n": 4}, jax.tree.structure({"x": 1}), [])

    before = digest()
    assert before == digest()
    change(monkeypatch, tmp_path)
    changed = digest()
    monkeypatch.undo()
    traces._code.cache_clear()
    assert before != changed


@pytest.mark.parametrize("arguments", [
    (jnp.arange(4.0), 4),
    (jnp.arange(3), 4),
    (jnp.float32(2.0), 4),
    (1.0, 4),
    (jnp.arange(3.0), 5),
], ids=["shape", "dtype", "rank", "weak type", "static"])  # fmt: skip
def test_arguments_are_told_apart(folder, calls, arguments):
    for x, n in ((jnp.arange(3.0), 4), (jnp.float32(1.0), 4)):
        multiply(x, n)
    jax.clear_caches()
    x, n = arguments
    found = multiply(x, n)
    np.testing.assert_array_equal(found["product"], n * np.asarray(x))
    assert found["half"].dtype == jnp.result_type(jnp.float16, x)


def test_functions_are_told_apart(folder):
    assert double(3.0) == 6.0
    assert square(3.0) == 9.0


@pytest.mark.parametrize(("function", "expected"), [
    (jax.grad(cube), 48.0),
    (jax.vmap(cube, axis_size=1), [64.0]),
    (lambda x: x + x, 8.0),
    (lambda x: x * x, 16.0),
], ids=["gradient", "vmap", "lambda", "another"])  # fmt: skip
def test_what_goes_by_no_name_of_its_own_is_not_kept(folder, function, expected):
    assert compilation.jit()(cube)(jnp.float32(4.0)) == 64.0
    kept = list(folder.iterdir())
    found = compilation.jit()(function)(jnp.full(np.shape(expected), 4.0, jnp.float32))
    np.testing.assert_array_equal(found, expected)
    assert list(folder.iterdir()) == kept


def test_another_device_has_no_traces(folder):
    with jax.default_device(jax.devices("cpu")[0]):
        assert double(3.0) == 6.0
    assert not folder.exists()


@pytest.mark.parametrize("damage", [
    lambda path: path.write_bytes(b""),
    lambda path: path.write_bytes(path.read_bytes()[:100]),
    lambda path: path.write_text("no trace"),
], ids=["empty", "cut", "text"])  # fmt: skip
def test_a_damaged_trace_is_made_anew(folder, calls, damage):
    for _ in range(3):
        np.testing.assert_array_equal(multiply(jnp.ones(2))["product"], 2.0)
        jax.clear_caches()
        if len(calls) == 1:
            damage(next(folder.iterdir()))
    assert len(calls) == 2


def test_a_folder_that_cannot_be_written_to_is_no_error(folder, calls):
    folder.write_text("a file")
    np.testing.assert_array_equal(multiply(jnp.ones(2))["product"], 2.0)


def test_a_full_disk_is_no_error(folder, calls, monkeypatch):
    def fill(path, content):
        path.write_text("half")
        raise OSError

    monkeypatch.setattr(Path, "write_bytes", fill)
    np.testing.assert_array_equal(multiply(jnp.ones(2))["product"], 2.0)
    assert list(folder.iterdir()) == []


def test_within_another_program_nothing_is_kept(folder, calls):
    product = jax.vmap(jax.grad(lambda x: multiply(x)["product"]))(jnp.ones(2))
    np.testing.assert_array_equal(product, 2.0)
    assert not folder.exists()


def test_what_is_donated_is_gone(folder):
    x, y = jnp.ones(3), jnp.ones(3)
    np.testing.assert_array_equal(add(y, x), 2.0)
    assert (x.is_deleted(), y.is_deleted()) == (True, False)


ALL = {"content_layers": ("conv2_2",), "style_layers": ("image", "conv1_1", "conv3_1")}
TWO_SCALES = js.Schedule(iterations=3, scales=2, coarse_iterations=2, coarsest=16)
RUNS = {
    "default": {"schedule": TWO_SCALES},
    "low memory": {"objective": js.Objective(**ALL, memory="low"), "variable": "encoder"},
    "Wasserstein": {"objective": js.Objective(**ALL, statistic=js.Wasserstein())},
    "sliced": {
        "objective": js.Objective(
            content_layers=("conv2_2",),
            style_layers=("conv1_1",),
            statistic=js.Sliced(),
            normalise_gradients=True,
        ),
        "solver": js.adam(0.02),
        "variable": "sigmoid",
        "schedule": TWO_SCALES,
    },
    "moments": {
        "objective": js.Objective(**ALL, statistic=js.MeanStd(), tv="l1"),
        "solver": js.gradient_descent(0.01, clamp=True),
        "variable": "image",
    },
}


@pytest.mark.parametrize("options", RUNS.values(), ids=RUNS)
def test_a_run_from_traces_is_the_same(folder, encoder, pictures, options, monkeypatch):
    content, style = pictures
    halves = jnp.stack([jnp.arange(44) < 20, jnp.arange(44) >= 20]).astype(jnp.float32)
    options = {
        "objective": js.Objective(**ALL),
        "schedule": js.Schedule(iterations=4, scales=1),
        "content_masks": jnp.broadcast_to(halves[:, None], (2, *content.shape[:2])),
        "style_masks": [jnp.full((2, *style.shape[:2]), 0.5)],
        **options,
    }

    def run():
        return js.stylize(content, style, encoder, **options)

    traced = run()
    compilation.keep_traces(None)
    jax.clear_caches()
    plain = run()
    compilation.keep_traces(folder)
    jax.clear_caches()
    monkeypatch.delattr(traces, "_export")
    again = run()
    for field in traced.terms._fields:
        one, other, without = (getattr(r.terms, field) for r in (traced, again, plain))
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(one, without)
    np.testing.assert_array_equal(traced.image, again.image)
    np.testing.assert_array_equal(traced.image, plain.image)


def test_what_a_trace_says_cannot_run_anything(tmp_path):
    """Of a type that is none of a tree's, of a function, and of a pickle."""
    for said in (
        {"named": "os:system", "parts": ["true"]},
        {"named": "builtins:print", "parts": []},
    ):
        with pytest.raises((ValueError, KeyError)):
            outlines.restore(said)
    with pytest.raises(ValueError, match="no named tuple"):
        outlines.restore({"named": "jaxstyle.atomic:make_private", "parts": ["x"]})
    marker = tmp_path / "ran"

    class Attack:
        def __reduce__(self):
            return marker.touch, ()

    (tmp_path / "trace").write_bytes(pickle.dumps((b"", Attack())))
    assert traces._read(tmp_path / "trace") is None
    assert not marker.exists()


def test_structures_come_back():
    for tree in ({"a": (1, [None, 2])}, js.LossTerms(1, 2, 3, 4), [js.solvers.SolverState._fields]):
        structure = jax.tree.structure(tree)
        written = json.loads(json.dumps(outlines.outline(structure)))
        assert outlines.restore(written) == structure


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o777, 0o770])
def test_only_a_folder_of_ones_own_is_private(tmp_path, mode):
    folder = tmp_path / "cache"
    assert make_private(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(mode)
    assert make_private(folder) == (mode in (0o700, 0o755))
