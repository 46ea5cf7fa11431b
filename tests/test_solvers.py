"""The solvers on a quadratic whose minimum is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.solvers import Solver, adam, lbfgs


def quadratic(image, target, scale):
    """An ill-conditioned bowl: curvatures from 1 to 100."""
    curvature = jnp.linspace(1.0, 100.0, image.size).reshape(image.shape)
    residual = curvature * jnp.square(image - target)
    return scale * residual.sum(), (residual.sum(), image.mean())


def run(solver, steps, image, *data, fun=quadratic):
    state = jax.jit(lambda image, *data: solver.init(fun, image, *data))(image, *data)
    update = jax.jit(lambda state, *data: solver.update(fun, state, *data))
    for _ in range(steps):
        state = update(state, *data)
    return state


@pytest.fixture
def problem(rng):
    image, target = rng.uniform(size=(2, 4, 5, 3))
    return jnp.asarray(image, jnp.float32), jnp.asarray(target, jnp.float32)


@pytest.mark.parametrize(
    ("solver", "steps"), [(lbfgs(), 60), (lbfgs(history=3), 100), (adam(0.01), 1500)], ids=repr
)
def test_finds_the_minimum(solver, steps, problem):
    image, target = problem
    state = run(solver, steps, image, target, 1.0)
    np.testing.assert_allclose(state.image, target, atol=2e-3)
    assert isinstance(solver, Solver)


@pytest.mark.parametrize("solver", [lbfgs(), adam()], ids=repr)
def test_state_describes_its_own_image(solver, problem):
    image, target = problem
    state = run(solver, 7, image, target, 2.0)
    loss, aux = quadratic(state.image, target, 2.0)
    np.testing.assert_allclose(state.loss, loss, rtol=1e-5)
    np.testing.assert_allclose(state.aux, aux, rtol=1e-5)
    assert bool(state.finite)


@pytest.mark.parametrize("solver", [lbfgs(), adam()], ids=repr)
def test_evaluations_are_counted_truly(solver, problem):
    calls = []

    def counted(image, target, scale):
        jax.debug.callback(lambda: calls.append(1))
        return quadratic(image, target, scale)

    image, target = problem
    state = run(solver, 12, image, target, 1.0, fun=counted)
    jax.block_until_ready(state)
    jax.effects_barrier()
    assert int(state.evaluations) == len(calls)
    assert len(calls) >= 13


def test_adam_takes_the_textbook_step(problem):
    """Two steps of the published recurrence, in NumPy."""
    image, target = problem
    x, m, v = np.asarray(image, np.float64), 0.0, 0.0
    curvature = np.linspace(1, 100, x.size).reshape(x.shape)
    for t in (1, 2):
        g = 2 * curvature * (x - target)
        m, v = 0.8 * m + 0.2 * g, 0.95 * v + 0.05 * g**2
        x = x - 0.03 * (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.95**t)) + 1e-8)
    state = run(adam(0.03, b1=0.8, b2=0.95), 2, image, target, 1.0)
    np.testing.assert_allclose(state.image, x, atol=1e-5)


@pytest.mark.parametrize("solver", [lbfgs(), adam()], ids=repr)
def test_a_gradient_that_is_not_finite_is_told(solver, problem):
    image, target = problem
    state = run(solver, 1, image, target.at[0, 0, 0].set(jnp.nan), 1.0)
    assert not bool(state.finite)


def test_equal_solvers_are_one_program():
    assert lbfgs(history=4) == lbfgs(history=4)
    assert hash(adam(0.1)) == hash(adam(0.1))
    assert lbfgs() != lbfgs(history=11)
