"""Compiler options: used for whole programs, not within other programs."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle import compilation


@pytest.fixture
def double(monkeypatch):
    """A function that XLA refuses to compile as a whole program, because of an unknown option."""
    options = {"xla_cpu_no_such_option": True}
    monkeypatch.setattr(compilation.options, "_known", lambda: options)
    return compilation.jit(static_argnames=("times",))(lambda x, times=2: times * x)


def test_a_whole_program_has_the_options(double):
    with pytest.raises(jax.errors.JaxRuntimeError, match="xla_cpu_no_such_option"):
        double(jnp.ones(3))
    with pytest.raises(jax.errors.JaxRuntimeError, match="xla_cpu_no_such_option"):
        double.lower(jnp.ones(3)).compile()


def test_other_platforms_have_no_options(double, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    np.testing.assert_array_equal(double(jnp.ones(3), times=4), 4.0)


ONES = jnp.ones(3)


@pytest.mark.parametrize("surrounding", [
    lambda f: jax.jit(f)(ONES),
    lambda f: jax.jit(lambda: f(ONES))(),
    lambda f: jax.vmap(f)(ONES),
    lambda f: jax.grad(lambda x: f(x).sum())(ONES) * ONES,
    lambda f: jax.lax.map(f, ONES),
    lambda f: jax.lax.map(lambda x: x * f(ONES), ONES)[0],
], ids=["jit", "constant in jit", "vmap", "grad", "map", "constant in map"])  # fmt: skip
def test_inside_other_programs_the_options_do_not_apply(double, surrounding):
    np.testing.assert_array_equal(surrounding(double), 2.0)


def run(script, flags):
    """Returns the output of a script, with ``XLA_FLAGS`` set while the package is imported."""
    # JAX must not see the flags: it ends the process for an unknown one.
    script = f"import os; from jaxstyle import compilation\nos.environ['XLA_FLAGS'] = ''\n{script}"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    return subprocess.check_output([sys.executable, "-c", script], text=True, env=environment)


def test_xla_knows_the_options():
    printed = run("print(sorted(compilation.compiler_options()))", "")
    assert "xla_backend_optimization_level" in printed
    if jax.__version_info__ >= (0, 10):
        assert "xla_cpu_scheduler_type" in printed
    # conftest.py sets it for the versions that know it.
    emitters = "xla_cpu_use_fusion_emitters"
    assert (emitters in printed) == (emitters in os.environ["XLA_FLAGS"])


def test_no_program_uses_ynnpack():
    program = "compilation.jit()(lambda x: (x @ x).sum()).lower(jax.numpy.ones((256, 256)))"
    assert "ynn" not in run(f"import jax\nprint({program}.compile().as_text())", "")


@pytest.mark.parametrize("count", [32_768, 32_769, 32_770])
def test_sums_of_squares_of_many_rows(rng, count):
    """jaxlib 0.10.2 computes some rows wrongly with its default options, jax issue 39103."""
    matrix, rows = rng.normal(size=(3, 3)), rng.normal(size=(count, 3))

    @compilation.jit()
    def sums(matrix, rows):
        return jax.vmap(lambda row: ((matrix @ row) ** 2).sum())(rows)

    found = sums(jnp.asarray(matrix, "float32"), jnp.asarray(rows, "float32"))
    np.testing.assert_allclose(found, ((rows @ matrix.T) ** 2).sum(1), rtol=1e-4, atol=1e-4)


def test_flags_of_the_user_take_precedence():
    flags = "--xla_backend_optimization_level=3"
    printed = run("print(sorted(compilation.compiler_options()))", flags)
    assert "xla_backend_optimization_level" not in printed


def test_an_unknown_option_is_not_an_error():
    unknown = "compilation.options._COMPILER_OPTIONS['xla_cpu_no_such_option'] = True"
    printed = run(f"{unknown}\nprint(compilation.jit()(lambda x: 2 * x)(4))", "")
    assert printed.strip() == "8"
