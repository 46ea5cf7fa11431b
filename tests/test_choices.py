"""Wrong arrays are refused; weights of unused layers are ignored."""

import subprocess
import sys

import jax.numpy as jnp

import jaxstyle as js

IMAGE = jnp.full((16, 16, 3), 0.5)
OBJECTIVE = js.Objective(content_layers=("conv1_1",), style_layers=("conv2_1",))


def loss(encoder, **loss_weights):
    return js.loss_terms(
        IMAGE,
        js.make_targets(IMAGE, IMAGE, encoder, OBJECTIVE),
        js.LossWeights(**loss_weights),
        encoder,
        OBJECTIVE,
    )


def test_weights_of_unused_layers_are_ignored(encoder):
    plain, more = loss(encoder, style_layers={}), loss(encoder, style_layers={"conv5_1": 3.0})
    assert plain == more


REFUSED = """
import dataclasses
import jax, jax.numpy as jnp, jaxstyle as js
from jaxstyle.pretrained import random_encoder

encoder = random_encoder(js.VGG((1, 1), widths=(8, 16)))
objective = js.Objective(content_layers=("conv1_1",), style_layers=("conv2_1",))
good = jnp.full((32, 32, 3), 0.5)
targets = js.make_targets(good, good, encoder, objective)
weights, masks = js.LossWeights(), jnp.ones((1, 32, 32))
bad = {
    "integers": jnp.ones((32, 32, 3), jnp.int32),
    "booleans": jnp.ones((32, 32, 3), bool),
    "grey": jnp.ones((32, 32, 1)),
    "no image": jnp.ones((32, 32)),
    "a batch": jnp.ones((2, 32, 32, 3)),
}
calls = {
    "encode": lambda x: js.encode(x, encoder, ("conv1_1",)),
    "content": lambda x: js.make_targets(x, good, encoder, objective),
    "style": lambda x: js.make_targets(good, x, encoder, objective),
    "styles": lambda x: js.style_targets([good, x], encoder, objective, shape=(32, 32)),
    "loss": lambda x: js.loss(x, targets, weights, encoder, objective),
    "optimise": lambda x: js.optimise(x, targets, weights, encoder, objective, iterations=1),
    "stylize": lambda x: js.stylize(x, good, encoder, objective=objective),
    "texture": lambda x: js.texture(x, (32, 32), encoder, objective=objective),
    "paint": lambda x: js.paint(js.Recipe(encoder="random"), x, good),
}
wrong = {f"{c}: {b}": (lambda f=f, x=x: f(x)) for c, f in calls.items() for b, x in bad.items()}
wrong |= {
    "a row": lambda: js.loss(jnp.ones((2, 32, 3)), targets, weights, encoder, objective),
    "another size": lambda: calls["loss"](jnp.ones((32, 48, 3))),
    "one share for two": lambda: js.make_targets(
        good, js.Styles([good, good], jnp.ones(1)), encoder, objective
    ),
    "one mask for two": lambda: js.make_targets(
        js.Scene(good, masks), js.Styles([good, good], masks=[masks]), encoder, objective
    ),
    "another mask": lambda: js.make_targets(
        js.Scene(good, masks[:, 16:]), js.Styles([good], masks=[masks]), encoder, objective
    ),
    "unknown term": lambda: js.loss(
        good, targets, js.LossWeights(extra={"none": 1}), encoder, objective
    ),
    "missing term": lambda: js.loss(
        good, targets, weights, encoder, dataclasses.replace(objective, extra=["laplacian"])
    ),
    "another layer": lambda: js.loss(
        good, targets, weights, encoder, js.Objective(content_layers=(), style_layers=("conv1_1",))
    ),
}
for name, call in wrong.items():
    for run in (call, lambda: jax.eval_shape(call)):
        if name.startswith(("stylize", "texture", "paint")) and run is not call:
            continue
        try:
            run()
        except js.InputError as error:
            assert str(error).count("\\n") == 0
        else:
            print(name)
"""


def test_wrong_arrays_are_refused_everywhere():
    """At trace time, too; a case that is not refused prints a line."""
    run = subprocess.run([sys.executable, "-c", REFUSED], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout == ""
