"""Run in a process with eight devices: one picture on many of them, against one device."""

import json
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

import jaxstyle as js
from jaxstyle.encoder.vgg import VGG
from jaxstyle.pretrained import random_encoder

LAYERS = {"content_layers": ("conv2_2",), "style_layers": ("image", "conv1_1", "conv3_1")}
WEIGHTS = js.LossWeights(tv=500.0)
COLLECTIVES = ("all-gather", "all-reduce", "collective-permute", "all-to-all")


def narrow(padding="replicate", pooling="max"):
    network = VGG(depths=(2, 2, 1), widths=(6, 8, 10), pooling=pooling, padding=padding)
    return random_encoder(network)


def pictures(height, width, dtype=np.float64):
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.uniform(size=(height, width, 3)), dtype) for _ in range(3)]


def differences(devices, shape, padding, pooling="max", masked=False, plan=None, **options):
    """Returns the largest relative difference of loss and gradient, in float64."""
    image, content, style = pictures(*shape)
    encoder, objective = narrow(padding, pooling), js.Objective(**LAYERS, **options)
    scene, styles = js.Scene(content), js.Styles([style])
    if masked:
        region = jnp.asarray(np.random.default_rng(1).uniform(size=shape))
        both = jnp.stack([region, 1 - region])
        scene = js.Scene(content, both)
        styles = js.Styles([style, style[::-1]], jnp.array([1.0, 3.0]), [both, both])
    plan = js.Devices(devices, **plan or {})
    targets = js.make_targets(scene, styles, encoder, objective)
    gradient_of = jax.jit(jax.value_and_grad(js.loss))
    value, gradient = gradient_of(image, targets, WEIGHTS, encoder, objective)
    found = []
    for made in (targets, js.make_targets(scene, styles, encoder, objective, plan=plan)):
        again, other = gradient_of(image, made, WEIGHTS, encoder, objective, plan=plan)
        assert other.shape == image.shape
        found += [abs(again / value - 1), jnp.abs(other - gradient).max() / jnp.abs(gradient).max()]
    return float(max(found))


def program(devices, height, iterations=None, **options):
    """Returns how often each collective is in a program, and a device's temporaries in bytes."""
    image, content, style = pictures(height, 48, np.float32)
    encoder, objective = narrow(), js.Objective(**LAYERS)
    plan = js.Devices(devices, **options)
    targets = js.make_targets(content, style, encoder, objective, plan=plan)

    def run(image, targets):
        data = targets, WEIGHTS, encoder, objective
        if iterations is None:
            return jax.value_and_grad(partial(js.loss, plan=plan))(image, *data)
        return js.optimise(image, *data, iterations=iterations, plan=plan).image

    image = jax.device_put(image, plan.devices.sharding(0))
    compiled = jax.jit(run).lower(image, targets).compile()
    text = compiled.as_text()
    counts = {n: text.count(f" {n}(") + text.count(f" {n}-start(") for n in COLLECTIVES}
    return counts | {"bytes": compiled.memory_analysis().temp_size_in_bytes}


SOLVERS = {"lbfgs": js.lbfgs(history=3), "adam": js.adam()}


def resumed(solver, masked):
    """Returns how much resumed runs differ from the whole one: on 3 devices, on any number."""
    _, content, style = pictures(66, 40, np.float32)
    schedule = js.Schedule(iterations=6, scales=2, coarse_iterations=4, coarsest=16)
    nearest = js.Nearest(layers=("conv1_1", "conv3_1"), grid="conv3_1")  # with renewed targets
    objective = js.Objective(**LAYERS, extra={"nearest": nearest})
    options = {"objective": objective, "schedule": schedule, "callback_every": [3]}
    options["solver"] = SOLVERS[solver]
    scene, styles = js.Scene(content), js.Styles([style])
    if masked:
        left = jnp.tile(jnp.arange(40) < 12, (66, 1)).astype(jnp.float32)
        both = jnp.stack([left, 1 - left])
        scene, styles = js.Scene(content, both), js.Styles([style], masks=[both])
    kept = []

    def run(plan, **more):
        return js.stylize(scene, styles, narrow(), **options, plan=plan, **more)

    plans = {n: js.Devices(n, tile=32) for n in (3, 4)} | {1: js.Tiles(32)}
    keep = lambda progress: kept.append(jax.device_get(progress.checkpoint))  # noqa: E731
    whole = run(plans[3], callback=keep)
    assert [len(checkpoint.terms["style"]) for checkpoint in kept] == [3, 4, 6, 9, 10]
    errors = []
    for devices, checkpoint in ((3, kept[0]), (3, kept[2]), (4, kept[2]), (1, kept[2])):
        other = run(plans[devices], init=checkpoint)
        assert len(other.terms["style"]) == len(whole.terms["style"])
        errors.append(float(jnp.abs(other.image - whole.image).max()))
    return [max(errors[:2]), max(errors)]


if __name__ == "__main__":
    function = globals()[sys.argv[1]]
    cases = json.loads(sys.argv[2])
    if sys.argv[1] == "differences":
        jax.config.update("jax_enable_x64", True)
    for case in cases:
        options = case.pop() if isinstance(case[-1], dict) else {}
        print(json.dumps(function(*case, **options)), flush=True)
