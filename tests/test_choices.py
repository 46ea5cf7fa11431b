"""Typing errors in what is chosen by name: refused, with the name that was probably meant."""

import subprocess
import sys

import jax.numpy as jnp
import pytest

import jaxstyle as js

IMAGE = jnp.full((16, 16, 3), 0.5)
OBJECTIVE = js.Objective(("conv1_1",), ("conv2_1",))


def loss(encoder, **loss_weights):
    return js.loss_terms(
        IMAGE,
        js.make_targets(IMAGE, IMAGE, encoder, OBJECTIVE),
        js.LossWeights(**loss_weights),
        encoder,
        OBJECTIVE,
    )


@pytest.mark.parametrize(("wrong", "needle"), [
    (lambda e: js.encode(e, IMAGE, ("relu1_1",)), "layer 'relu1_1'.*perhaps conv1_1"),
    (lambda e: loss(e, style_layers={"relu2_1": 50}), "layer 'relu2_1'.*perhaps conv2_1"),
    (lambda e: loss(e, content_layers={"conv11": 5}), "layer 'conv11'.*perhaps conv1_1"),
    (lambda e: js.load_encoder("vgg-16"), "encoder 'vgg-16'.*perhaps vgg16"),
    (lambda e: js.preset("gaty"), "preset 'gaty'.*perhaps gatys"),
])  # fmt: skip
def test_typing_errors_are_refused(encoder, wrong, needle):
    with pytest.raises(js.InputError, match=needle):
        wrong(encoder)


# By a process of its own: the tests' checks of types would tell first.
PROGRAM = """
import jax, jax.numpy as jnp, jaxstyle as js

def encode(**changed):
    encoder = js.load_encoder("random")
    encoder = encoder.replace(vgg=encoder.vgg.clone(**changed))
    jax.eval_shape(lambda x: js.encode(encoder, x, ("conv2_1",)), jnp.ones((16, 16, 3)))

for wrong in (
    lambda: js.Objective(normalisation="energies"),
    lambda: js.Objective(memory="hig"),
    lambda: js.Objective(tv="nine-points"),
    lambda: encode(pooling="averaged"),
    lambda: encode(padding="zero"),
    lambda: js.load_encoder(pooling="maxi"),
):
    try:
        print("taken", wrong())
    except js.InputError as error:
        print(error)
"""


def test_words_for_choices_are_refused():
    told = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert told.stdout.splitlines() == [
        "normalisation 'energies': unknown, perhaps energy; "
        "choose energy, mean, neural-style, udacity, keras",
        "memory 'hig': unknown, perhaps high; choose high, low",
        "tv 'nine-points': unknown, perhaps nine-point; choose l1, l2, isotropic^1.25, nine-point",
        "pooling 'averaged': unknown, perhaps average; choose max, average, l2",
        "padding 'zero': unknown, perhaps zeros; "
        "choose zeros, replicate, replicate-first, circular",
        "pooling 'maxi': unknown, perhaps max; choose max, average, l2",
    ], told.stderr


def test_weights_of_layers_that_are_not_asked_for_wait(encoder):
    plain, more = loss(encoder, style_layers={}), loss(encoder, style_layers={"conv5_1": 3.0})
    assert plain == more
