"""All pairs of options in as few runs as cover them, and the effect of each option."""

import itertools
import random
from typing import get_args

import jax.numpy as jnp
import numpy as np
import pytest

import jaxstyle as js
from jaxstyle.encoder.vgg import Padding
from jaxstyle.losses.normalisation import NORMALISATIONS
from jaxstyle.losses.statistics import STATISTICS
from jaxstyle.ops.colour import Colour, recolour
from jaxstyle.ops.convolution import Precision
from jaxstyle.ops.pooling import Pooling
from jaxstyle.ops.resize import resize
from jaxstyle.ops.variation import VARIATIONS
from jaxstyle.pretrained import random_encoder
from jaxstyle.run.initial_image import Init, initial_image
from jaxstyle.run.parameterisation import PARAMETERISATIONS
from programs import total

pytestmark = pytest.mark.one_python

OPTIONS = {
    "statistic": tuple(STATISTICS),
    "normalisation": tuple(NORMALISATIONS),
    "tv": tuple(VARIATIONS),
    "colour": get_args(Colour),
    "solver": ("lbfgs", "adam"),
    "variable": tuple(PARAMETERISATIONS),
    "clamp": (False, True),
    "normalise_gradients": (False, True),
    "pooling": get_args(Pooling),
    "padding": get_args(Padding),
    "init": get_args(Init),
    "scales": (1, 2),
    "average": (0.0, 0.9),
    "styles": (1, 2),
    "regions": (1, 2),
    "texture": (False, True),
    "plan": ("whole", "tiles", "devices"),
    "laplacian": (False, True),
    "precision": get_args(Precision),
}

# The library refuses all but the last three; textures have no content.
EXCLUDED = [
    ({"solver": ("lbfgs",)}, {"clamp": (True,)}),
    ({"solver": ("lbfgs",)}, {"normalise_gradients": (True,)}),
    ({"variable": ("encoder", "sigmoid", "fourier")}, {"clamp": (True,)}),
    ({"plan": ("tiles",)}, {"normalise_gradients": (True,)}),
    ({"plan": ("tiles", "devices")}, {"statistic": ("sliced",)}),
    ({"plan": ("devices",)}, {"variable": ("fourier",)}),
    ({"texture": (True,)}, {"colour": ("content", "luminance", "match")}),
    ({"texture": (True,)}, {"regions": (2,)}),
    ({"texture": (True,)}, {"init": ("content", "matched")}),
]


def excludes(row):
    """Returns whether some of the settings exclude each other."""
    return any(
        all(row.get(name) in values for part in parts for name, values in part.items())
        for parts in EXCLUDED
    )


def pairs_of(row):
    """Returns all pairs of settings, ordered as in OPTIONS."""
    return set(itertools.combinations([(name, row[name]) for name in OPTIONS], 2))


def complete(row, draw):
    """Returns a row with random values for the other options."""
    for name in draw.sample(list(OPTIONS), len(OPTIONS)):
        values = [v for v in OPTIONS[name] if not excludes(row | {name: v})]
        row = row if name in row else row | {name: draw.choice(values)}
    return {name: row[name] for name in OPTIONS}


def covering_rows():
    """Returns rows with all allowed pairs; each is the best of some random ones."""
    settings = [(name, value) for name, values in OPTIONS.items() for value in values]
    missing = {
        (a, b)
        for a, b in itertools.combinations(settings, 2)
        if a[0] != b[0] and not excludes(dict((a, b)))
    }
    draw, rows = random.Random(15), []
    while missing:
        chosen = draw.choices(sorted(missing, key=repr), k=30)
        candidates = [complete(dict(pair), draw) for pair in chosen]
        rows.append(max(candidates, key=lambda row: len(pairs_of(row) & missing)))
        missing -= pairs_of(rows[-1])
    return rows


ROWS = covering_rows()
SHAPE, SMALLER = (48, 64), (34, 45)  # smaller by the square root of 2
PLANS = {"whole": js.Whole(), "tiles": js.Tiles(30), "devices": js.Devices(1)}
STYLE_SHAPES = (64, 48), (48, 48)
LAYERS = {"content_layers": ("conv2_1",), "style_layers": ("image", "conv1_1", "conv2_2")}
BLEND = (0.7, 0.3)


