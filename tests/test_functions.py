"""The pure functions: derivatives, transformations, configurations, custom terms and encoders."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxstyle as js
from jaxstyle.pretrained import random_encoder
from programs import configured, total

LAYERS = {"content_layers": ("conv2_1",), "style_layers": ("image", "conv1_1", "conv2_2")}
OBJECTIVE = js.Objective(**LAYERS)


@pytest.fixture(scope="module")
def encoder():
    """Average pooling: the derivative of a maximum jumps, where finite differences fail."""
    return random_encoder(js.VGG(depths=(1, 2), widths=(4, 5), pooling="average"))


@pytest.fixture(scope="module")
def three():
    """Content, style and an image between them."""
    rng = np.random.default_rng(1)
    smooth = [np.cumsum(rng.normal(0, 0.1, (s, s + 2, 3)), 0) for s in (12, 10, 12)]
    return [jnp.asarray(np.clip(0.5 + x, 0.05, 0.95), jnp.float32) for x in smooth]


STATISTICS = (js.Gram(), js.Wasserstein(), js.MeanStd(), js.Sliced())


# Tiles of 14 px, of which the images have several.
CASES = [(s, js.Whole()) for s in STATISTICS] + [(js.Gram(), js.Tiles(14))]


@pytest.mark.parametrize(("statistic", "plan"), CASES, ids=repr)
def test_derivatives_agree_with_finite_differences(encoder, three, statistic, plan):
    """With respect to every array, those that targets are made from included."""
    objective = dataclasses.replace(OBJECTIVE, statistic=statistic)
    rng, repeats = np.random.default_rng(2), (1, 1, 1) if plan == js.Whole() else (2, 2, 1)
    content, style, image = (jnp.tile(x, repeats) for x in three)
    if plan != js.Whole():
        assert plan.grid(content.shape[:2], encoder, objective.layers).windows > 3
    left = np.broadcast_to(np.linspace(0.1, 0.9, content.shape[1]), content.shape[:2])
    style_left = np.broadcast_to(np.linspace(0.8, 0.2, style.shape[1]), style.shape[:2])

    def loss(numbers):
        n = numbers
        images, masks = [n["style"], 1 - 0.5 * n["style"]], n["style_masks"]
        targets = js.make_targets(
            js.Scene(n["content"], n["masks"]),
            js.Styles(images, n["blend"], [masks, masks[::-1]]),
            n["encoder"],
            objective,
            plan=plan,
        )
        return js.loss(n["image"], targets, n["loss_weights"], n["encoder"], objective, plan=plan)

    with configured(jax_enable_x64=True):
        numbers = {
            "image": image,
            "content": content,
            "style": style,
            "masks": np.stack([left, 1 - left]),
            "style_masks": np.stack([style_left, 1 - style_left]),
            "blend": np.array([0.7, 0.4]),
            "loss_weights": js.LossWeights(style=3.0, style_layers={}),
            "encoder": encoder,
        }
        numbers = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), numbers)
        value, gradient = jax.jit(jax.value_and_grad(loss))(numbers)
        assert value.dtype == jnp.float64
        evaluate, step = jax.jit(loss), 1e-6
        for name, part in numbers.items():
            if isinstance(statistic, js.Sliced) and name in ("masks", "style_masks"):
                continue  # The order of features is held, as documented.
            direction = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape)), part)
            ahead, behind = (
                evaluate(
                    numbers | {name: jax.tree.map(lambda x, d, s=s: x + s * d, part, direction)}
                )
                for s in (step, -step)
            )
            products = jax.tree.map(lambda g, d: (g * d).sum(), gradient[name], direction)
            slope, expected = sum(jax.tree.leaves(products)), (ahead - behind) / (2 * step)
            np.testing.assert_allclose(slope, expected, rtol=2e-4, atol=1e-7, err_msg=name)


def small_problem(encoder, three):
    content, style, image = three
    return image, js.make_targets(content, style, encoder, OBJECTIVE), encoder


@pytest.mark.parametrize("solver", [js.lbfgs(), js.adam(), js.from_optax(optax.rmsprop(3e-3))])
def test_vmap_of_optimise_agrees_with_single_runs(encoder, three, solver):
    """The lanes' line searches need different numbers of evaluations."""
    image, targets, encoder = small_problem(encoder, three)
    weights = js.LossWeights(style=jnp.array([0.01, 1.0, 100.0, 1e4]), content=1.0)

    @jax.jit
    def paint(weights):
        return js.optimise(
            image, targets, weights, encoder, OBJECTIVE, iterations=12, solver=solver
        )

    lanes = jax.jit(jax.vmap(paint, in_axes=(weights.axes(),)))(weights)
    for i, style in enumerate(weights.style):
        single = paint(weights.replace(style=style))
        np.testing.assert_allclose(lanes.image[i], single.image, atol=1e-4)
        assert int(lanes.iterations[i]) == int(single.iterations) == 12
        assert int(lanes.evaluations[i]) == int(single.evaluations)
        np.testing.assert_allclose(total(lanes.terms)[i], total(single.terms), rtol=1e-3)


