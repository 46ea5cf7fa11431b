"""The pure functions as others use them: derivatives, transformations, configurations, refusals."""

import contextlib
import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxstyle as js
from jaxstyle.losses import strips
from jaxstyle.pretrained import random_encoder

LAYERS = {"content_layers": ("conv2_1",), "style_layers": ("image", "conv1_1", "conv2_2")}
OBJECTIVE = js.Objective(**LAYERS)


@pytest.fixture(scope="module")
def encoder():
    """Average pooling: a maximum's derivative jumps, which no finite difference sees through."""
    return random_encoder(js.VGG(depths=(1, 2), widths=(4, 5), pooling="average"))


@pytest.fixture(scope="module")
def three():
    """Content, style and an image between them."""
    rng = np.random.default_rng(1)
    smooth = [np.cumsum(rng.normal(0, 0.1, (s, s + 2, 3)), 0) for s in (12, 10, 12)]
    return [jnp.asarray(np.clip(0.5 + x, 0.05, 0.95), jnp.float32) for x in smooth]


@contextlib.contextmanager
def configured(**settings):
    before = {name: getattr(jax.config, name) for name in settings}
    for name, value in settings.items():
        jax.config.update(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


STATISTICS = (js.Gram(), js.Wasserstein(), js.MeanStd(), js.Sliced())


# All the way from every array that goes in, targets and their masks and shares included.
@pytest.mark.parametrize("memory", ["high", "low"])
@pytest.mark.parametrize("statistic", STATISTICS, ids=repr)
def test_every_derivative_agrees_with_finite_differences(
    encoder, three, statistic, memory, monkeypatch
):
    monkeypatch.setattr(strips, "_BYTES", 2000)
    objective = dataclasses.replace(OBJECTIVE, statistic=statistic, memory=memory)
    content, style, image = three
    left = np.broadcast_to(np.linspace(0.1, 0.9, content.shape[1]), content.shape[:2])
    masks = np.stack([left, 1 - left])
    style_left = np.broadcast_to(np.linspace(0.8, 0.2, style.shape[1]), style.shape[:2])
    style_masks = np.stack([style_left, 1 - style_left])

    def loss(numbers):
        n = numbers
        targets = js.make_targets(
            n["content"],
            [n["style"], 1 - 0.5 * n["style"]],
            n["encoder"],
            objective,
            blend=n["blend"],
            content_masks=n["masks"],
            style_masks=[n["style_masks"], n["style_masks"][::-1]],
        )
        return js.loss(n["image"], targets, n["loss_weights"], n["encoder"], objective)

    with configured(jax_enable_x64=True):
        numbers = {
            "image": image,
            "content": content,
            "style": style,
            "masks": masks,
            "style_masks": style_masks,
            "blend": np.array([0.7, 0.4]),
            "loss_weights": js.LossWeights(style=3.0, style_layers={}),
            "encoder": encoder,
        }
        numbers = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), numbers)
        value, gradient = jax.jit(jax.value_and_grad(loss))(numbers)
        assert value.dtype == jnp.float64
        evaluate, rng, step = jax.jit(loss), np.random.default_rng(2), 1e-6
        for name, part in numbers.items():
            if memory == "low" and name not in ("image", "style"):
                continue  # The same code but for the strips.
            leaves, tree = jax.tree.flatten(part)
            direction = [rng.normal(size=np.shape(leaf)) for leaf in leaves]
            slopes = sum(
                (np.asarray(g) * d).sum()
                for g, d in zip(jax.tree.leaves(gradient[name]), direction, strict=True)
            )

            def moved(by, leaves=leaves, direction=direction, tree=tree, name=name):
                parts = [leaf + by * d for leaf, d in zip(leaves, direction, strict=True)]
                return evaluate(numbers | {name: jax.tree.unflatten(tree, parts)})

            expected = (moved(step) - moved(-step)) / (2 * step)
            if isinstance(statistic, js.Sliced) and name in ("masks", "style_masks"):
                continue  # It says itself that its levels have no derivative.
            np.testing.assert_allclose(slopes, expected, rtol=2e-4, atol=1e-7, err_msg=name)


def small_problem(encoder, three):
    content, style, image = three
    return image, js.make_targets(content, style, encoder, OBJECTIVE), encoder


@pytest.mark.parametrize("solver", [js.lbfgs(), js.adam(), js.from_optax(optax.rmsprop(3e-3))])
def test_lanes_are_their_single_runs(encoder, three, solver):
    """Lanes whose line searches need different numbers of evaluations."""
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
        terms = jax.tree.map(lambda x, i=i: x[i], lanes.terms)
        np.testing.assert_allclose(sum(terms), sum(single.terms), rtol=1e-3)


