"""Passes of the compiler: chosen for whole programs, left alone within others'."""

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
    """A function whose whole programs XLA refuses to compile, because of an unknown pass."""
    monkeypatch.setattr(compilation, "_QUICK", {"xla_cpu_no_such_pass": True})
    return compilation.jit(static_argnames="times")(lambda x, times=2: times * x)


def test_a_whole_program_has_the_passes(double):
    with pytest.raises(jax.errors.JaxRuntimeError, match="xla_cpu_no_such_pass"):
        double(jnp.ones(3))
    with pytest.raises(jax.errors.JaxRuntimeError, match="xla_cpu_no_such_pass"):
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


def test_flags_of_the_user_go_first():
    script = (
        "import jaxstyle.compilation as c\n"
        "c._QUICK = {'xla_cpu_no_such_pass': True}\n"
        "print(c.jit()(lambda x: 2 * x)(4))"
    )
    # JAX ends the process for a flag that it does not know, so the flag must not be handed to it.
    told = "import os; os.environ['XLA_FLAGS'] = '--xla_cpu_no_such_pass=false'\n"
    hidden = "os.environ['XLA_FLAGS'] = ''\n"
    first, *rest = script.splitlines(keepends=True)
    run = subprocess.run(
        [sys.executable, "-c", told + first + hidden + "".join(rest)],
        capture_output=True,
        text=True,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
    )
    assert run.stdout.strip() == "8", run.stderr