def test_optimise_agrees_with_stylize(encoder, three):
    content, style, _ = three
    content, style = (jnp.tile(x, (2, 2, 1)) for x in (content, style))
    targets = js.make_targets(content, style, encoder, OBJECTIVE)
    paint = jax.jit(
        lambda: js.optimise(content, targets, js.LossWeights(), encoder, OBJECTIVE, iterations=7)
    )
    schedule = js.Schedule(iterations=7, scales=1)
    host = js.stylize(content, style, encoder, objective=OBJECTIVE, schedule=schedule)
    np.testing.assert_allclose(jnp.clip(paint().image, 0, 1), host.image, atol=1e-5)
    np.testing.assert_allclose(total(paint().terms), total(host.terms), rtol=1e-4)
    assert int(paint().evaluations) == host.evaluations


def test_optimise_reports_overflow_and_no_iterations(encoder, three):
    image, targets, encoder = small_problem(encoder, three)
    large = js.LossWeights(style=3.3e38)
    overflowed = js.optimise(image, targets, large, encoder, OBJECTIVE, iterations=3)
    assert not overflowed.finite
    assert int(overflowed.iterations) == 0
    np.testing.assert_array_equal(overflowed.image, image)
    nothing = js.optimise(image, targets, js.LossWeights(), encoder, OBJECTIVE, iterations=0)
    np.testing.assert_array_equal(nothing.image, image)
    assert nothing.terms["style"].shape == (0,)


def test_stylize_under_jit_is_refused(encoder, three):
    with pytest.raises(js.InputError, match=r"use js\.optimise"):
        jax.jit(lambda x: js.stylize(x, three[1], encoder).image)(three[0])


def test_custom_term_is_added_to_the_loss(encoder, three):
    """It pulls towards a grey so strongly that nothing else counts; other data do not retrace."""
    content, style, _ = (jnp.tile(x, (2, 2, 1)) for x in three)
    traces, first = [], 0

    def distance(image, level):
        traces.append(1)
        return 1e5 * jnp.square(image - level).mean()

    objective = dataclasses.replace(OBJECTIVE, extra={"grey": js.ImageTerm(distance, data="level")})
    for level in (0.25, 0.75):
        result = js.stylize(
            js.Scene(content, data={"level": jnp.float32(level)}),
            style,
            encoder,
            objective=objective,
            loss_weights=js.LossWeights(style=1.0),
            schedule=js.Schedule(iterations=20, scales=1),
        )
        np.testing.assert_allclose(result.image, level, atol=0.05)
        assert result.terms["grey"][-1] < result.terms["grey"][0]
        first = first or len(traces)
    assert first == len(traces)
    with pytest.raises(js.InputError, match="data 'level': not given"):
        js.make_targets(content, style, encoder, objective)