def test_optimise_is_what_stylize_runs(encoder, three):
    content, style, _ = three
    content, style = (jnp.tile(x, (2, 2, 1)) for x in (content, style))
    targets = js.make_targets(content, style, encoder, OBJECTIVE)
    paint = jax.jit(
        lambda: js.optimise(content, targets, js.LossWeights(), encoder, OBJECTIVE, iterations=7)
    )
    schedule = js.Schedule(iterations=7, scales=1)
    host = js.stylize(content, style, encoder, objective=OBJECTIVE, schedule=schedule)
    np.testing.assert_allclose(jnp.clip(paint().image, 0, 1), host.image, atol=1e-5)
    np.testing.assert_allclose(sum(paint().terms), sum(host.terms), rtol=1e-4)
    assert int(paint().evaluations) == host.evaluations


def test_optimise_tells_how_it_ended(encoder, three):
    image, targets, encoder = small_problem(encoder, three)
    run = lambda **weights: js.optimise(  # noqa: E731
        image, targets, js.LossWeights(**weights), encoder, OBJECTIVE, iterations=3
    )
    overflowed = run(style=jnp.float32(3.3e38))
    assert not overflowed.finite
    assert int(overflowed.iterations) == 0
    np.testing.assert_array_equal(overflowed.image, image)
    nothing = js.optimise(image, targets, js.LossWeights(), encoder, OBJECTIVE, iterations=0)
    np.testing.assert_array_equal(nothing.image, image)
    assert nothing.terms.style.shape == (0,)


def test_on_tracers_stylize_names_optimise(encoder, three):
    with pytest.raises(js.InputError, match=r"use js\.optimise"):
        jax.jit(lambda x: js.stylize(x, three[1], encoder).image)(three[0])


def test_a_term_of_ones_own_joins_the_loss(encoder, three):
    """Pulled towards grey so strongly that nothing else counts; its number is traced."""
    content, style, _ = (jnp.tile(x, (2, 2, 1)) for x in three)
    traces, once = [], 0

    def towards(level, image):
        traces.append(1)
        return 1e5 * jnp.square(image - level).mean()

    weights = js.LossWeights(style=1.0)
    for level in (0.25, 0.75):
        extra = jax.tree_util.Partial(towards, jnp.float32(level))
        schedule = js.Schedule(iterations=20, scales=1)
        result = js.stylize(
            content,
            style,
            encoder,
            objective=OBJECTIVE,
            loss_weights=weights,
            schedule=schedule,
            extra=extra,
        )
        np.testing.assert_allclose(result.image, level, atol=0.05)
        assert result.terms.extra[-1] < result.terms.extra[0]
        once = once or len(traces)
    assert once == len(traces)


