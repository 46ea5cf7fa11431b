"""The pure functions in research code: transformations, meshes, serialisation, mistakes."""

import dataclasses
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import flax.serialization
import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxstyle as js
from jaxstyle.pretrained import random_encoder
from jaxstyle.run.loop import make_program
from mistakes import MISTAKES

LAYERS = {"content_layers": ("conv2_1",), "style_layers": ("image", "conv1_1")}


@pytest.fixture(scope="module")
def encoder():
    return random_encoder(js.VGG((1, 1), widths=(16, 32), pooling="average", padding="replicate"))


@pytest.fixture(scope="module")
def pictures():
    return jax.random.uniform(jax.random.key(0), (2, 24, 32, 3))


@pytest.fixture(scope="module")
def problem(encoder, pictures):
    objective = js.Objective(**LAYERS)
    return (
        pictures[1],
        js.make_targets(*pictures, encoder, objective),
        js.LossWeights(),
        encoder,
        objective,
    )


SPREAD = """
import json, jax, jax.numpy as jnp, jaxstyle as js
from jaxstyle.pretrained import random_encoder
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
encoder = random_encoder(js.VGG((1, 1), widths=(16, 32)))
content, style = jax.random.uniform(jax.random.key(0), (2, 24, 32, 3))
objective = js.Objective(content_layers=("conv2_1",), style_layers=("image", "conv1_1"))
targets = js.make_targets(content, style, encoder, objective)
weights = js.LossWeights(style=jnp.array([1.0, 9.0]))
paint = lambda w: js.optimise(content, targets, w, encoder, objective, iterations=3).image
expected = jax.jit(jax.vmap(paint, in_axes=(weights.axes(),)))(weights)
mesh = jax.make_mesh((2,), ("batch",), axis_types=(AxisType.Auto,))
specs = jax.tree.map(lambda w: P("batch") if w.ndim else P(), weights)
one = lambda w: jax.vmap(paint, in_axes=(weights.axes(),))(w)
error = lambda a, b: float(jnp.abs(a - b).max())
result = {}
result["shard_map"] = error(
    jax.jit(jax.shard_map(one, mesh=mesh, in_specs=(specs,), out_specs=P("batch")))(weights),
    expected)
spread = jax.tree.map(lambda w, s: jax.device_put(w, NamedSharding(mesh, s)), weights, specs)
result["batch"] = error(jax.jit(jax.vmap(paint, in_axes=(weights.axes(),)))(spread), expected)
images = jnp.stack([content, style])
def losses(params, images):
    own = encoder.replace(params=params)
    return jax.vmap(lambda x: js.loss(x, targets, js.LossWeights(), own, objective))(images).sum()
def of_shards(params, images):
    return jax.grad(lambda p: jax.lax.psum(losses(p, images), "batch"))(params)
whole = jax.jit(jax.grad(losses))(encoder.params, images)
parts = jax.jit(jax.shard_map(of_shards, mesh=mesh, in_specs=(P(), P("batch")), out_specs=P()))(
    encoder.params, images)
scale = max(float(jnp.abs(x).max()) for x in jax.tree.leaves(whole))
result["parameters"] = max(jax.tree.leaves(jax.tree.map(error, parts, whole))) / scale
plan = js.Devices(2)
arguments = style, targets, js.LossWeights(), encoder, objective
eager = jax.value_and_grad(js.loss)(*arguments, plan=plan)
result["eager"] = error(eager[1], jax.jit(jax.grad(js.loss))(*arguments))
import pickle
result["pickled"] = pickle.loads(pickle.dumps(plan)) == plan
print(json.dumps(result))
"""


