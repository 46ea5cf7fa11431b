"""The plan that evaluates tiles: its windows, receptive fields, refusals, and files."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxstyle as js
from jaxstyle import files
from jaxstyle.encoder.receptive import Field, field_at
from jaxstyle.evaluate.grid import axes_of, grid_of
from jaxstyle.evaluate.targets import content_targets
from jaxstyle.pretrained import random_encoder

ODD, EVEN = (77, 59), (80, 64)
OBJECTIVE = js.Objective(
    content_layers=("conv2_2",), style_layers=("image", "conv1_1", "conv2_2", "conv3_1")
)


def make_encoder(padding="zeros", pooling="max"):
    network = js.VGG((2, 2, 1), widths=(4, 6, 8), pooling=pooling, padding=padding)
    return random_encoder(network)


def test_vmap_agrees_with_single_images():
    encoder, keys = make_encoder(), jax.random.split(jax.random.key(0))
    content, style = jax.random.uniform(keys[0], (2, *ODD, 3))
    targets = js.make_targets(content, style, encoder, OBJECTIVE)
    images = jax.random.uniform(keys[1], (2, *ODD, 3))

    def gradient(image, plan):
        return jax.grad(js.loss)(image, targets, js.LossWeights(), encoder, OBJECTIVE, plan=plan)

    tiled = jax.jit(jax.vmap(lambda image: gradient(image, js.Tiles(40))))(images)
    whole = jnp.stack([gradient(image, js.Whole()) for image in images])
    np.testing.assert_allclose(tiled, whole, atol=1e-5 * np.abs(whole).max())


def test_windows_cover_the_image_once():
    """Whole strides, and the reach wherever the image goes on; random sizes and strides."""
    rng = np.random.default_rng(0)
    for _ in range(2000):
        stride = 2 ** int(rng.integers(5))
        reach, size, wrap = stride * int(rng.integers(6)), int(rng.integers(1, 400)), rng.random()
        for axis in axes_of(size, Field(stride, reach), wrap=bool(wrap < 0.4)):
            whole = size + 2 * axis.margin
            assert (axis.owned[0], axis.owned[-1]) == (axis.margin, axis.margin + size)
            assert (axis.origins[0], axis.origins[-1]) == (0, whole - axis.window)
            assert axis.window % stride == size % stride
            for origin, first, end in zip(axis.origins, axis.owned, axis.owned[1:]):
                assert origin % stride == first % stride == 0
                assert first < end
                assert first - origin >= reach or (origin == 0 and not axis.margin)
                behind = origin + axis.window
                assert behind - end >= reach or (behind == whole and not axis.margin)


@pytest.mark.parametrize("layer", ["conv1_2", "conv2_2", "conv3_1"])
def test_receptive_field_agrees_with_the_gradient(layer):
    encoder = make_encoder(pooling="average")
    stride, reach = field_at(encoder, layer)
    params = jax.tree.map(lambda x: jnp.abs(x) + 0.1, encoder.params)
    encoder = dataclasses.replace(encoder, params=params)
    i = 40 // stride // 2
    one = jax.grad(lambda x: js.encode(x, encoder, (layer,))[layer][i, i, 0])
    reached = np.flatnonzero(np.abs(one(jnp.ones((48, 48, 3)))).sum((1, 2)))
    assert (reached.min(), reached.max()) == (i * stride - reach, (i + 1) * stride + reach - 1)


@jax.tree_util.register_static
class Up(js.Encoder):
    """An encoder that rounds sizes up, as strided convolutions do."""

    layers = ("first",)

    def shape_at(self, layer, shape):
        return -(-shape[0] // 2), -(-shape[1] // 2)

    def features(self, image, layers):
        return {"first": image[::2, ::2]}

    def field_at(self, layer):
        return Field(2, 2)


def test_encoders_without_whole_strides_are_refused():
    objective = js.Objective(content_layers=("first",), style_layers=("first",))
    odd, problem = (
        jnp.zeros((65, 64, 3)),
        "first does not have a position for each whole 2×2 pixels",
    )
    with pytest.raises(js.InputError, match=problem):
        js.make_targets(odd, odd, Up(), objective, plan=js.Tiles(32))
    js.make_targets(odd[:64], odd[:64], Up(), objective, plan=js.Tiles(32))


def test_tiles_without_pixels_are_refused():
    with pytest.raises(js.InputError, match="tile side 0: too small"):
        js.Tiles(0)


@pytest.mark.parametrize("padding", ["replicate", "circular"])
def test_content_features_on_disk(padding):
    """They are written window by window, into a file without a name."""
    encoder, made = make_encoder(padding), []
    content = jax.random.uniform(jax.random.key(5), (*(ODD if padding != "circular" else EVEN), 3))

    def scratch(shape, dtype):
        made.append(files.scratch(shape, dtype))
        return made[-1]

    (tiled, _), (whole, _) = (
        content_targets(js.Scene(content), encoder, OBJECTIVE, plan=plan)["content"]
        for plan in (js.Tiles(40, scratch=scratch), js.Whole())
    )
    np.testing.assert_allclose(tiled["conv2_2"], whole["conv2_2"], atol=1e-5)
    (array,) = made
    assert isinstance(array, np.memmap)
    if jax.default_backend() == "cpu":  # Not copied into memory.
        assert tiled["conv2_2"].unsafe_buffer_pointer() == array.ctypes.data


def test_run_in_tiles_shows_no_seam():
    """Steps across the borders of tiles are as those inside, and the result is that of Whole."""
    encoder = make_encoder("replicate")
    content, style = jax.random.uniform(jax.random.key(0), (2, *EVEN, 3))
    options = {"objective": OBJECTIVE, "schedule": js.Schedule(iterations=8, scales=1)}
    tiled, whole = (
        js.stylize(content, style, encoder, plan=plan, **options).image
        for plan in (js.Tiles(40), js.Whole())
    )
    for axis, cuts in enumerate(grid_of(EVEN, Field(4, 12), 40)):
        assert len(cuts.owned) > 2
        borders = np.asarray(cuts.owned[1:-1])
        for picture, tolerance in ((tiled, 0.2), (tiled - whole, 2.0)):
            steps = np.abs(np.diff(picture, axis=axis)).mean((1 - axis, 2))
            inside = np.delete(steps, borders - 1)
            assert steps[borders - 1].mean() <= (1 + tolerance) * inside.mean() + 1e-6
    np.testing.assert_allclose(tiled, whole, atol=1e-3)
