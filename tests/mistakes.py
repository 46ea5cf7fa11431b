"""Run in a process without type checks: prints the messages about mistakes as JSON."""

import dataclasses
import json

import jax
import jax.numpy as jnp

import jaxstyle as js
from jaxstyle.pretrained import random_encoder

MASKS = jnp.ones((1, 24, 32))
MISTAKES = {
    "masks: on one side": lambda p, c, s: js.make_targets(js.Scene(c, MASKS), s, *p[3:]),
    "regions": lambda p, c, s: js.make_targets(
        js.Scene(c, MASKS), js.Styles([s], masks=[jnp.ones((2, 24, 32))]), *p[3:]
    ),
    "are not for Wasserstein": lambda p, c, s: js.loss(
        *p[:4], dataclasses.replace(p[4], statistic="wasserstein")
    ),
    "use jax.vmap": lambda p, c, s: js.loss(*p[:2], js.LossWeights(style=jnp.ones(2)), *p[3:]),
    "iterations -1": lambda p, c, s: js.optimise(*p, iterations=-1),
    "iterations: is traced": lambda p, c, s: jax.jit(lambda n: js.optimise(*p, iterations=n).image)(
        3
    ),
    "divide by 255": lambda p, c, s: js.stylize(c * 255, s, p[3], objective=p[4]),
    "add 1 and divide": lambda p, c, s: js.make_targets(c, 2 * s - 1, *p[3:]),
    "not finite": lambda p, c, s: js.make_targets(c.at[0, 0, 0].set(jnp.nan), s, *p[3:]),
    "load_image": lambda p, c, s: js.make_targets("photo.jpg", s, *p[3:]),
    "uint8": lambda p, c, s: js.make_targets((c * 255).astype(jnp.uint8), s, *p[3:]),
    "torch.Tensor": lambda p, c, s: js.perceptual.content_distance(_tensor(), c, p[3]),
    "make it a subclass": lambda p, c, s: js.encode(c, object(), ("conv1_1",)),
    "not an optimiser": lambda p, c, s: js.from_optax(js.adam()),
    "not a Term": lambda p, c, s: js.Objective(extra={"mine": abs}),
    "perhaps laplacian": lambda p, c, s: js.Objective(extra=["laplacien"]),
    "not a plan": lambda p, c, s: js.stylize(c, s, p[3], objective=p[4], plan="tiles"),
    "a string; give a tuple": lambda p, c, s: js.Objective(style_layers="conv1_1"),
    "layer 'relu1_1': unknown, perhaps conv1_1": lambda p, c, s: js.encode(c, p[3], ("relu1_1",)),
    "layer 'relu2_1': unknown, perhaps conv2_1": lambda p, c, s: js.loss(
        *p[:2], js.LossWeights(style_layers={"relu2_1": 50}), *p[3:]
    ),
    "encoder 'vgg-16': unknown, perhaps vgg16": lambda p, c, s: js.load_encoder("vgg-16"),
    "preset 'gaty': unknown, perhaps gatys": lambda p, c, s: js.preset("gaty"),
    "normalisation 'energies': unknown, perhaps energy": lambda p, c, s: js.Objective(
        normalisation="energies"
    ),
    "tv 'nine-points': unknown, perhaps nine-point": lambda p, c, s: js.Objective(tv="nine-points"),
    "pooling 'averaged': unknown, perhaps average": lambda p, c, s: _encode(p, pooling="averaged"),
    "padding 'zero': unknown, perhaps zeros": lambda p, c, s: _encode(p, padding="zero"),
    "pooling 'maxi': unknown, perhaps max": lambda p, c, s: js.load_encoder(pooling="maxi"),
}


def _encode(problem, **changed):
    encoder = problem[3].replace(network=problem[3].network.clone(**changed))
    return js.encode(problem[0], encoder, ("conv2_1",))


def _tensor():
    return type("Tensor", (), {"__module__": "torch"})()


def main():
    encoder = random_encoder(js.VGG((1, 1), widths=(8, 16)))
    content, style = jax.random.uniform(jax.random.key(0), (2, 24, 32, 3))
    objective = js.Objective(content_layers=("conv2_1",), style_layers=("image", "conv1_1"))
    targets = js.make_targets(content, style, encoder, objective)
    problem = style, targets, js.LossWeights(), encoder, objective
    made = [js.Objective(statistic=s, style_layers=["conv1_1"]) for s in (js.Gram, "gram")]
    accepted = all(o == js.Objective(style_layers=("conv1_1",)) for o in made)
    messages = {"accepted": str(accepted)}
    for name, mistake in MISTAKES.items():
        try:
            mistake(problem, content, style)
        except js.InputError as error:
            messages[name] = str(error)
    print(json.dumps(messages))


if __name__ == "__main__":
    main()
