"""Run in a process with eight devices: one picture on many of them, against plain functions."""

import json
import sys

import jax
import jax.numpy as jnp
import numpy as np

import jaxstyle as js
from jaxstyle.encoder.vgg import VGG
from jaxstyle.pretrained import random_encoder

LAYERS = {"content_layers": ("conv2_2",), "style_layers": ("image", "conv1_1", "conv3_1")}
WEIGHTS = js.LossWeights(tv=500.0)
OFTEN = ("all-gather", "all-reduce", "collective-permute", "all-to-all")


def narrow(padding="replicate", pooling="max"):
    network = VGG(depths=(2, 2, 1), widths=(6, 8, 10), pooling=pooling, padding=padding)
    return random_encoder(network)


def pictures(height, width, dtype=np.float64):
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.uniform(size=(height, width, 3)), dtype) for _ in range(3)]


def differences(devices, shape, padding, pooling="max", masked=False, **options):
    """Returns the relative differences of loss and gradient, in float64."""
    image, content, style = pictures(*shape)
    encoder, objective = narrow(padding, pooling), js.Objective(**LAYERS, **options)
    masks = {}
    if masked:
        region = jnp.asarray(np.random.default_rng(1).uniform(size=shape))
        both = jnp.stack([region, 1 - region])
        masks = {"content_masks": both, "style_masks": [both, both], "blend": jnp.array([1.0, 3.0])}
    styles = [style, style[::-1]] if masked else style
    data = js.make_targets(content, styles, encoder, objective, **masks), WEIGHTS, encoder
    value, gradient = jax.jit(jax.value_and_grad(js.loss), static_argnums=4)(
        image, *data, objective
    )
    mesh = js.mesh(devices)
    shared = js.sharded_targets(content, styles, encoder, objective, mesh=mesh, **masks)
    found = []
    for targets in (data[0], shared):
        again, other = jax.jit(js.sharded_value_and_grad, static_argnums=4, static_argnames="mesh")(
            image, targets, *data[1:], objective, mesh=mesh
        )
        assert other.shape == image.shape
        found += [abs(again / value - 1), jnp.abs(other - gradient).max() / jnp.abs(gradient).max()]
    return float(max(found))


def program(devices, height, iterations=None, **options):
    """Returns how often each collective is in a program, and a device's temporaries in bytes."""
    image, content, style = pictures(height, 48, np.float32)
    encoder, objective = narrow(), js.Objective(**LAYERS, **options)
    mesh = js.mesh(devices)
    targets = js.sharded_targets(content, style, encoder, objective, mesh=mesh)

    def run(image, targets):
        data = targets, WEIGHTS, encoder, objective
        if iterations is None:
            return js.sharded_value_and_grad(image, *data, mesh=mesh)
        return js.optimise(image, *data, iterations=iterations, mesh=mesh).image

    compiled = jax.jit(run).lower(jax.device_put(image, mesh.sharding(0)), targets).compile()
    text = compiled.as_text()
    counts = {name: text.count(f" {name}(") + text.count(f" {name}-start(") for name in OFTEN}
    return counts | {"bytes": compiled.memory_analysis().temp_size_in_bytes}


def runs(devices, shape, solver):
    """Returns how far whole runs, coarse to fine, are apart."""
    _, content, style = pictures(*shape, np.float32)
    options = {
        "objective": js.Objective(**LAYERS),
        "schedule": js.Schedule(iterations=5, scales=2, coarse_iterations=4, coarsest=16),
        "solver": {"lbfgs": js.lbfgs(history=3), "adam": js.adam()}[solver],
    }
    heard = []
    one = js.stylize(content, style, narrow(), **options)
    many = js.stylize(
        content,
        style,
        narrow(),
        **options,
        mesh=js.mesh(devices),
        callback=lambda progress: heard.append(list(progress.image.shape[:2])),
    )
    assert heard[-1] == list(shape)
    assert one.evaluations == many.evaluations
    return float(jnp.abs(one.image - many.image).max())


def resumed(solver, masked):
    """Returns how far what devices go on with is from the whole run: as many, more, and one."""
    _, content, style = pictures(66, 40, np.float32)
    objective = js.Objective(**LAYERS, memory="tiles", tile=32)
    schedule = js.Schedule(iterations=6, scales=2, coarse_iterations=4, coarsest=16)
    options = {"objective": objective, "schedule": schedule, "callback_every": [3]}
    options["solver"] = {"lbfgs": js.lbfgs(history=3), "adam": js.adam()}[solver]
    if masked:
        both = jnp.stack([jnp.tile(jnp.arange(40) < 12, (66, 1))] * 2).astype(jnp.float32)
        options |= {"content_masks": both.at[1].set(1 - both[1]), "style_masks": [both]}
    kept = []

    def run(devices, **more):
        mesh = devices and js.mesh(devices)
        return js.stylize(content, style, narrow(), **options, mesh=mesh, **more)

    whole = run(3, callback=lambda progress: kept.append(jax.device_get(progress.checkpoint)))
    assert [len(checkpoint.terms) for checkpoint in kept] == [3, 4, 6, 9, 10]
    apart = []
    for devices, checkpoint in ((3, kept[0]), (3, kept[2]), (4, kept[2]), (None, kept[2])):
        other = run(devices, resume=checkpoint)
        assert len(other.terms.style) == len(whole.terms.style)
        apart.append(float(jnp.abs(other.image - whole.image).max()))
    return [max(apart[:2]), max(apart)]


if __name__ == "__main__":
    function = globals()[sys.argv[1]]
    cases = json.loads(sys.argv[2])
    if sys.argv[1] == "differences":
        jax.config.update("jax_enable_x64", True)
    for case in cases:
        options = case.pop() if isinstance(case[-1], dict) else {}
        if "statistic" in options:
            options["statistic"] = getattr(js, options["statistic"])()
        print(json.dumps(function(*case, **options)), flush=True)