class Residual(nn.Module):
    """A network that is no VGG, in ten lines: two strided convolutions with a way past them."""

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
class ResidualEncoder:
    """It as an encoder."""

    params: dict

    layers = ("block1", "block2")

    def shape_at(self, layer, shape):
        for _ in range(1 + self.layers.index(layer)):
            shape = -(-shape[0] // 2), -(-shape[1] // 2)
        return shape

    def features(self, image, layers):
        features = Residual().apply(self.params, image[None] * 2 - 1)
        return {name: features[name][0] for name in layers}


@pytest.mark.parametrize("masked", [False, True])
def test_any_network_is_an_encoder(three, masked):
    content, style, _ = (jnp.tile(x, (2, 2, 1)) for x in three)
    own = ResidualEncoder(Residual().init(jax.random.key(0), jnp.zeros((1, 8, 8, 3))))
    assert isinstance(own, js.Encoder)
    options = {}
    if masked:
        half = jnp.ones((1, *content.shape[:2])) * 0.5
        options["content_masks"] = jnp.concatenate([half, half])
        options["style_masks"] = [jnp.full((2, *style.shape[:2]), 0.5)]
    objective = js.Objective(content_layers=("block2",), style_layers=("image", "block1", "block2"))
    schedule = js.Schedule(iterations=10, scales=1)
    result = js.stylize(content, style, own, objective=objective, schedule=schedule, **options)
    loss = sum(result.terms)
    assert loss[-1] < 0.7 * loss[0]
    low = dataclasses.replace(objective, memory="low")
    with pytest.raises(js.InputError, match=r"memory low: .* ResidualEncoder"):
        js.stylize(content, style, own, objective=low, schedule=schedule)


def test_exchanged_parameters_never_meet_what_was_prepared(encoder, three):
    other = encoder.replace(params=jax.tree.map(lambda x: 2 * x, encoder.params))
    ready = encoder.prepare(encoder.layers)
    assert not hasattr(ready, "params")
    assert not hasattr(encoder, "kernels")
    for e in (encoder, other):
        direct, prepared = (js.encode(three[0], x, ("conv2_2",)) for x in (e, e.prepare(e.layers)))
        np.testing.assert_allclose(direct["conv2_2"], prepared["conv2_2"], rtol=1e-5, atol=1e-6)


def test_an_encoder_can_be_shown_and_compared(encoder):
    assert len(repr(js.load_encoder())) < 200
    assert (encoder == encoder.replace()) in (True, False)


@pytest.mark.parametrize("weight", [8, 8.0, np.float64(8), np.float32(8), np.int64(8)])
def test_a_number_recompiles_nothing_however_it_is_written(weight):
    shapes = [
        (jnp.result_type(x), getattr(jax.typeof(x), "weak_type", False))
        for x in jax.tree.leaves(js.LossWeights(style=weight))
    ]
    assert set(shapes) == {(jnp.dtype("float32"), False)}


def test_loss_weights_stack_over_different_layers():
    one = js.LossWeights(style=2, style_layers={"conv1_1": 3})
    stacked = js.LossWeights.stack(
        [one, js.LossWeights(tv=jnp.float32(1), style_layers={"image": 5})]
    )
    assert stacked.style_layers["conv1_1"].tolist() == [3, 1]
    assert stacked.style_layers["image"].tolist() == [1, 5]
    assert stacked.tv.tolist() == [5, 1]
    assert set(jax.tree.leaves(stacked.axes())) == {0}


CONFIGURATIONS = {
    "numpy_rank_promotion": "raise",
    "numpy_dtype_promotion": "strict",
    "debug_infs": True,
    "debug_nans": True,
    "transfer_guard": "disallow",
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_strict_configuration_changes_nothing(encoder, three, name):
    content, style, image = three
    weights = jax.tree.map(jnp.asarray, js.LossWeights())
    masks = jnp.ones((1, *content.shape[:2])), [jnp.ones((1, *style.shape[:2]))]
    large = [jnp.tile(x, (2, 2, 1)) for x in (content, style)]
    schedule = js.Schedule(iterations=2, scales=1)
    options = {"variable": "fourier", "solver": js.adam(), "init": "noise", "schedule": schedule}

    def run():
        targets = js.make_targets(
            content, style, encoder, OBJECTIVE, content_masks=masks[0], style_masks=masks[1]
        )
        arguments = image, targets, weights, encoder, OBJECTIVE
        gradient = jax.jit(jax.grad(js.loss), static_argnums=4)(*arguments)
        optimised = js.optimise(*arguments, iterations=2).image
        stylized = js.stylize(*large, encoder, objective=OBJECTIVE, **options).image
        return gradient, optimised, stylized

    expected = jax.device_get(run())
    with configured(**{f"jax_{name}": CONFIGURATIONS[name]}):
        results = run()
    for result, other in zip(jax.device_get(results), expected, strict=True):
        np.testing.assert_array_equal(result, other)


@pytest.mark.parametrize("kind", [jnp.float16, jnp.bfloat16])
def test_narrow_images_have_a_loss(encoder, three, kind):
    content, style, image = (jnp.tile(x, (8, 8, 1)) for x in three)
    targets = js.make_targets(content, style, encoder, OBJECTIVE)
    narrow = js.loss(image.astype(kind), targets, js.LossWeights(), encoder, OBJECTIVE)
    wide = js.loss(image, targets, js.LossWeights(), encoder, OBJECTIVE)
    assert narrow.dtype == jnp.float32
    np.testing.assert_allclose(narrow, wide, rtol=0.05)


def test_doubles_give_doubles_and_floats_floats(encoder, three):
    with configured(jax_enable_x64=True):
        for kind in (jnp.float32, jnp.float64):
            content, style, image = (x.astype(kind) for x in three)
            targets = js.make_targets(content, style, encoder, OBJECTIVE)
            assert {x.dtype for x in jax.tree.leaves(targets)} == {jnp.dtype(kind)}
            result = js.optimise(image, targets, js.LossWeights(), encoder, OBJECTIVE, iterations=3)
            assert result.image.dtype == kind
            assert result.terms.style.dtype == kind