def test_shard_map_and_meshes():
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=2"
    environment = os.environ | {"XLA_FLAGS": flags}
    run = subprocess.run(
        [sys.executable, "-c", SPREAD], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr[-2000:]
    result = json.loads(run.stdout)
    assert result.pop("pickled") is True
    assert max(result.values()) < 1e-4


@pytest.mark.parametrize("statistic", ["gram", "mean-std", "wasserstein"])
def test_forward_mode(encoder, pictures, statistic):
    """Products with the Hessian agree with central differences of the gradient, in float64."""
    with jax.enable_x64(True):
        content, style = (jnp.asarray(np.asarray(p), jnp.float64) for p in pictures)
        network = js.VGG((1, 1), widths=(4, 6), pooling="average", derivatives="any")
        rng = np.random.default_rng(0)
        params = {
            "conv1_1": {"kernel": rng.normal(size=(3, 3, 3, 4)) / 3, "bias": np.full(4, 0.3)},
            "conv2_1": {"kernel": rng.normal(size=(3, 3, 4, 6)) / 4, "bias": np.full(6, 0.3)},
        }
        encoder = encoder.replace(params=jax.tree.map(jnp.asarray, params), network=network)
        objective = js.Objective(**LAYERS, statistic=statistic)
        targets = js.make_targets(content, style, encoder, objective)
        weights = jax.tree.map(lambda w: jnp.asarray(w, jnp.float64), js.LossWeights())
        gradient = jax.jit(jax.grad(lambda x: js.loss(x, targets, weights, encoder, objective)))
        direction, step = content - 0.5, 1e-5
        product = jax.jvp(gradient, (style,), (direction,))[1]
        expected = (gradient(style + step * direction) - gradient(style - step * direction)) / (
            2 * step
        )
        np.testing.assert_allclose(product, expected, atol=1e-5 * np.abs(expected).max())


def test_forward_mode_without_the_switch_names_it(problem):
    image, *others = problem
    with pytest.raises(js.InputError, match='derivatives="any"'):
        jax.jvp(lambda x: js.loss(x, *others), (image,), (image,))


def test_plain_and_handwritten_derivatives_agree(problem):
    image, targets, weights, encoder, objective = problem
    plain = encoder.replace(network=encoder.network.clone(derivatives="any"))
    gradients = [
        jax.jit(jax.grad(js.loss))(image, targets, weights, e, objective) for e in (encoder, plain)
    ]
    np.testing.assert_allclose(*gradients, atol=1e-6 * np.abs(gradients[0]).max())


@pytest.mark.parametrize("optimiser", [
    optax.lbfgs(), optax.polyak_sgd(1e-3), optax.adam(1e-2),
    optax.chain(optax.adam(1e-2), optax.contrib.reduce_on_plateau()),
    optax.chain(optax.sgd(1e-3), optax.scale_by_backtracking_linesearch(10)),
], ids=["lbfgs", "polyak", "adam", "plateau", "backtracking"])  # fmt: skip
def test_optimisers_of_optax_lower_the_loss(problem, optimiser):
    solver = js.from_optax(optimiser)
    result = js.optimise(*problem, iterations=6, solver=solver)
    total = sum(result.terms.values())
    assert total[-1] < total[0]


def test_tolerance_stops_a_run(problem):
    short = js.optimise(*problem, iterations=60, tolerance=0.02, patience=5)
    assert short.converged
    assert short.iterations < 60
    loss = np.asarray(sum(short.terms.values()))[: int(short.iterations)]
    slow = np.flatnonzero(loss[:-5] - loss[5:] < 0.02 * loss[:-5])
    assert short.iterations == slow[0] + 6


@dataclasses.dataclass(frozen=True)
class Pair:
    is_image = False

    def from_image(self, image, encoder):
        return image / 2, {"half": image / 2}

    def to_image(self, z, encoder):
        return z[0] + z[1]["half"]


def test_variable_may_be_a_pytree(problem):
    """Half of each of two images: gradient descent moves their sum twice as far."""
    pair = js.optimise(*problem, iterations=3, solver=js.gradient_descent(5e-3), variable=Pair())
    image = js.optimise(*problem, iterations=3, solver=js.gradient_descent(1e-2))
    np.testing.assert_allclose(pair.image, image.image, atol=1e-5)


@dataclasses.dataclass(frozen=True)
class Follow(js.Term):
    """Pulls the image towards what it was at the last renewal; counts renewals."""

    renewal: int = 2

    def content_target(self, view, scene, size):
        return {"image": view.image}, jnp.zeros(())

    def sums(self, view):
        return jnp.square(view.image - view.local["image"]).sum()

    def value(self, sums, target, weight, size):
        return weight.total * (sums + target.content)

    def renew(self, image, target, observe, size):
        return target._replace(local={"image": image}, content=target.content + 1)


@pytest.mark.parametrize("solver", [js.adam(), js.lbfgs()], ids=["adam", "lbfgs"])
def test_targets_are_renewed(encoder, pictures, solver):
    """The value of the term counts renewals: at the start, and before every further two steps."""
    content, style = pictures
    objective = js.Objective(**LAYERS, extra={"follow": Follow()})
    weights = js.LossWeights(style=0.0, content=0.0, tv=1e-6, extra={"follow": 1.0})
    targets = js.make_targets(content, style, encoder, objective)
    run = js.optimise(content, targets, weights, encoder, objective, iterations=5, solver=solver)
    assert np.floor(run.terms["follow"] + 1e-3).tolist() == [1, 1, 2, 2, 3]
    schedule = js.Schedule(iterations=5, scales=1)
    options = {"objective": objective, "loss_weights": weights, "solver": solver}
    chunked = js.stylize(
        content, style, encoder, **options, schedule=schedule, callback_every=[3], callback=print
    )
    np.testing.assert_allclose(chunked.terms["follow"], run.terms["follow"], atol=1e-3)
    swept = js.sweep(content, style, encoder, **options, schedule=schedule, seeds=[0, 1])
    assert np.floor(swept.terms["follow"] + 1e-3).tolist() == [3, 3]


def test_targets_are_renewed_once_at_the_start_of_each_scale(encoder, pictures):
    objective = js.Objective(**LAYERS, extra={"follow": Follow(renewal=0)})
    weights = js.LossWeights(style=0.0, content=0.0, tv=1e-6, extra={"follow": 1.0})
    schedule = js.Schedule(
        iterations=3, coarse_iterations=2, scales=2, coarsest=16, scale_factor=1.4
    )
    options = {"objective": objective, "loss_weights": weights, "solver": js.adam()}
    run = js.stylize(*pictures, encoder, **options, schedule=schedule)
    assert np.floor(run.terms["follow"] + 1e-3).tolist() == [1] * 5


def test_prepared_encoder_is_made_inside_optimise(problem):
    """The program holds the transformed kernels before its loop, and none is computed inside."""
    image, targets, weights, encoder, objective = problem
    program = make_program(objective, None, "image").at(image.shape[:2])
    assert hasattr(program.prepare(encoder), "kernels")
    text = str(jax.make_jaxpr(lambda *data: js.optimise(*data, objective, iterations=2).image)(
        image, targets, weights, encoder))  # fmt: skip
    assert text.index("_prepare_kernels") < text.index("while[")


def test_serialisation(problem):
    image, targets, weights, encoder, objective = problem
    state = flax.serialization.to_bytes(jax.tree.leaves(weights))
    assert flax.serialization.from_bytes(jax.tree.leaves(weights), state)[0] == weights.content
    function = jax.jit(lambda *data: js.loss(*data, encoder, objective))
    exported = jax.export.export(function)(image, targets, weights)
    again = jax.export.deserialize(exported.serialize())
    np.testing.assert_allclose(again.call(image, targets, weights), js.loss(*problem), rtol=1e-5)
    for static in (js.Recipe(), js.Tiles(64), js.Whole(), objective):
        assert hash(pickle.loads(pickle.dumps(static))) == hash(static)


def test_transfer_guard(problem):
    with jax.transfer_guard("disallow"):
        loss = jax.jit(js.loss)(*problem[:2], js.LossWeights(), *problem[3:])
    assert jnp.isfinite(loss)


def test_statistic_may_be_a_class_or_a_name_and_layers_a_list(mistakes):
    assert mistakes["accepted"] == "True"


@pytest.fixture(scope="module")
def mistakes():
    """Messages, from a process in which types are not checked."""
    program = Path(__file__).with_name("mistakes.py")
    run = subprocess.run([sys.executable, program], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    return json.loads(run.stdout)


@pytest.mark.parametrize("message", MISTAKES)
def test_mistake_is_refused_in_one_line(mistakes, message):
    assert message in mistakes[message]
    assert "\n" not in mistakes[message]