@pytest.fixture(scope="module")
def encoder():
    """Two blocks, for pooling, and three convolutions, for padding."""
    return random_encoder(js.VGG(depths=(1, 2), widths=(6, 8)))


def picture(shape, middle, swing, waves):
    """Returns waves around a colour, well inside the range, the right half shifted."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    phase = waves * y / 5 + x / (3 * waves) + 2.0 * (x > shape[1] // 2)
    wave = np.sin(phase)[..., None] * np.array(swing)
    return jnp.asarray(np.array(middle) + wave, jnp.float32)


def halves(shape):
    """Returns masks of the left and of the right half."""
    left = jnp.broadcast_to(jnp.arange(shape[1]) < shape[1] // 2, shape)
    return jnp.stack([left, ~left]).astype(jnp.float32)


CONTENT = picture(SHAPE, (0.3, 0.4, 0.6), (0.1, 0.15, 0.2), 1)
STYLES = [
    picture(STYLE_SHAPES[0], (0.7, 0.5, 0.3), (0.25, 0.15, 0.05), 3),
    picture(STYLE_SHAPES[1], (0.4, 0.7, 0.4), (0.05, 0.25, 0.1), 2),
]


def pictures_of(row, content=CONTENT, styles=STYLES):
    """Returns the content picture and the styles of a row."""
    masks, count = row["regions"] == 2, row["styles"]
    style_masks = [halves(shape) for shape in STYLE_SHAPES[:count]] if masks else None
    scene = js.Scene(content, halves(SHAPE) if masks else None)
    return scene, js.Styles(styles[:count], BLEND[:count], style_masks)


def balanced(terms):
    """Returns weights with which content and style are 1, and all other terms a tenth."""
    weights = {name: (1.0 if name in ("content", "style") else 0.1) / terms[name] for name in terms}
    extra = {"laplacian": weights.pop("laplacian")} if "laplacian" in terms else {}
    return js.LossWeights(**weights, extra=extra)


@pytest.mark.slow  # Minutes: each row compiles programs of its own.
@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(map(str, row.values())))
def test_every_pair_of_options(row, encoder):
    network = {name: row[name] for name in ("pooling", "padding", "precision")}
    encoder = encoder.replace(network=encoder.network.clone(**network))
    objective = js.Objective(
        **LAYERS | ({"content_layers": ()} if row["texture"] else {}),
        **{name: row[name] for name in ("statistic", "normalisation", "tv", "normalise_gradients")},
        extra=["laplacian"] if row["laplacian"] else (),
    )
    original = jnp.full_like(CONTENT, 0.5) if row["texture"] else CONTENT
    content, styles = recolour(row["colour"], original, STYLES[: row["styles"]])
    targets = js.make_targets(*pictures_of(row, content, styles), encoder, objective)
    halfway = (content + resize(styles[0], SHAPE)) / 2
    weights = balanced(js.loss_terms(halfway, targets, js.LossWeights(), encoder, objective))
    step = 0.001 * {"image": 1.0, "fourier": 0.3}.get(row["variable"], 4.0)
    seen = []
    options = {
        "objective": objective,
        "loss_weights": weights,
        "solver": js.lbfgs() if row["solver"] == "lbfgs" else js.adam(step, clamp=row["clamp"]),
        "schedule": js.Schedule(
            iterations=6,
            scales=row["scales"],
            scale_factor=2**0.5,
            coarse_iterations=4,
            coarsest=16,
            average=row["average"],
        ),
        "init": row["init"],
        "variable": row["variable"],
        "plan": PLANS[row["plan"]],
        "callback": seen.append,
    }
    scene, paintings = pictures_of(row)
    if row["texture"]:
        result = js.texture(paintings, SHAPE, encoder, **options)
    else:
        result = js.stylize(scene, paintings, encoder, colour=row["colour"], **options)
    assert result.status == "finished"
    assert result.image.shape == (*SHAPE, 3)
    assert np.all(np.isfinite(total(result.terms)))
    assert 0 <= float(result.image.min()) <= float(result.image.max()) <= 1
    start = initial_image(row["init"], content, styles[0], SHAPE, 0)
    before, after = (
        js.loss_terms(image, targets, weights, encoder, objective)
        for image in (start, seen[-1].image)
    )
    if not row["normalise_gradients"]:  # which is not the gradient of a loss
        assert total(after) < total(before)
    if not row["average"]:
        rtol = 0.05 if row["precision"] == "bf16" else 1e-3
        for name, term in after.items():
            np.testing.assert_allclose(seen[-1].terms[name], term, rtol=rtol, atol=1e-5)
    if row["clamp"] or row["variable"] == "sigmoid":
        assert all(p.image.min() >= 0 and p.image.max() <= 1 for p in seen)
    shapes = {progress.shape for progress in seen}
    assert shapes == ({SMALLER, SHAPE} if row["scales"] == 2 else {SHAPE})
    check_colour(row["colour"], result.image, start)


def check_colour(colour, image, start):
    """Mean colours stay near those of the content, or chroma is that of the content."""
    image, start, content = (np.asarray(x, np.float64) for x in (image, start, CONTENT))
    if colour in ("content", "match"):
        before, after = (abs(x.mean((0, 1)) - content.mean((0, 1))).max() for x in (start, image))
        assert after < before + 0.02
    if colour == "luminance":
        weights = np.array([0.299, 0.587, 0.114])
        chroma, wanted = (x - (x @ weights)[..., None] for x in (image, content))
        np.testing.assert_allclose(np.cross(chroma, wanted), 0, atol=1e-5)
        inside = (image > 1e-4).all(-1) & (image < 1 - 1e-4).all(-1)
        assert inside.mean() > 0.5
        np.testing.assert_allclose(chroma[inside], wanted[inside], atol=1e-5)


WEIGHTS = js.LossWeights(content=1.0, style=3.0, tv=10.0, style_layers={"image": 20.0})


def run(encoder, styles=STYLES[0], masks=None, **options):
    defaults = {
        "objective": js.Objective(**LAYERS),
        "schedule": js.Schedule(iterations=8, scales=1),
    }
    defaults |= {"loss_weights": WEIGHTS}
    return js.stylize(js.Scene(CONTENT, masks), styles, encoder, **defaults | options)


@pytest.mark.parametrize("options", [
    {"objective": js.Objective(**LAYERS, normalise_gradients=True)},
    {"solver": js.adam(clamp=True), "variable": "sigmoid"},
    {"solver": js.gradient_descent(1.0, clamp=True), "variable": "encoder"},
    {"plan": js.Devices(1), "variable": "fourier"},
    {"plan": js.Devices(1), "objective": js.Objective(**LAYERS, statistic="sliced")},
    {"plan": js.Tiles(30), "objective": js.Objective(**LAYERS, statistic="sliced")},
    *({"plan": plan, "objective": js.Objective(**LAYERS, normalise_gradients=True),
       "solver": js.adam()} for plan in (js.Tiles(30), js.Devices(1, tile=30))),
], ids=str)  # fmt: skip
def test_options_that_exclude_each_other_are_refused(encoder, options):
    with pytest.raises(
        js.InputError,
        match=r"^(normalise_gradients|clamp|variable fourier|plan (Tiles|Devices)): .*",
    ):
        run(encoder, **options)


@pytest.mark.parametrize("term", ["content", "style", "tv", "laplacian"])
def test_larger_weight_lowers_its_term(encoder, term):
    values = []
    for weight in (0.3, 3.0, 30.0):
        weights = {term: weight} if term != "laplacian" else {"extra": {term: weight}}
        terms = run(
            encoder,
            objective=js.Objective(**LAYERS, extra=["laplacian"]),
            schedule=js.Schedule(iterations=30, scales=1),
            loss_weights=WEIGHTS.replace(**{"extra": {"laplacian": 1.0}} | weights),
        ).terms
        values.append(terms[term][-1] / weight)
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.8 * values[0]


def test_larger_share_approaches_its_style(encoder):
    first, second = (np.asarray(style).mean((0, 1)) for style in STYLES)
    axis = (second - first) / np.square(second - first).sum()
    images = [run(encoder, js.Styles(STYLES, (1 - s, s))).image for s in (0.0, 0.3, 0.6, 1.0)]
    # 0 is the mean colour of the first style, 1 that of the second.
    places = [float((np.asarray(image).mean((0, 1)) - first) @ axis) for image in images]
    assert places == sorted(places)
    assert places[-1] - places[0] > 0.5
    np.testing.assert_array_equal(images[0], run(encoder, STYLES[0]).image)


def test_each_region_gets_the_style_of_its_mask(encoder):
    """The left half becomes red and the right one green, or the other way round."""
    red, green = jnp.array([0.7, 0.3, 0.3]), jnp.array([0.3, 0.7, 0.3])
    masks, style = halves((32, 32)), picture((32, 32), (0, 0, 0), (0.1, 0.1, 0.1), 2)
    style += masks[0][..., None] * red + masks[1][..., None] * green
    for swapped in (False, True):
        guides = js.Styles([style], masks=[masks[::-1] if swapped else masks])
        image = np.asarray(run(encoder, guides, halves(SHAPE)).image)
        left, right = (half.mean((0, 1)) for half in np.split(image, 2, axis=1))
        reddish = (left - right)[0] * (-1 if swapped else 1)
        greenish = (right - left)[1] * (-1 if swapped else 1)
        assert reddish > 0.15
        assert greenish > 0.15


@pytest.mark.parametrize(
    ("solver", "variable"),
    [(js.lbfgs(), "fourier"), (js.adam(0.01), "fourier"), (js.adam(0.1), "sigmoid")],
    ids=repr,
)
def test_average_agrees_with_numpy(encoder, solver, variable):
    """The mean of the images, or of the sigmoid's arguments."""

    def last(**schedule):
        """Returns the last image, not clipped."""
        seen = []
        options = {"solver": solver, "variable": variable, "callback": seen.append}
        run(encoder, schedule=js.Schedule(scales=1, **schedule), **options)
        return np.asarray(seen[-1].image, np.float64)

    def argument(x):
        return np.log(x / (1 - x)) if variable == "sigmoid" else x

    path = [np.asarray(CONTENT, np.float64), *(last(iterations=n) for n in range(1, 6))]
    for decay in (0.5, 0.9):
        factors = decay ** np.arange(6)[::-1]
        mean = sum(f * argument(x) for f, x in zip(factors, path, strict=True)) / factors.sum()
        average = last(iterations=5, average=decay)
        np.testing.assert_allclose(argument(average), mean, atol=1e-5)
        assert np.abs(average - path[-1]).max() > 0.005


