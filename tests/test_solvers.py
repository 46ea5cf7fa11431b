"""The solvers on a quadratic whose minimum is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.solvers import Solver, adam, gradient_descent, lbfgs
from jaxstyle.solvers.linesearch import begin, narrow


def quadratic(image, target, scale):
    """An ill-conditioned bowl: curvatures from 1 to 100."""
    curvature = jnp.linspace(1.0, 100.0, image.size).reshape(image.shape)
    residual = curvature * jnp.square(image - target)
    return scale * residual.sum(), (residual.sum(), image.mean())


def start(solver, fun, image, *data, carried=None):
    _, aux = jax.eval_shape(fun, image, *data)
    aux = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), aux)
    return jax.jit(solver.init)(image, aux, carried)


def run(solver, steps, image, *data, fun=quadratic):
    state = start(solver, fun, image, *data)
    update = jax.jit(lambda state, *data: solver.update(fun, state, *data))
    state = update(state, *data)  # evaluates the initial image
    while state.iterations < steps and state.finite and not state.stalled:
        state = update(state, *data)
    return state


@pytest.fixture
def problem(rng):
    image, target = rng.uniform(size=(2, 4, 5, 3))
    return jnp.asarray(image, jnp.float32), jnp.asarray(target, jnp.float32)


@pytest.mark.parametrize(
    ("solver", "steps"), [(lbfgs(), 60), (lbfgs(history=3), 100), (adam(0.01), 1500)], ids=repr
)
def test_solver_finds_the_minimum(solver, steps, problem):
    image, target = problem
    state = run(solver, steps, image, target, 1.0)
    np.testing.assert_allclose(state.image, target, atol=2e-3)
    assert isinstance(solver, Solver)


@pytest.mark.parametrize("solver", [lbfgs(), adam()], ids=repr)
def test_state_has_the_loss_of_its_image(solver, problem):
    image, target = problem
    state = run(solver, 7, image, target, 2.0)
    loss, aux = quadratic(state.image, target, 2.0)
    np.testing.assert_allclose(state.loss, loss, rtol=1e-5)
    np.testing.assert_allclose(state.aux, aux, rtol=1e-5)
    assert bool(state.finite)


@pytest.mark.parametrize("solver", [lbfgs(), adam()], ids=repr)
def test_evaluations_are_counted(solver, problem):
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


@pytest.mark.parametrize("solver", [lbfgs(), adam()], ids=repr)
def test_gradient_that_is_not_finite_is_reported(solver, problem):
    image, target = problem
    state = run(solver, 1, image, target.at[0, 0, 0].set(jnp.nan), 1.0)
    assert not bool(state.finite)


def test_equal_solvers_have_equal_hashes():
    assert lbfgs(history=4) == lbfgs(history=4)
    assert hash(adam(0.1)) == hash(adam(0.1))
    assert lbfgs() != lbfgs(history=11)


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1e3, 1e8, 1e17])
def test_lbfgs_does_not_depend_on_the_scale_of_the_loss(problem, scale):
    """A first step along the bare gradient is too short or too long for all but one scale."""
    image, target = problem
    state = run(lbfgs(), 60, image, target, scale)
    np.testing.assert_allclose(state.image, target, atol=5e-3)


def test_lbfgs_reports_that_it_is_stalled(problem):
    """Everywhere but at the initial image the loss is NaN."""
    image, target = problem

    def walled(image, target, start):
        loss, aux = quadratic(image, target, 1.0)
        return jnp.where(jnp.all(image == start), loss, jnp.nan), aux

    state = run(lbfgs(), 2, image, target, image, fun=walled)
    assert bool(state.stalled)
    assert bool(state.finite)
    np.testing.assert_array_equal(state.image, image)
    np.testing.assert_allclose(state.aux, quadratic(image, target, 1.0)[1], rtol=1e-6)
    assert not bool(run(lbfgs(), 5, image, target, 1.0).stalled)


def search(value_and_grad, image, value, grad, aux, direction):
    """Runs a search to its end."""
    found = begin(value, grad, aux, direction)
    while not found.over:
        (value, aux), grad = value_and_grad(image + found.step * found.direction)
        found = narrow(found, value, grad, aux)
    return found


def on_a_line(f):
    """Returns the arguments of a search for a function of one pixel, from 0 on."""

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
def test_search_satisfies_the_wolfe_conditions(f, least, most):
    value_and_grad, image, value, grad, aux = on_a_line(f)
    direction = jnp.zeros_like(image).at[0, 0, 0].set(1.0)
    found = search(value_and_grad, image, value, grad, aux, direction)
    step = float(found.low.step)
    assert least <= step <= most
    assert step > 0
    np.testing.assert_allclose(found.low.value, f(step), rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(found.aux, found.low.value)
    slope, start = (float(jax.grad(lambda t: f(t))(t)) for t in (step, 0.0))
    np.testing.assert_allclose(found.grad[0, 0, 0], slope, rtol=1e-6)
    assert f(step) <= f(0.0) + 1e-4 * step * start
    if step < 16 and np.isfinite(f(2 * step)):
        assert abs(slope) <= 0.9 * abs(start)


@pytest.mark.parametrize(
    "f", [lambda t: jnp.where(t > 0, jnp.nan, -t), lambda t: -jnp.float32(jnp.inf) * t]
)
def test_failed_search_stays_at_its_start(f):
    value_and_grad, image, value, grad, _ = on_a_line(f)
    direction = jnp.zeros_like(image).at[0, 0, 0].set(1.0)
    found = search(value_and_grad, image, value, grad, jnp.float32(7.0), direction)
    assert float(found.low.step) == 0
    assert float(found.aux) == 7.0
    assert int(found.evaluations) <= 12


def test_search_does_not_go_uphill():
    value_and_grad, image, value, grad, aux = on_a_line(lambda t: (t - 1) ** 2)
    uphill = jnp.zeros_like(image).at[0, 0, 0].set(-1.0)
    found = search(value_and_grad, image, value, grad, aux, uphill)
    assert float(found.low.value) < float(value)


def until(solver, steps, image, *data, carried=None):
    """Returns the state after a number of steps, without the evaluation of the initial image."""
    state = start(solver, quadratic, image, *data, carried=carried)
    update = jax.jit(lambda state: solver.update(quadratic, state, *data))
    while int(state.evaluations) <= steps:
        state = update(state)
    return state


def torch_steps(image, target, optimiser, decay=1.0):
    """Returns the result of twenty steps on the quadratic by an optimiser of PyTorch."""
    torch = pytest.importorskip("torch")
    x = torch.tensor(np.asarray(image, np.float64), requires_grad=True)
    goal = torch.tensor(np.asarray(target, np.float64))
    curvature = torch.linspace(1, 100, x.numel(), dtype=x.dtype).reshape(x.shape)
    optimiser = optimiser(torch.optim)([x])
    rates = torch.optim.lr_scheduler.ExponentialLR(optimiser, decay)
    for _ in range(20):
        optimiser.zero_grad()
        (curvature * (x - goal) ** 2).sum().backward()
        optimiser.step()
        rates.step()
    return x.detach().numpy()


@pytest.mark.parametrize(
    ("solver", "optimiser", "decay"),
    [
        (adam(0.02), lambda o: lambda p: o.Adam(p, 0.02, (0.9, 0.99)), 1.0),
        (adam(0.1, b1=0.5, b2=0.9), lambda o: lambda p: o.Adam(p, 0.1, (0.5, 0.9)), 1.0),
        (gradient_descent(3e-3), lambda o: lambda p: o.SGD(p, 3e-3), 1.0),
        (
            gradient_descent(4e-3, decay=0.5, decay_steps=10),
            lambda o: lambda p: o.SGD(p, 4e-3),
            0.5 ** (1 / 10),
        ),
    ],
    ids=lambda value: getattr(value, "__name__", repr(value)),
)
def test_first_order_solvers_agree_with_pytorch(problem, solver, optimiser, decay):
    image, target = problem
    expected = torch_steps(image, target, optimiser, decay)
    state = until(solver, 20, image, target, 1.0)
    np.testing.assert_allclose(state.image, expected, atol=2e-5)
    assert np.abs(expected - image).max() > 0.05


@pytest.mark.parametrize(
    ("make", "rate", "steps"), [(adam, 4e-3, 1500), (gradient_descent, 9e-3, 600)]
)
def test_clamp_projects_onto_the_range(problem, make, rate, steps):
    """Targets outside [0, 1] end on its border; the loss is that of the projected image."""
    image, target = problem
    target = 3 * target - 1
    state = run(make(rate, clamp=True), steps, image, target, 1.0)
    np.testing.assert_allclose(state.image, np.clip(target, 0, 1), atol=2e-3)
    np.testing.assert_allclose(state.loss, quadratic(state.image, target, 1.0)[0], rtol=1e-5)
    free = run(make(rate), steps, image, target, 1.0)
    assert float(jnp.abs(free.image - 0.5).max()) > 1


def test_adam_enlarges_its_moments(problem):
    image, target = problem
    solver = adam(0.01)
    state = until(solver, 9, image, target, 1.0)
    (old, *_), (new, *_) = state.inner[1], solver.carry(state, (8, 10))
    assert int(new.count) == int(old.count) == 9
    assert new.mu.shape == new.nu.shape == (8, 10, 3)
    assert float(new.nu.min()) >= 0
    # An enlargement by two keeps the mean of the inner pixels.
    for coarse, fine in ((old.mu, new.mu), (old.nu, new.nu)):
        assert float(coarse.min()) <= float(fine.min()) <= float(fine.max()) <= float(coarse.max())
        np.testing.assert_allclose(fine[3:5, 3:5].mean((0, 1)), coarse[1:3, 1:3].mean((0, 1)),
                                   atol=1e-5 * float(jnp.abs(coarse).max()))  # fmt: skip
    same = solver.carry(state, (4, 5))[0]
    np.testing.assert_allclose(same.nu, old.nu, rtol=1e-6)


def test_carried_memory_continues_the_run(problem):
    """Twelve steps are the same as eight and four with the memory of the eight."""
    image, target = problem
    for solver in (adam(0.02), gradient_descent(3e-3, decay=0.7, decay_steps=3)):
        whole = until(solver, 12, image, target, 1.0)
        half = until(solver, 8, image, target, 1.0)
        carried = solver.carry(half, (4, 5))
        state = until(solver, 4, half.image, target, 1.0, carried=carried)
        np.testing.assert_allclose(state.image, whole.image, atol=1e-6)
    assert lbfgs().carry(run(lbfgs(), 2, image, target, 1.0), (8, 10)) is None
