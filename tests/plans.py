"""Run in a process with four devices: every plan against ``Whole``, case by case.

Prints a line of JSON for each case: its name, and the relative errors of loss and gradient, or the
message of the refusal.
"""

import dataclasses
import functools
import itertools
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np

import jaxstyle as js
from jaxstyle.encoder import vgg
from jaxstyle.encoder.preprocessing import TORCH

ODD, EVEN = (77, 59), (96, 64)
STYLE = ("image", "conv1_1", "conv2_1")
PLANS = {
    "tiles": lambda: js.Tiles(40),
    "devices": lambda: js.Devices(3),
    "devices, kept": lambda: js.Devices(2, recompute=False),
    "devices in tiles": lambda: js.Devices(2, tile=32),
}
# Compiling is nearly all of the time.
OPTIONS = js.compilation.compiler_options()


@dataclasses.dataclass(frozen=True)
class Keep(js.Term):
    """Keeps the features of two layers where a map says so."""

    layers = content_layers = ("conv1_1", "conv2_1")

    def content_target(self, view, scene, size):
        sized = functools.partial(jax.image.resize, scene.data["keep"], method="linear")
        return {n: (view.features[n], sized(shape=size.layers[n])) for n in self.layers}, None

    def sums(self, view):
        pairs = [(n, view.features[n], *view.local[n]) for n in self.layers]
        return sum(view.sum(n, m[..., None] * jnp.square(f - p)) for n, f, p, m in pairs)

    def value(self, sums, target, weight, size):
        return weight.total * sums / size.pixels


SETTINGS = {
    "gram": {},
    "even": {"size": EVEN},
    "wasserstein": {"statistic": "wasserstein"},
    "mean-std": {"statistic": "mean-std"},
    "sliced": {"statistic": "sliced"},
    "normalised gradients": {"normalise_gradients": True},
    "masks": {"masks": 2},
    "keras": {"normalisation": "keras", "tv": "nine-point"},
    "average": {"pooling": "average"},
    "l2": {"pooling": "l2"},
    "zeros": {"padding": "zeros"},
    "replicate-first": {"padding": "replicate-first"},
    "circular": {"padding": "circular", "size": EVEN},
    "laplacian": {"extra": ("laplacian",)},
    "nearest": {
        "masks": 2,
        "extra": {
            "nearest": js.Nearest(
                layers=("conv1_1", "conv2_1"), grid="conv2_1", keys=99, turns=(0, 1)
            )
        },
    },
    "custom": {"extra": {"keep": Keep()}},
    "plain": {"derivatives": "any"},
}
IN_FLOAT32 = ("masks", "custom")
# Devices take long to compile: those of the settings in which they differ from tiles.
SPREAD = ("wasserstein", "sliced", "normalised gradients", "masks", "zeros", "replicate-first",
          "circular", "laplacian", "nearest", "custom")  # fmt: skip
ONCE = ("gram", "normalised gradients", "custom")


def has(plan, name, dtype):
    """Returns whether a plan is tried with a setting."""
    chosen = {"tiles": SETTINGS, "devices": SPREAD}.get(plan, ONCE)
    return name in chosen and (dtype == "float64" or (name in IN_FLOAT32 and chosen is not ONCE))


def make_encoder(dtype, padding="replicate", pooling="max", derivatives="reverse"):
    network = vgg.VGG(
        (1, 2), widths=(4, 6), pooling=pooling, padding=padding, derivatives=derivatives
    )
    rng, params, depth = np.random.default_rng(1), {}, 3
    for name in network.layers:
        width = network.widths[vgg.block_of(name) - 1]
        kernel = rng.normal(size=(3, 3, depth, width)) / np.sqrt(9 * depth / 2)
        # With a bias, features of zeros are not zeros: what surrounds the image matters.
        params[name] = {"kernel": jnp.asarray(kernel, dtype), "bias": jnp.full(width, 0.3, dtype)}
        depth = width
    return js.VGGEncoder(params=params, network=network, preprocessing=TORCH)


def make_problem(dtype, *, size=ODD, masks=0, padding="replicate", pooling="max",
                 derivatives="reverse", **settings):  # fmt: skip
    rng = np.random.default_rng(0)
    image, content, style, other = jnp.asarray(rng.uniform(size=(4, *size, 3)), dtype)
    scene = js.Scene(content, data={"keep": jnp.asarray(rng.uniform(size=(20, 20)), dtype)})
    styles = js.Styles([style, other[:60, :40]], jnp.asarray([0.3, 0.7], dtype))
    if masks:
        regions = jnp.asarray(rng.uniform(size=(masks, *size)), dtype)
        scene = scene._replace(masks=regions)
        styles = styles._replace(masks=[regions[::-1], regions[:, :60, :40]])
    objective = js.Objective(content_layers=("conv2_2",), style_layers=STYLE, **settings)
    weights = jax.tree.map(lambda w: w.astype(dtype), js.LossWeights())
    encoder = make_encoder(dtype, padding, pooling, derivatives)
    return image, scene, styles, weights, encoder, objective


def evaluate(problem, plan):
    image, scene, styles, weights, encoder, objective = problem
    targets = js.make_targets(scene, styles, encoder, objective, plan=plan)
    gradient = jax.jit(jax.value_and_grad(js.loss), compiler_options=OPTIONS)
    return gradient(image, targets, weights, encoder, objective, plan=plan)


def compare(plan, problem, whole):
    try:
        value, gradient = evaluate(problem, PLANS[plan]())
    except js.InputError as error:
        return {"refused": str(error)}
    expected, slope = whole
    error = jnp.abs(gradient - slope).max() / jnp.abs(slope).max()
    return {"loss": float(abs(value / expected - 1)), "gradient": float(error)}


def main():
    jax.config.update("jax_enable_x64", True)
    for dtype, name in itertools.product(("float64", "float32"), SETTINGS):
        plans = [plan for plan in PLANS if has(plan, name, dtype)]
        if plans:
            problem = make_problem(dtype, **SETTINGS[name])
            whole = evaluate(problem, js.Whole())
        for plan in plans:
            line = {"case": f"{plan}: {name}, {dtype}", **compare(plan, problem, whole)}
            print(json.dumps(line), flush=True)


CASES = [
    f"{plan}: {name}, {dtype}"
    for dtype, plan, name in itertools.product(("float64", "float32"), PLANS, SETTINGS)
    if has(plan, name, dtype)
]

if __name__ == "__main__":
    sys.exit(main())
