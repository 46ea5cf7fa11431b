"""Compiled programs: operations, convolutions, memory, and how often they are compiled.

Nothing is timed: these are the properties that speed depends on.
"""

import re
from functools import partial

import jax
import jax.numpy as jnp
import jaxtyping
import pytest

import jaxstyle as js
from jaxstyle import compilation
from jaxstyle.encoder.preprocessing import CAFFE
from jaxstyle.encoder.vgg import VGG, block_of
from jaxstyle.encoder.vgg_encoder import PreparedVGG
from jaxstyle.evaluate.whole import WHOLE
from jaxstyle.ops import convolution, winograd
from jaxstyle.run import chunks, loop
from programs import loss_and_gradient, total

STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
OBJECTIVE = js.Objective(
    content_layers=("conv4_2",), style_layers=STYLE_LAYERS, normalisation="mean"
)
NARROW = VGG(depths=(2, 2, 4, 4, 1), widths=(4, 6, 8, 10, 12))
WIDE = VGG(depths=(2, 2, 4, 4, 1))
# Under 48 px the deepest features are smaller than a kernel, and XLA exchanges the two.
SIZE = 48
# XLA's CPU backend has a fast path for these, in and out of loops: nothing reversed, dilated or
# strided, and the kernel's axes in this order. Autodiff's convolution has a reversed kernel, 01oi.
PLAIN = "window={size=3x3 pad=1_1x1_1}, dim_labels=b01f_01io->b01f"


