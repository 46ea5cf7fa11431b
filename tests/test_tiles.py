"""Tile by tile the loss and its gradient are those of the whole image."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxstyle as js
from jaxstyle import files
from jaxstyle.encoder import vgg
from jaxstyle.encoder.preprocessing import TORCH
from jaxstyle.encoder.receptive import Field, field_at
from jaxstyle.tiling.grid import axes_of, grid_of

STYLE = ("image", "conv1_1", "conv2_2", "conv3_1")
ODD, EVEN = (77, 59), (80, 64)


def make_encoder(padding="zeros", pooling="max", dtype="float32"):
    network = vgg.VGG((2, 2, 1), widths=(4, 6, 8), pooling=pooling, padding=padding)
    params, depth = {}, 3
    for key, name in zip(jax.random.split(jax.random.key(1), 5), network.layers, strict=True):
        width = network.widths[vgg.block_of(name) - 1]
        kernel = jax.random.normal(key, (3, 3, depth, width), dtype) / np.sqrt(9 * depth / 2)
        # With a bias, what surrounds the image matters: features of nothing are not nothing.
        params[name] = {"kernel": kernel, "bias": jnp.full(width, 0.3, dtype)}
        depth = width
    return js.VGGEncoder(params=params, network=network, preprocessing=TORCH)


def make_objective(**settings):
    return js.Objective(content_layers=("conv2_2",), style_layers=STYLE, **settings)


def make_problem(encoder, objective, size, dtype="float32", masks=0):
    keys = jax.random.split(jax.random.key(0), 5)
    content, style, other, image = jax.random.uniform(keys[0], (4, *size, 3), dtype)
    guides = {}
    if masks:
        guides["content_masks"] = jax.random.uniform(keys[1], (masks, *size), dtype)
        guides["style_masks"] = list(jax.random.uniform(keys[2], (2, masks, *size), dtype))
    targets = js.make_targets(
        content, [style, other], encoder, objective, blend=jnp.array([0.3, 0.7], dtype), **guides
    )
    return image, targets, js.LossWeights(), encoder, objective


def both(problem, tile=40):
    """Returns loss and gradient in tiles, and of the whole."""
    tiled = jax.jit(js.tiled_value_and_grad, static_argnums=4, static_argnames="tile")
    whole = jax.jit(jax.value_and_grad(js.loss), static_argnums=4)
    return tiled(*problem, tile=tile), whole(*problem)


def assert_same(tiled, whole, error=1e-5):
    for a, b in zip(*map(jax.tree.leaves, (tiled, whole)), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=error * np.abs(b).max())


@pytest.mark.parametrize("size", [ODD, EVEN], ids=str)
@pytest.mark.parametrize("padding", ["zeros", "replicate", "replicate-first", "circular"])
def test_paddings(padding, size):
    encoder = make_encoder(padding)
    field = Field(4, 12)
    grid = grid_of(size, field, 40, wrap=padding == "circular")
    assert grid.windows > 3 or (padding == "circular" and size == ODD)
    assert_same(*both(make_problem(encoder, make_objective(), size)))


@pytest.mark.parametrize("settings", [
    {"pooling": "average"}, {"pooling": "l2"}, {"statistic": js.Wasserstein()},
    {"statistic": js.MeanStd()}, {"masks": 2}, {"masks": 1, "padding": "circular", "size": EVEN},
    {"normalisation": "keras", "tv": "nine-point"},
], ids=str)  # fmt: skip
def test_in_double_precision(settings):
    """What is left is rounding: 1e-10 of the largest, for every statistic, pooling and mask."""
    of_encoder = {k: settings.pop(k) for k in ("pooling", "padding") if k in settings}
    size, masks = settings.pop("size", ODD), settings.pop("masks", 0)
    with jax.enable_x64(True):
        encoder = make_encoder(**of_encoder, dtype="float64")
        problem = make_problem(encoder, make_objective(**settings), size, "float64", masks)
        assert_same(*both(problem), error=1e-10)
        tiles = make_objective(**settings, memory="tiles", tile=40)
        assert_same(js.content_targets(problem[0], encoder, tiles), js.content_targets(
            problem[0], encoder, make_objective(**settings)
        ), error=1e-10)  # fmt: skip


def test_other_derivatives_and_batches():
    """Those of parameters, masks and content, and lanes of a vmap; numbers as of the whole."""
    image, targets, weights, encoder, objective = make_problem(
        make_encoder(), make_objective(), ODD, masks=2
    )
    images = jnp.stack([image, image[::-1]])
    results = []
    for memory in ("high", "tiles"):
        how = dataclasses.replace(objective, memory=memory, tile=40)

        def total(images, targets, encoder, how=how):
            losses = jax.vmap(lambda image: js.loss(image, targets, weights, encoder, how))
            return losses(images).sum()

        results.append(jax.jit(jax.grad(total, (0, 1, 2)))(images, targets, encoder))
    assert_same(*results, error=2e-5)


def test_windows_cover_the_image_once():
    """For sizes, strides and halos at random: whole strides, halos wherever the image goes on."""
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
def test_receptive_field(layer):
    """What a position's gradient reaches: exactly the field, for kernels without zeros."""
    encoder = make_encoder(pooling="average")
    stride, reach = field_at(encoder, layer)
    params = jax.tree.map(lambda x: jnp.abs(x) + 0.1, encoder.params)
    encoder = dataclasses.replace(encoder, params=params)
    i = 40 // stride // 2
    one = jax.grad(lambda x: js.encode(x, encoder, (layer,))[layer][i, i, 0])
    reached = np.flatnonzero(np.abs(one(jnp.ones((48, 48, 3)))).sum((1, 2)))
    assert (reached.min(), reached.max()) == (i * stride - reach, (i + 1) * stride + reach - 1)


