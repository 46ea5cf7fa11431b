"""What XLA makes of the objective: operations, convolutions, and how often it compiles.

Nothing is timed: these are the properties that the speed rests on.
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
from jaxstyle.losses import strips
from jaxstyle.ops import convolution, winograd
from jaxstyle.run import chunks, loop
from programs import loss_and_gradient

STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
OBJECTIVE = js.Objective(
    content_layers=("conv4_2",), style_layers=STYLE_LAYERS, normalisation="mean"
)
NARROW = VGG(depths=(2, 2, 4, 4, 1), widths=(4, 6, 8, 10, 12))
WIDE = VGG(depths=(2, 2, 4, 4, 1))
# Under 48 px the deepest features are smaller than a kernel, and XLA turns the two around.
SIZE = 48
# What XLA's CPU backend has a fast path for, in and out of loops: nothing reversed, dilated or
# strided, and the kernel's axes in this order. Autodiff's convolution has a reversed kernel, 01oi.
PLAIN = "window={size=3x3 pad=1_1x1_1}, dim_labels=b01f_01io->b01f"


@pytest.fixture(autouse=True)
def unchecked():
    """Lowering puts descriptions of arguments where types say that arrays are."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def compilations():
    """The names of the programs that XLA compiles meanwhile."""
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
    """Shapes only, and every convolution the direct one."""
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


def make_data(encoder, size):
    def targets(content, style, encoder):
        return js.make_targets(content, style, encoder, OBJECTIVE)

    image = array(size, size, 3)
    weights = jax.tree.map(lambda _: array(), js.LossWeights())
    return loop.Data(jax.eval_shape(targets, image, image, encoder), weights, encoder)


def compile_objective(encoder, size):
    data = make_data(encoder, size)
    return loss_and_gradient.lower(array(size, size, 3), *data[:3], OBJECTIVE).compile()


def compile_loop(encoder, size):
    program, data = loop.Program(OBJECTIVE, js.lbfgs()), make_data(encoder, size)
    image = array(size, size, 3)
    start = partial(chunks.start, program=program)
    state, average = jax.eval_shape(start, image, None, array(), encoder)
    steps = jax.ShapeDtypeStruct((), jnp.int32)
    return chunks.advance.lower(state, average, steps, array(), data, program).compile()


def convolutions(compiled):
    return re.findall(r"^.* convolution\(.*$", compiled.as_text(), re.MULTILINE)


def expected_convolutions(vgg, size):
    """Per layer ``2·i·o`` for each tap inside the image, and as many for the adjoint."""
    total, inputs = 0, 3
    for name in vgg.layers:
        side, outputs = size >> (block_of(name) - 1), vgg.widths[block_of(name) - 1]
        total += 2 * 2 * (3 * side - 2) ** 2 * inputs * outputs
        inputs = outputs
    return total


def expected_grams(vgg, size):
    """Per style layer ``2·n·c²``, and as many for the gradient."""
    sides = [size >> (block_of(name) - 1) for name in STYLE_LAYERS]
    return sum(2 * 2 * side**2 * c**2 for side, c in zip(sides, vgg.widths, strict=True))


def test_operations_are_those_of_the_formula():
    """Within 3 %: what is pointwise, and the sums, come on top."""
    counted = compile_objective(direct_encoder(WIDE), 64).cost_analysis()["flops"]
    expected = expected_convolutions(WIDE, 64) + expected_grams(WIDE, 64)
    assert counted == pytest.approx(expected, rel=0.03)


