"""Compiler options: chosen for whole programs, left alone within others'."""

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
    """A function whose whole programs XLA refuses to compile, because of an unknown option."""
    options = {"xla_cpu_no_such_option": True}
    monkeypatch.setattr(compilation.options, "_known", lambda: options)
    return compilation.jit(static_argnames=("times",))(lambda x, times=2: times * x)


def test_a_whole_program_has_the_options(double):
    with pytest.raises(jax.errors.JaxRuntimeError, match="xla_cpu_no_such_option"):
        double(jnp.ones(3))
    with pytest.raises(jax.errors.JaxRuntimeError, match="xla_cpu_no_such_option"):
        double.lower(jnp.ones(3)).compile()


def test_other_platforms_keep_theirs(double, monkeypatch):
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
def test_within_another_program_it_is_a_part_of_it(double, surrounding):
    np.testing.assert_array_equal(surrounding(double), 2.0)


def run(script, flags):
    """What a script prints where ``XLA_FLAGS`` was set when the package was imported."""
    # JAX ends the process for a flag that it does not know, so it must not see them itself.
    script = f"import os; from jaxstyle import compilation\nos.environ['XLA_FLAGS'] = ''\n{script}"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    return subprocess.check_output([sys.executable, "-c", script], text=True, env=environment)


def test_xla_knows_the_options():
    told = run("print(sorted(compilation.compiler_options()))", "")
    assert "xla_backend_optimization_level" in told
    if jax.__version_info__ >= (0, 10):
        assert "xla_cpu_scheduler_type" in told
    # conftest.py knows which versions have it.
    emitters = "xla_cpu_use_fusion_emitters"
    assert (emitters in told) == (emitters in os.environ["XLA_FLAGS"])


def test_eigen_multiplies():
    product = "compilation.jit()(lambda x: x @ x).lower(jax.numpy.ones((256, 256)))"
    assert "ynn" not in run(f"import jax\nprint({product}.compile().as_text())", "")


def test_flags_of_the_user_go_first():
    flags = "--xla_backend_optimization_level=3"
    told = run("print(sorted(compilation.compiler_options()))", flags)
    assert "xla_backend_optimization_level" not in told


def test_an_option_that_xla_dropped_is_no_error():
    unknown = "compilation.options._COMPILER_OPTIONS['xla_cpu_no_such_option'] = True"
    told = run(f"{unknown}\nprint(compilation.jit()(lambda x: 2 * x)(4))", "")
    assert told.strip() == "8"