class Residual(nn.Module):
    """A network that is not a VGG: two blocks of a strided convolution and a residual one."""

    @nn.compact
    def __call__(self, x):
        features = {}
        for name, width in (("block1", 6), ("block2", 8)):
            x = nn.relu(nn.Conv(width, (3, 3), strides=2, name=f"{name}_a")(x))
            x = x + nn.Conv(width, (3, 3), name=f"{name}_b")(x)
            features[name] = x
        return features


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class ResidualEncoder(js.Encoder):
    """The network with its parameters."""

    params: dict

    layers = ("block1", "block2")

    def shape_at(self, layer, shape):
        for _ in range(1 + self.layers.index(layer)):
            shape = -(-shape[0] // 2), -(-shape[1] // 2)
        return shape

    def features(self, image, layers):
        features = Residual().apply(self.params, image[None] * 2 - 1)
        return {name: features[name][0] for name in layers}


def test_other_networks_can_be_encoders(three):
    content, style, _ = (jnp.tile(x, (2, 2, 1)) for x in three)
    own = ResidualEncoder(Residual().init(jax.random.key(0), jnp.zeros((1, 8, 8, 3))))
    scene = js.Scene(content, jnp.full((2, *content.shape[:2]), 0.5))
    styles = js.Styles([style], masks=[jnp.full((2, *style.shape[:2]), 0.5)])
    objective = js.Objective(content_layers=("block2",), style_layers=("image", "block1", "block2"))
    options = {"objective": objective, "schedule": js.Schedule(iterations=10, scales=1)}
    loss = total(js.stylize(scene, styles, own, **options).terms)
    assert loss[-1] < 0.7 * loss[0]
    for plan, problem in (
        (js.Devices(1), "plan Devices: supports VGGs only, not ResidualEncoder"),
        (js.Tiles(16), "plan Tiles: ResidualEncoder has no field_at"),
    ):
        with pytest.raises(js.InputError, match=problem):
            js.stylize(scene, styles, own, **options, plan=plan)


def test_prepared_kernels_belong_to_their_parameters(encoder, three):
    other = encoder.replace(params=jax.tree.map(lambda x: 2 * x, encoder.params))
    ready = encoder.prepare(encoder.layers)
    assert not hasattr(ready, "params")
    assert not hasattr(encoder, "kernels")
    for e in (encoder, other):
        direct, prepared = (js.encode(three[0], x, ("conv2_2",)) for x in (e, e.prepare(e.layers)))
        np.testing.assert_allclose(direct["conv2_2"], prepared["conv2_2"], rtol=1e-5, atol=1e-6)


def test_encoder_has_a_short_repr_and_can_be_compared(encoder):
    assert len(repr(js.load_encoder())) < 200
    assert encoder == encoder
    assert encoder != encoder.replace(params={})


@pytest.mark.parametrize("weight", [8, 8.0, np.float64(8), np.float32(8), np.int64(8)])
def test_loss_weights_have_one_type_however_they_are_written(weight):
    shapes = [
        (jnp.result_type(x), getattr(jax.typeof(x), "weak_type", False))
        for x in jax.tree.leaves(js.LossWeights(style=weight))
    ]
    assert set(shapes) == {(jnp.dtype("float32"), False)}


def test_loss_weights_with_different_layers_are_stacked():
    one = js.LossWeights(style=2, style_layers={"conv1_1": 3})
    stacked = js.LossWeights.stack(
        [one, js.LossWeights(tv=jnp.float32(1), style_layers={"image": 5})]
    )
    assert stacked.style_layers["conv1_1"].tolist() == [3, 1]
    assert stacked.style_layers["image"].tolist() == [1, 5]
    assert stacked.tv.tolist() == [5, 1]
    assert set(jax.tree.leaves(stacked.axes())) == {0}


CONFIGURATIONS = {
    "jax_numpy_rank_promotion": "raise",
    "jax_numpy_dtype_promotion": "strict",
    "jax_debug_infs": True,
    "jax_debug_nans": True,
    "jax_transfer_guard": "disallow",
}


def test_strict_configurations_of_jax_change_nothing(encoder, three):
    content, style, image = three
    weights = jax.tree.map(jnp.asarray, js.LossWeights())
    scene = js.Scene(content, jnp.ones((1, *content.shape[:2])))
    styles = js.Styles([style], masks=[jnp.ones((1, *style.shape[:2]))])
    large = [jnp.tile(x, (2, 2, 1)) for x in (content, style)]
    schedule = js.Schedule(iterations=2, scales=1)
    options = {"variable": "fourier", "solver": js.adam(), "init": "noise", "schedule": schedule}

    def run():
        results = []
        for statistic in STATISTICS:
            objective = dataclasses.replace(OBJECTIVE, statistic=statistic)
            targets = js.make_targets(scene, styles, encoder, objective)
            arguments = image, targets, weights, encoder, objective
            results.append(jax.jit(jax.grad(js.loss), static_argnums=4)(*arguments))
        results.append(js.optimise(*arguments, iterations=2).image)
        return [*results, js.stylize(*large, encoder, objective=OBJECTIVE, **options).image]

    expected = jax.device_get(run())
    with configured(**CONFIGURATIONS):
        results = run()
    for result, other in zip(jax.device_get(results), expected, strict=True):
        np.testing.assert_array_equal(result, other)


def test_loss_of_half_precision_images_is_float32(encoder, three):
    content, style, image = (jnp.tile(x, (8, 8, 1)) for x in three)
    targets = js.make_targets(content, style, encoder, OBJECTIVE)
    narrow = js.loss(image.astype(jnp.bfloat16), targets, js.LossWeights(), encoder, OBJECTIVE)
    wide = js.loss(image, targets, js.LossWeights(), encoder, OBJECTIVE)
    assert narrow.dtype == jnp.float32
    np.testing.assert_allclose(narrow, wide, rtol=0.05)


def test_results_have_the_images_own_precision(encoder, three):
    """With 64-bit types enabled, too, where only stylize converts to float32."""
    with configured(jax_enable_x64=True):
        for kind in (jnp.float32, jnp.float64):
            content, style, image = (jnp.tile(x.astype(kind), (2, 2, 1)) for x in three)
            targets = js.make_targets(content, style, encoder, OBJECTIVE)
            assert {x.dtype for x in jax.tree.leaves(targets)} == {jnp.dtype(kind)}
            result = js.optimise(image, targets, js.LossWeights(), encoder, OBJECTIVE, iterations=3)
            assert result.image.dtype == result.terms["style"].dtype == kind
            schedule = js.Schedule(iterations=3, scales=1)
            options = {"objective": OBJECTIVE, "schedule": schedule, "init": "matched"}
            host = js.stylize(content, style, encoder, **options)
            assert host.image.dtype == jnp.float32
            assert host.status == "finished"