def test_winograd_has_the_operations_of_its_formula():
    """36 products of matrices a tile of 4×4 outputs, and the transforms into and out of them."""
    side, inputs, outputs = 16, 128, 256  # one strip: XLA counts the body of a loop once
    kernel = jax.eval_shape(winograd.transform_kernel, array(3, 3, inputs, outputs))
    layer = jax.jit(winograd.convolve, static_argnums=2)
    compiled = layer.lower(array(side, side, inputs), kernel, (1, 1)).compile()
    # Columns of the padded strip, then rows, then either of what the products make.
    into, out_of = 6 * 6 * (side + 4) // (side // 4) + 6 * 6 * 6, 4 * 6 * 6 + 4 * 4 * 6
    tile = 36 * inputs * outputs + into * inputs + out_of * outputs
    expected = 2 * (side // 4) ** 2 * tile
    assert compiled.cost_analysis()["flops"] == pytest.approx(expected, rel=0.03)
    assert expected < 0.3 * 2 * (3 * side - 2) ** 2 * inputs * outputs


def temporaries(function, *arguments, jit=jax.jit):
    return jit(function).lower(*arguments).compile().memory_analysis().temp_size_in_bytes


def test_unprepared_kernels_are_transformed_one_after_the_other():
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


def test_low_memory_is_what_xla_plans(monkeypatch):
    """Strips of a sixteenth take less than half, and what is left are the inputs of blocks."""
    monkeypatch.setattr(strips, "_BYTES", 256 * 16 * 4 * 16)
    encoder, size = direct_encoder(VGG(depths=(2, 2, 2), widths=(16, 16, 16))), 256
    plans = {}
    for memory in ("high", "low"):
        objective = js.Objective(content_layers=(), style_layers=STYLE_LAYERS[:3], memory=memory)

        def targets(content, style, encoder, objective=objective):
            return js.make_targets(content, style, encoder, objective)

        image, weights = array(size, size, 3), jax.tree.map(lambda _: array(), js.LossWeights())
        made = jax.eval_shape(targets, image, image, encoder.encoder)

        def gradient(image, targets, weights, encoder, objective=objective):
            return jax.grad(js.loss)(image, targets, weights, encoder, objective)

        own = encoder if memory == "high" else encoder.encoder  # strips prepare nothing
        plans[memory] = temporaries(gradient, image, made, weights, own)
    assert plans["low"] < 0.5 * plans["high"]


@pytest.mark.skipif(
    "xla_cpu_scheduler_type" not in compilation.compiler_options(), reason="XLA has no choice of it"
)
def test_an_evaluation_keeps_little_beside_the_features():
    """Each layer's are needed on the way back; XLA by default keeps half as much beside them."""
    encoder, size = direct_encoder(NARROW), 256

    def gradient(image, data):
        return jax.grad(js.loss)(image, *data[:3], OBJECTIVE)

    features = sum(
        4 * (size >> (block_of(name) - 1)) ** 2 * NARROW.widths[block_of(name) - 1]
        for name in NARROW.layers
    )
    arguments = array(size, size, 3), make_data(encoder, size)
    assert temporaries(gradient, *arguments, jit=compilation.jit()) < 1.3 * features
    assert temporaries(gradient, *arguments) > 1.3 * features  # or the option is needed no more


@pytest.mark.parametrize("compiler", [compile_objective, compile_loop])
def test_objective_is_there_once(compiler):
    """A convolution and an adjoint a layer, in the loop's body and nowhere else."""
    encoder = direct_encoder(NARROW)
    lines = convolutions(compiler(encoder, SIZE))
    assert len(lines) == 2 * len(NARROW.layers)
    # Channels of the inputs are not in the line; layers and adjoints have their own outputs.
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
    """Whatever surrounds the image: without any, XLA's CPU backend writes out all patches."""
    found = convolutions(compile_loop(direct_encoder(NARROW.clone(padding=padding)), SIZE))
    assert len(found) == 2 * len(NARROW.layers)
    assert not [line for line in found if "pad=" not in line]


def test_history_is_written_in_place():
    """Twenty images, which XLA copies in every iteration where it does not see that it need not."""
    program = compile_loop(direct_encoder(NARROW), SIZE).as_text()
    history = rf"f32\[10,{SIZE},{SIZE},3\]\S*"
    assert re.search(rf"= {history} fusion\(", program)
    assert re.findall(rf"= {history} copy\(.*", program) == []


def test_autodiff_has_a_convolution_that_is_not_plain():
    """What the convolution's own adjoint avoids; shows that the test before this one can fail."""

    def descend(image, kernel):
        def loss(x):
            y = jax.lax.conv_general_dilated(
                x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            return jnp.square(y).sum()

        return jax.lax.fori_loop(0, 3, lambda _, x: x - jax.grad(loss)(x), image)

    compiled = jax.jit(descend).lower(array(1, 16, 16, 8), array(3, 3, 8, 8)).compile()
    assert sorted(PLAIN in line for line in convolutions(compiled)) == [False, True]


def test_one_scale_compiles_once(encoder, pictures, compilations):
    """However many chunks it takes; and another run of the shape compiles nothing at all."""
    content, style = pictures[0][:-3, :-5], pictures[1]
    other = 1 - content
    options = {
        "objective": js.Objective(content_layers=("conv2_2",), style_layers=("conv1_1", "conv3_1")),
        "schedule": js.Schedule(iterations=16, scales=1),
    }
    chunks = []
    first = js.stylize(content, style, encoder, callback=chunks.append, **options)
    assert len(chunks) >= 2
    assert [compilations.count(f"jit({name})") for name in ("start", "advance")] == [1, 1]
    compilations.clear()
    options["loss_weights"] = js.LossWeights(content=2.0, style=7.0, tv=0.5)
    second = js.stylize(other, style, encoder, **options)
    assert compilations == []
    assert second.terms.loss[-1] != first.terms.loss[-1]