@pytest.mark.parametrize("init", get_args(Init))
def test_result_without_iterations_is_the_initial_image(encoder, init):
    options = {"init": init, "schedule": js.Schedule(iterations=0, scales=1)}
    results = [run(encoder, seed=s, **options) for s in (0, 1)]
    assert results[0].terms["style"].shape == (0,)
    image, other = (np.asarray(result.image) for result in results)
    assert np.array_equal(image, other) == (init not in ("noise", "grey"))
    mean, spread = image.mean((0, 1)), image.std((0, 1))
    if init == "content":
        np.testing.assert_array_equal(image, CONTENT)
    elif init == "noise":
        np.testing.assert_allclose(mean, 0.5, atol=0.05)
        np.testing.assert_allclose(spread, 12**-0.5, atol=0.02)
    elif init == "grey":
        assert 0 < spread.max() < 1e-4
    else:
        np.testing.assert_allclose(mean, np.mean(STYLES[0], (0, 1)), atol=0.02)
        np.testing.assert_allclose(spread, np.std(STYLES[0], (0, 1)), atol=0.02)


def test_sigmoid_and_clamp_stay_in_range(encoder):
    """With a style of black and white, where the image itself does not."""
    style = (picture((32, 32), (0.5,) * 3, (0.5,) * 3, 3) > 0.5).astype(jnp.float32)
    outside = {}
    for name, clamp, variable in (
        ("image", False, "image"), ("clamp", True, "image"), ("sigmoid", False, "sigmoid"),
    ):  # fmt: skip
        seen, solver = [], js.adam(0.1, clamp=clamp)
        run(encoder, style, solver=solver, variable=variable, callback=seen.append)
        extremes = [x for p in seen for x in (-float(p.image.min()), float(p.image.max()) - 1)]
        outside[name] = max(extremes)
    assert outside["image"] > 0.02
    assert outside["clamp"] <= 0
    assert outside["sigmoid"] < 0