def test_what_is_no_sum_is_refused():
    for settings in ({"statistic": js.Sliced()}, {"normalise_gradients": True}):
        with pytest.raises(js.InputError, match="no sum over tiles"):
            make_objective(memory="tiles", **settings)


class Blind:
    """An encoder that does not tell what it sees."""

    layers = ("first",)

    def shape_at(self, layer, shape):
        return -(-shape[0] // 2), -(-shape[1] // 2)

    def features(self, image, layers):
        return {"first": image}


class Up(Blind):
    """One whose sizes are rounded up, as strided convolutions have them."""

    def field_at(self, layer):
        return 2, 2


jax.tree_util.register_static(Blind)
jax.tree_util.register_static(Up)


def test_encoders_that_do_not_suit_are_refused():
    objective = js.Objective(content_layers=("first",), style_layers=("first",), memory="tiles")
    odd = jnp.zeros((65, 64, 3))
    with pytest.raises(js.InputError, match="first has not a position for each whole 2×2 pixels"):
        js.statistics(odd, Up(), objective)
    unknown = js.Objective(memory="tiles", content_layers=(), style_layers=("conv9_1",))
    with pytest.raises(js.InputError, match="layer 'conv9_1'"):
        js.statistics(odd, make_encoder(), unknown)
    with pytest.raises(js.InputError, match="a Blind has no field_at"):
        js.statistics(jnp.zeros((64, 64, 3)), Blind(), objective)


@pytest.mark.parametrize("padding", ["replicate", "circular"])
def test_content_features_on_disk(padding):
    """Written window by window into a file that nobody sees, they are those of the whole."""
    encoder, made = make_encoder(padding), []
    content = jax.random.uniform(jax.random.key(5), (*(ODD if padding != "circular" else EVEN), 3))

    def scratch(shape, dtype):
        made.append(files.scratch(shape, dtype))
        return made[-1]

    tiled = js.content_targets(
        content, encoder, make_objective(memory="tiles", tile=40), scratch=scratch
    )
    assert_same(tiled, js.content_targets(content, encoder, make_objective()))
    (array,), (features,) = made, tiled.features.values()
    assert isinstance(array, np.memmap)
    if jax.default_backend() == "cpu":  # Not copied into memory.
        assert features.unsafe_buffer_pointer() == array.ctypes.data


def test_a_run_in_tiles_shows_no_seam():
    """A painted picture, and how it differs from one painted whole: at borders as elsewhere.

    Statistics of the pixels' steps across the borders of tiles, against those inside of them.
    """
    encoder = make_encoder("replicate")
    content, style = jax.random.uniform(jax.random.key(0), (2, *EVEN, 3))
    options = {"loss_weights": js.LossWeights(), "schedule": js.Schedule(iterations=8, scales=1)}
    tiled, whole = (
        js.stylize(
            content, style, encoder, objective=make_objective(memory=memory, tile=40), **options
        ).image
        for memory in ("tiles", "high")
    )
    grid = grid_of(EVEN, Field(4, 12), 40)
    for axis, cuts in enumerate(grid):
        assert len(cuts.owned) > 2
        borders = np.asarray(cuts.owned[1:-1])
        for picture, tolerance in ((tiled, 0.2), (tiled - whole, 2.0)):
            steps = np.abs(np.diff(picture, axis=axis)).mean((1 - axis, 2))
            inside = np.delete(steps, borders - 1)
            assert steps[borders - 1].mean() <= (1 + tolerance) * inside.mean() + 1e-6
    np.testing.assert_allclose(tiled, whole, atol=1e-3)
