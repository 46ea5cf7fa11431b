"""Traces kept in a folder: found by what they depend on, used without tracing, never in the way."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxstyle as js
from jaxstyle import compilation, loop
from jaxstyle.compilation import traces


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


def other_code(monkeypatch):
    monkeypatch.setattr(traces, "_code", lambda: "another version")


def other_backend(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")


def other_precision(monkeypatch):
    jax.config.update("jax_default_matmul_precision", "highest")


@pytest.fixture
def precision():
    yield
    jax.config.update("jax_default_matmul_precision", None)


@pytest.mark.usefixtures("precision")
@pytest.mark.parametrize("change", [other_code, other_backend, other_precision])
def test_what_surrounds_a_program_is_told_apart(monkeypatch, change):
    def digest():
        return traces._digest("program", {"n": 4}, jax.tree.structure({"x": 1}), [])

    before = digest()
    assert before == digest()
    change(monkeypatch)
    assert before != digest()


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


def test_functions_within_others_are_not_kept(folder):
    functions = [compilation.jit()(f) for f in (lambda x: x + x, lambda x: x * x)]
    assert [f(3.0) for f in functions] == [6.0, 9.0]
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


def test_within_another_program_nothing_is_kept(folder, calls):
    product = jax.vmap(jax.grad(lambda x: multiply(x)["product"]))(jnp.ones(2))
    np.testing.assert_array_equal(product, 2.0)
    assert not folder.exists()


def test_what_is_donated_is_gone(folder):
    x, y = jnp.ones(3), jnp.ones(3)
    np.testing.assert_array_equal(add(y, x), 2.0)
    assert (x.is_deleted(), y.is_deleted()) == (True, False)


ALL = {"content_layers": ("conv2_2",), "style_layers": ("image", "conv1_1", "conv3_1")}
RUNS = {
    "default": {},
    "low memory": {"objective": js.Objective(**ALL, memory="low"), "variable": "encoder"},
    "Wasserstein": {"objective": js.Objective(**ALL, statistic=js.Wasserstein())},
    "sliced": {
        "objective": js.Objective(**ALL, statistic=js.Sliced(), normalise_gradients=True),
        "solver": js.adam(0.02),
        "variable": "sigmoid",
        "schedule": js.Schedule(iterations=3, scales=2, coarse_iterations=2, coarsest=16),
    },
    "moments": {
        "objective": js.Objective(**ALL, statistic=js.MeanStd(), tv="l1"),
        "solver": js.gradient_descent(0.01, clamp=True),
        "variable": "image",
    },
}


@pytest.mark.parametrize("options", RUNS.values(), ids=RUNS)
def test_a_run_from_traces_is_the_same(folder, encoder, pictures, options, monkeypatch):
    """And makes do without the objective's Python, its solver's included."""
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
        return js.stylize(encoder, content, style, **options)

    traced = run()
    compilation.keep_traces(None)
    jax.clear_caches()
    plain = run()
    compilation.keep_traces(folder)
    jax.clear_caches()
    # Whoever traces any of it calls one of these.
    monkeypatch.delattr(loop, "loss_terms")
    monkeypatch.delattr(loop, "to_image")
    again = run()
    for field in traced.terms._fields:
        one, other, without = (getattr(r.terms, field) for r in (traced, again, plain))
        np.testing.assert_array_equal(one, other)
        # XLA need not fuse the same where it is told of one function more.
        np.testing.assert_allclose(one, without, rtol=1e-3)
    np.testing.assert_array_equal(traced.image, again.image)
    np.testing.assert_allclose(traced.image, plain.image, atol=1e-2)
