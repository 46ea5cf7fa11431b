"""The solvers on a quadratic whose minimum is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.solvers import Solver, adam, lbfgs
from jaxstyle.solvers.linesearch import search


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


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1e3, 1e8, 1e17])
def test_lbfgs_does_not_mind_the_scale_of_the_loss(problem, scale):
    """A first step along the bare gradient is too short or too long for all but one scale."""
    image, target = problem
    state = run(lbfgs(), 60, image, target, scale)
    np.testing.assert_allclose(state.image, target, atol=5e-3)


def test_lbfgs_says_when_it_can_go_no_further(problem):
    """Beyond the image where it stands, nothing but NaN: it stays, and tells so."""
    image, target = problem

    def walled(image, target, start):
        loss, aux = quadratic(image, target, 1.0)
        return jnp.where(jnp.all(image == start), loss, jnp.nan), aux

    state = run(lbfgs(), 2, image, target, image, fun=walled)
    assert bool(state.stuck)
    assert bool(state.finite)
    np.testing.assert_array_equal(state.image, image)
    np.testing.assert_allclose(state.aux, quadratic(image, target, 1.0)[1], rtol=1e-6)
    assert not bool(run(lbfgs(), 5, image, target, 1.0).stuck)


def on_a_line(f):
    """The search on a function of one pixel, downhill from 0 towards larger numbers."""

    def value_and_grad(image):
        value, slope = jax.value_and_grad(lambda t: f(t))(image[0, 0, 0])
        return (value, value), jnp.zeros_like(image).at[0, 0, 0].set(slope)

    image = jnp.zeros((1, 1, 3))
    (value, aux), grad = value_and_grad(image)
    return value_and_grad, image, value, grad, aux


@pytest.mark.parametrize(
    ("f", "least", "most"),
    [
        (lambda t: (t - 1) ** 2, 0.1, 1.9),
        (lambda t: (t - 9) ** 2, 0.9, 17.1),
        (lambda t: (t - 0.01) ** 2, 0.001, 0.019),
        (lambda t: jnp.where(t > 0.3, jnp.nan, -t + t**2), 0.001, 0.3),
        (lambda t: jnp.where(t > 1e-3, jnp.inf, -t), 1e-5, 1e-3),
        (lambda t: -t, 16, 16),
        (lambda t: -t / (t * t + 2), 0.1, 2.9),
    ],
)
def test_search_fulfils_the_wolfe_conditions(f, least, most):
    value_and_grad, image, value, grad, aux = on_a_line(f)
    direction = jnp.zeros_like(image).at[0, 0, 0].set(1.0)
    found = search(value_and_grad, image, value, grad, aux, direction, 1.0)
    step = float(found.step)
    assert least <= step <= most
    assert not bool(found.failed)
    assert float(found.params[0, 0, 0]) == step
    np.testing.assert_allclose(found.value, f(step), rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(found.aux, found.value)
    slope, start = (float(jax.grad(lambda t: f(t))(t)) for t in (step, 0.0))
    np.testing.assert_allclose(found.grad[0, 0, 0], slope, rtol=1e-6)
    assert f(step) <= f(0.0) + 1e-4 * step * start
    if step < 16 and np.isfinite(f(2 * step)):
        assert abs(slope) <= 0.9 * abs(start)


@pytest.mark.parametrize(
    "f", [lambda t: jnp.where(t > 0, jnp.nan, -t), lambda t: -jnp.float32(jnp.inf) * t]
)
def test_a_search_that_fails_stays_where_it_was(f):
    value_and_grad, image, value, grad, _ = on_a_line(f)
    direction = jnp.zeros_like(image).at[0, 0, 0].set(1.0)
    found = search(value_and_grad, image, value, grad, jnp.float32(7.0), direction, 1.0)
    assert bool(found.failed)
    np.testing.assert_array_equal(found.params, image)
    assert float(found.aux) == 7.0
    assert int(found.iter_num) <= 12


def test_search_does_not_follow_a_direction_uphill():
    value_and_grad, image, value, grad, aux = on_a_line(lambda t: (t - 1) ** 2)
    uphill = jnp.zeros_like(image).at[0, 0, 0].set(-1.0)
    found = search(value_and_grad, image, value, grad, aux, uphill, 1.0)
    assert float(found.value) < float(value)