@pytest.fixture(autouse=True)
def unchecked():
    """Lowering passes shapes where the types say arrays."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def compilations():
    """The names of the programs that XLA compiles during a test."""
    names = []

    def listen(event, seconds, **facts):
        if event == "/jax/core/compile/backend_compile_duration":
            names.append(facts["fun_name"])

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield names
    jax.monitoring.unregister_event_duration_listener(listen)


def array(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def direct_encoder(vgg):
    """Returns the shapes of an encoder whose convolutions are all direct ones."""
    params, inputs = {}, 3
    for name in vgg.layers:
        outputs = vgg.widths[block_of(name) - 1]
        params[name] = {"kernel": array(3, 3, inputs, outputs), "bias": array(outputs)}
        inputs = outputs
    kernels = {
        name: jax.eval_shape(lambda k: convolution.prepare(k, platform="gpu"), p["kernel"])
        for name, p in params.items()
    }
    encoder = js.VGGEncoder(params=params, network=vgg, preprocessing=CAFFE)
    return PreparedVGG(encoder=encoder, kernels=kernels)


def make_data(encoder, size, objective=OBJECTIVE, plan=WHOLE):
    image = array(size, size, 3)
    make = partial(js.make_targets, objective=objective, plan=plan)
    weights = jax.tree.map(lambda _: array(), js.LossWeights())
    return loop.Data(jax.eval_shape(make, image, image, encoder), weights, encoder)


def compile_objective(encoder, size):
    data = make_data(encoder, size)
    return loss_and_gradient.lower(array(size, size, 3), *data, OBJECTIVE).compile()


def compile_loop(encoder, size):
    program, data = loop.Program(OBJECTIVE, js.lbfgs()).at((size, size)), make_data(encoder, size)
    return chunks.compile_programs(array(size, size, 3), None, data, program).advance


def convolutions(compiled):
    return re.findall(r"^.* convolution\(.*$", compiled.as_text(), re.MULTILINE)


def expected_convolutions(vgg, size):
    """Returns ``2·i·o`` for each tap inside the image, and as many for the adjoint."""
    total, inputs = 0, 3
    for name in vgg.layers:
        side, outputs = size >> (block_of(name) - 1), vgg.widths[block_of(name) - 1]
        total += 2 * 2 * (3 * side - 2) ** 2 * inputs * outputs
        inputs = outputs
    return total


def expected_grams(vgg, size):
    """Returns ``2·n·c²`` for each style layer, and as many for the gradient."""
    sides = [size >> (block_of(name) - 1) for name in STYLE_LAYERS]
    return sum(2 * 2 * side**2 * c**2 for side, c in zip(sides, vgg.widths, strict=True))


def test_number_of_operations_agrees_with_the_formula():
    """Within 3 %, for pointwise operations and sums."""
    counted = compile_objective(direct_encoder(WIDE), 64).cost_analysis()["flops"]
    expected = expected_convolutions(WIDE, 64) + expected_grams(WIDE, 64)
    assert counted == pytest.approx(expected, rel=0.03)


def test_operations_of_winograd_agree_with_the_formula():
    """36 matrix products for each tile of 4×4 outputs, and the transforms."""
    side, inputs, outputs = 16, 128, 256  # one strip: XLA counts the body of a loop once
    kernel = jax.eval_shape(winograd.transform_kernel, array(3, 3, inputs, outputs))
    layer = jax.jit(winograd.convolve, static_argnums=2)
    compiled = layer.lower(array(side, side, inputs), kernel, (1, 1)).compile()
    # Columns of the padded strip, then rows; then both of the products.
    into, out_of = 6 * 6 * (side + 4) // (side // 4) + 6 * 6 * 6, 4 * 6 * 6 + 4 * 4 * 6
    tile = 36 * inputs * outputs + into * inputs + out_of * outputs
    expected = 2 * (side // 4) ** 2 * tile
    assert compiled.cost_analysis()["flops"] == pytest.approx(expected, rel=0.03)
    assert expected < 0.3 * 2 * (3 * side - 2) ** 2 * inputs * outputs


def temporaries(function, *arguments, jit=jax.jit):
    return jit(function).lower(*arguments).compile().memory_analysis().temp_size_in_bytes


def test_kernels_that_are_not_prepared_are_transformed_one_by_one():
    """Six layers whose transformed kernels take 28 MB, in a loop that does not change them."""
    kernel, features = array(3, 3, 128, 128), array(32, 32, 128)

    def descend(x, kernels, prepared):
        def energy(x):
            for kernel, ready in zip(kernels, prepared, strict=True):
                x = convolution.conv_relu(x, kernel, jnp.zeros(128), ready, (1, 1))
            return jnp.square(x).sum()

        return jax.lax.fori_loop(0, 9, lambda _, x: x - jax.grad(energy)(x), x)

    def ahead(x, kernels):
        prepared = [convolution.prepare(k, platform="cpu") for k in kernels]
        return descend(x, kernels, prepared)

    def bare(x, kernels):
        return descend(x, kernels, [None] * 6)

    transformed = 2 * 6 * 36 * 128 * 128 * 4
    assert temporaries(ahead, features, [kernel] * 6) > transformed
    assert temporaries(bare, features, [kernel] * 6) < 0.6 * transformed


def test_tiles_need_less_memory():
    """An evaluation keeps the features of one window."""
    encoder, size = direct_encoder(VGG(depths=(2, 2, 2), widths=(16, 16, 16))), 256
    objective = js.Objective(content_layers=(), style_layers=STYLE_LAYERS[:3])
    needed = {}
    for plan in (js.Whole(), js.Tiles(96)):
        data = make_data(encoder, size, objective, plan)

        def gradient(image, data, plan=plan):
            return jax.grad(partial(js.loss, plan=plan))(image, *data, objective)

        needed[plan] = temporaries(gradient, array(size, size, 3), data)
    assert needed[js.Tiles(96)] < 0.5 * needed[js.Whole()]


@pytest.mark.skipif(
    "xla_cpu_scheduler_type" not in compilation.compiler_options(), reason="XLA has no choice of it"
)
def test_evaluation_keeps_little_more_than_the_features():
    """The gradient needs all of them; by default XLA keeps half as much again."""
    encoder, size = direct_encoder(NARROW), 256

    def gradient(image, data):
        return jax.grad(js.loss)(image, *data, OBJECTIVE)

    features = sum(
        4 * (size >> (block_of(name) - 1)) ** 2 * NARROW.widths[block_of(name) - 1]
        for name in NARROW.layers
    )
    arguments = array(size, size, 3), make_data(encoder, size)
    assert temporaries(gradient, *arguments, jit=compilation.jit()) < 1.3 * features
    assert (
        temporaries(gradient, *arguments) > 1.3 * features
    )  # else the option is not needed any more


@pytest.mark.parametrize("compiler", [compile_objective, compile_loop])
def test_objective_is_compiled_once(compiler):
    """A convolution and an adjoint for each layer, in the body of the loop only."""
    encoder = direct_encoder(NARROW)
    lines = convolutions(compiler(encoder, SIZE))
    assert len(lines) == 2 * len(NARROW.layers)
    # A line contains the output's channels only.
    widths = [int(re.search(r",(\d+)\]", line)[1]) for line in lines]
    outputs = [NARROW.widths[block_of(name) - 1] for name in NARROW.layers]
    assert sorted(widths) == sorted([*outputs, 3, *outputs[:-1]])
    if compiler is compile_loop:
        assert all("while/body" in line for line in lines)


def test_every_convolution_in_the_loop_is_plain():
    lines = convolutions(compile_loop(direct_encoder(NARROW), SIZE))
    assert lines
    assert [line for line in lines if PLAIN not in line] == []


@pytest.mark.parametrize("padding", ["replicate", "circular"])
def test_every_convolution_has_some_padding(padding):
    """Without any, XLA's CPU backend writes out all patches."""
    found = convolutions(compile_loop(direct_encoder(NARROW.clone(padding=padding)), SIZE))
    assert len(found) == 2 * len(NARROW.layers)
    assert not [line for line in found if "pad=" not in line]


def test_history_is_written_in_place():
    """Twenty images, which XLA would otherwise copy in every iteration."""
    program = compile_loop(direct_encoder(NARROW), SIZE).as_text()
    history = rf"f32\[10,{SIZE},{SIZE},3\]\S*"
    assert re.search(rf"= {history} fusion\(", program)
    assert re.findall(rf"= {history} copy\(.*", program) == []


def test_each_scale_is_compiled_once(encoder, pictures, compilations):
    """However many chunks there are; another run of the same shape compiles nothing."""
    content, style = pictures[0][:-3, :-5], pictures[1]
    other = 1 - content
    options = {
        "objective": js.Objective(content_layers=("conv2_2",), style_layers=("conv1_1", "conv3_1")),
        "schedule": js.Schedule(iterations=16, scales=1),
    }
    seen = []
    first = js.stylize(content, style, encoder, callback=seen.append, **options)
    assert len(seen) >= 2
    assert [compilations.count(f"jit({name})") for name in ("start", "advance")] == [1, 1]
    compilations.clear()
    options["loss_weights"] = js.LossWeights(content=2.0, style=7.0, tv=0.5)
    second = js.stylize(other, style, encoder, **options)
    assert compilations == []
    assert total(second.terms)[-1] != total(first.terms)[-1]
