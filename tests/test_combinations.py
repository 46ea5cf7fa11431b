"""All pairs of options, together in as few runs as cover them, and what each option promises."""

import dataclasses
import itertools
import random
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeAlias, get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxstyle as js
from jaxstyle import solvers
from jaxstyle.encoder.vgg import Padding
from jaxstyle.losses import strips
from jaxstyle.losses.normalisation import NORMALISATIONS
from jaxstyle.losses.objective import Memory
from jaxstyle.losses.statistics import STATISTICS
from jaxstyle.ops.colour import Colour, recolour
from jaxstyle.ops.convolution import Precision
from jaxstyle.ops.pooling import Pooling
from jaxstyle.ops.resize import resize
from jaxstyle.ops.variation import VARIATIONS
from jaxstyle.pretrained import random_encoder
from jaxstyle.run.parameterisation import PARAMETERISATIONS
from jaxstyle.run.sources import Sources, make_sources
from jaxstyle.run.start import Init, initial_image

pytestmark = pytest.mark.one_python

Row: TypeAlias = Mapping[str, Any]
Setting: TypeAlias = tuple[str, Any]

OPTIONS = {
    "statistic": tuple(STATISTICS),
    "normalisation": tuple(NORMALISATIONS),
    "tv": tuple(VARIATIONS),
    "colour": get_args(Colour),
    "solver": ("lbfgs", "adam", "gradient-descent"),
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
    "memory": get_args(Memory),
    "precision": get_args(Precision),
}

# The library refuses the first five; textures have no content to take anything from.
EXCLUDED = [
    ({"solver": ("lbfgs",)}, {"clamp": (True,)}),
    ({"solver": ("lbfgs",)}, {"normalise_gradients": (True,)}),
    ({"variable": ("encoder", "sigmoid", "fourier")}, {"clamp": (True,)}),
    ({"memory": ("tiles",)}, {"normalise_gradients": (True,)}),
    ({"memory": ("tiles",)}, {"statistic": ("sliced",)}),
    ({"texture": (True,)}, {"colour": ("content", "luminance", "match")}),
    ({"texture": (True,)}, {"regions": (2,)}),
    ({"texture": (True,)}, {"init": ("content", "matched")}),
]


def excludes(*settings: Setting) -> bool:
    """Whether some of the settings exclude each other."""
    row = dict(settings)
    return any(
        all(row.get(name) in values for part in parts for name, values in part.items())
        for parts in EXCLUDED
    )


def pairs_of(settings: Iterable[Setting]) -> set[tuple[Setting, Setting]]:
    """All pairs of settings, the options of each in the order of OPTIONS."""
    names = list(OPTIONS)
    ordered = sorted(settings, key=lambda setting: names.index(setting[0]))
    return {pair for pair in itertools.combinations(ordered, 2) if pair[0][0] != pair[1][0]}


def allowed_pairs() -> set[tuple[Setting, Setting]]:
    settings = [(name, value) for name, values in OPTIONS.items() for value in values]
    return {pair for pair in pairs_of(settings) if not excludes(*pair)}


def grow(uncovered: list[tuple[Setting, Setting]], draw: random.Random) -> Row:
    """A row with one pair that is uncovered, and of the others as many as come along."""
    row, left = dict(draw.choice(uncovered)), set(uncovered)
    for name in draw.sample(list(OPTIONS), len(OPTIONS)):
        if name not in row:
            fitting = [v for v in OPTIONS[name] if not excludes(*row.items(), (name, v))]
            gains = [len(pairs_of((*row.items(), (name, v))) & left) for v in fitting]
            best = [v for v, gain in zip(fitting, gains, strict=True) if gain == max(gains)]
            row[name] = draw.choice(best)
    return {name: row[name] for name in OPTIONS}


def covering_rows() -> list[Row]:
    """Rows in which all pairs occur: greedily, each the best of a few drawn at random."""
    draw, rows, uncovered = random.Random(15), [], allowed_pairs()
    while uncovered:
        ordered = sorted(uncovered, key=repr)
        candidates = [grow(ordered, draw) for _ in range(8)]
        rows.append(max(candidates, key=lambda row: len(pairs_of(row.items()) & uncovered)))
        uncovered -= pairs_of(rows[-1].items())
    return cheaper(rows)


def cheaper(rows: list[Row]) -> list[Row]:
    """The rows with the quickest value of some options wherever no pair is lost by it."""
    rows, wanted = list(rows), allowed_pairs()
    for name in ("scales", "styles", "regions", "statistic"):
        for i, row in enumerate(rows):
            changed = {**row, name: OPTIONS[name][0]}
            covered = set().union(
                *(pairs_of(r.items()) for r in (changed, *rows[:i], *rows[i + 1 :]))
            )
            if covered == wanted:
                rows[i] = changed
    return rows


ROWS = covering_rows()
SHAPE, SMALLER = (48, 64), (34, 45)  # by the square root of 2
STYLE_SHAPES = (64, 48), (48, 48)
LAYERS = {"content_layers": ("conv2_1",), "style_layers": ("image", "conv1_1", "conv2_2")}
BLEND = (0.7, 0.3)


@pytest.fixture(scope="module")
def encoder():
    """Two blocks, so that there is something to pool, and three convolutions to pad."""
    return random_encoder(js.VGG(depths=(1, 2), widths=(6, 8)))


def picture(shape, middle, swing, waves):
    """Waves around a colour, well inside the range, the right half shifted."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    phase = waves * y / 5 + x / (3 * waves) + 2.0 * (x > shape[1] // 2)
    wave = np.sin(phase)[..., None] * np.array(swing)
    return jnp.asarray(np.array(middle) + wave, jnp.float32)


def halves(shape):
    """Masks of the left and of the right half."""
    left = jnp.broadcast_to(jnp.arange(shape[1]) < shape[1] // 2, shape)
    return jnp.stack([left, ~left]).astype(jnp.float32)


CONTENT = picture(SHAPE, (0.3, 0.4, 0.6), (0.1, 0.15, 0.2), 1)
STYLES = [
    picture(STYLE_SHAPES[0], (0.7, 0.5, 0.3), (0.25, 0.15, 0.05), 3),
    picture(STYLE_SHAPES[1], (0.4, 0.7, 0.4), (0.05, 0.25, 0.1), 2),
]


class Case(NamedTuple):
    """What a row asks for, seen apart from ``stylize``."""

    row: Row
    encoder: js.VGGEncoder
    objective: js.Objective
    sources: Sources

    def terms(self, image: jax.Array, weights: js.LossWeights) -> js.LossTerms:
        weights = jax.tree.map(jnp.float32, weights)  # One type, or it compiles twice.
        return _terms(image, self.sources, weights, self.encoder, self.objective)

    def solver(self, image: jax.Array, weights: js.LossWeights) -> solvers.Solver:
        """Steps of about a hundredth of the range near an image, in units of the variable.

        A fifth of that with normalised gradients: those do not shrink near a minimum.
        """
        variable, kind = self.row["variable"], self.row["solver"]
        units = {"image": 1.0, "fourier": 0.3}.get(variable, 4.0)
        units *= 0.2 if self.row["normalise_gradients"] else 1
        if kind == "lbfgs":
            return js.lbfgs()
        if kind == "adam":
            return js.adam(0.004 * units, clamp=self.row["clamp"])
        z = PARAMETERISATIONS[variable].from_image(image, self.encoder)
        slope = _slope(z, self.sources, weights, self.encoder, self.objective, variable)
        rate = 0.003 * units * image.size**0.5 / float(slope)
        return js.gradient_descent(rate, clamp=self.row["clamp"])


@partial(jax.jit, static_argnames="objective")
def _terms(image, sources, weights, encoder, objective):
    targets = js.make_targets(
        sources.content,
        sources.styles,
        encoder,
        objective,
        blend=sources.blend,
        content_masks=sources.content_masks,
        style_masks=sources.style_masks,
    )
    return js.loss_terms(image, targets, weights, encoder, objective)


@partial(jax.jit, static_argnames=("objective", "variable"))
def _slope(z, sources, weights, encoder, objective, variable):
    def loss(z):
        return _terms(
            PARAMETERISATIONS[variable].to_image(z, encoder), sources, weights, encoder, objective
        ).loss

    return jnp.linalg.norm(jax.grad(loss)(z))


def make_case(row: Row, encoder: js.VGGEncoder) -> Case:
    network = {name: row[name] for name in ("pooling", "padding", "precision")}
    vgg = encoder.network.clone(**network)
    objective = js.Objective(
        **LAYERS | ({"content_layers": ()} if row["texture"] else {}),
        statistic=STATISTICS[row["statistic"]],
        normalisation=row["normalisation"],
        tv=row["tv"],
        normalise_gradients=row["normalise_gradients"],
        memory=row["memory"],
    )
    content, styles = recolour(row["colour"], CONTENT, STYLES[: row["styles"]])
    content_masks = style_masks = None
    if row["regions"] == 2:
        content_masks = halves(SHAPE)
        style_masks = [halves(shape) for shape in STYLE_SHAPES[: row["styles"]]]
    blend = BLEND[: row["styles"]]
    sources = make_sources(content, styles, blend, content_masks, style_masks)
    return Case(row, dataclasses.replace(encoder, network=vgg), objective, sources)


def halfway(case: Case) -> jax.Array:
    """An image as far from the content as from the style."""
    return (case.sources.content + resize(case.sources.styles[0], SHAPE)) / 2


def balanced(case: Case) -> js.LossWeights:
    """Weights that make content and style 1 halfway, and the total variation a tenth.

    With normalised gradients they say how strongly content and style pull: the style nearly alone,
    so that it has to go down.
    """
    terms = case.terms(halfway(case), js.LossWeights(content=1.0, style=1.0, tv=1.0))
    style = 1 / terms.style
    if case.row["normalise_gradients"]:
        return js.LossWeights(content=0.01 * style, style=style, tv=0.01 * style / terms.tv)
    content = 1 / terms.content if case.objective.content_layers else jnp.float32(1.0)
    return js.LossWeights(content=content, style=style, tv=0.1 / terms.tv)


def paint(case: Case, **options: Any) -> js.Result:
    """Calls the library as a row says."""
    row, (_, _, _, content_masks, style_masks) = case.row, case.sources
    options |= {
        "objective": case.objective,
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
        "blend": BLEND[: row["styles"]],
    }
    styles = STYLES[: row["styles"]]
    if row["texture"]:
        return js.texture(styles, SHAPE, case.encoder, **options)
    options |= {"content_masks": content_masks, "style_masks": style_masks}
    return js.stylize(CONTENT, styles, case.encoder, colour=row["colour"], **options)


@pytest.mark.slow  # Two minutes: each row compiles programs of its own.
@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(map(str, row.values())))
def test_every_pair_of_options(row, encoder, monkeypatch):
    monkeypatch.setattr(strips, "_BYTES", 6000)  # Half of the first block's features.
    case, seen = make_case(row, encoder), []
    weights = balanced(case)
    start = initial_image(row["init"], case.sources.content, case.sources.styles[0], SHAPE, 0)
    solver = case.solver(halfway(case), weights)
    result = paint(case, loss_weights=weights, solver=solver, callback=seen.append)
    assert result.status == "finished"
    assert result.image.shape == (*SHAPE, 3)
    assert np.all(np.isfinite(np.stack(result.terms)))
    assert 0 <= float(result.image.min()) <= float(result.image.max()) <= 1
    last = seen[-1]
    before, after = (case.terms(image, weights) for image in (start, last.image))
    if row["normalise_gradients"]:
        # The solver follows no loss's gradient, but each term's own, and the style's the most.
        assert after.style < before.style
    else:
        assert after.loss < before.loss
    if not row["average"]:
        rtol = 0.05 if row["precision"] == "bf16" else 1e-3
        np.testing.assert_allclose(last.terms, after, rtol=rtol, atol=1e-5)
    if row["clamp"] or row["variable"] == "sigmoid":
        assert all(p.image.min() >= 0 and p.image.max() <= 1 for p in seen)
    shapes = {progress.shape for progress in seen}
    assert shapes == ({SMALLER, SHAPE} if row["scales"] == 2 else {SHAPE})
    check_colour(row["colour"], result.image, start)


def check_colour(colour, image, start):
    """Colours go the content's way, or are the content's up to what the range cuts off."""
    image, start, content = (np.asarray(x, np.float64) for x in (image, start, CONTENT))
    if colour in ("content", "match"):
        before, after = (abs(x.mean((0, 1)) - content.mean((0, 1))).max() for x in (start, image))
        assert after < max(before, 0.02)
    if colour == "luminance":
        weights = np.array([0.299, 0.587, 0.114])
        chroma, wanted = (x - (x @ weights)[..., None] for x in (image, content))
        np.testing.assert_allclose(np.cross(chroma, wanted), 0, atol=1e-5)
        inside = (image > 1e-4).all(-1) & (image < 1 - 1e-4).all(-1)
        assert inside.mean() > 0.5
        np.testing.assert_allclose(chroma[inside], wanted[inside], atol=1e-5)


def test_rows_cover_every_pair_of_options_that_go_together():
    values = [(name, value) for name in OPTIONS for value in OPTIONS[name]]
    missing = [
        (a, b)
        for a, b in itertools.combinations(values, 2)
        if a[0] != b[0]
        and not any(
            (a[1] in p.get(a[0], ()) and b[1] in q.get(b[0], ()))
            or (b[1] in p.get(b[0], ()) and a[1] in q.get(a[0], ()))
            for p, q in EXCLUDED
        )
        and not any(row[a[0]] == a[1] and row[b[0]] == b[1] for row in ROWS)
    ]
    assert missing == []
    assert not any(excludes(*row.items()) for row in ROWS)
    assert covering_rows() == ROWS


WEIGHTS = js.LossWeights(content=1.0, style=3.0, tv=10.0, style_layers={"image": 20.0})


def run(encoder, styles=STYLES[0], **options):
    defaults = {
        "objective": js.Objective(**LAYERS),
        "schedule": js.Schedule(iterations=8, scales=1),
    }
    defaults |= {"loss_weights": WEIGHTS}
    return js.stylize(CONTENT, styles, encoder, **defaults | options)


@pytest.mark.parametrize("options", [
    {"objective": js.Objective(**LAYERS, normalise_gradients=True)},
    {"solver": js.adam(clamp=True), "variable": "sigmoid"},
    {"solver": js.gradient_descent(1.0, clamp=True), "variable": "encoder"},
], ids=str)  # fmt: skip
def test_what_excludes_each_other_is_refused(encoder, options):
    with pytest.raises(js.InputError, match=r"normalise_gradients|clamp"):
        run(encoder, **options)


@pytest.mark.parametrize("tv", tuple(VARIATIONS))
def test_more_total_variation_weight_less_variation(encoder, tv):
    objective = js.Objective(**LAYERS, tv=tv)
    rough, smooth = (
        np.asarray(
            run(
                encoder,
                objective=objective,
                loss_weights=WEIGHTS.replace(tv=weight),
                init="noise",
            ).image
        )
        for weight in (0.0, 300.0)
    )
    assert variation(smooth) < 0.7 * variation(rough)


def variation(image):
    return np.abs(np.diff(image, axis=0)).sum() + np.abs(np.diff(image, axis=1)).sum()


def test_more_style_weight_less_distance_in_style(encoder):
    distances = []
    for weight in (0.3, 3.0, 30.0):
        terms = run(
            encoder,
            schedule=js.Schedule(iterations=30, scales=1),
            loss_weights=WEIGHTS.replace(style=weight),
        ).terms
        distances.append(terms.style[-1] / weight)
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 0.5 * distances[0]


def test_more_content_weight_less_distance_in_content(encoder):
    distances = []
    for weight in (0.3, 3.0, 30.0):
        terms = run(
            encoder,
            schedule=js.Schedule(iterations=30, scales=1),
            loss_weights=WEIGHTS.replace(content=weight),
        ).terms
        distances.append(terms.content[-1] / weight)
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 0.8 * distances[0]


def test_more_share_nearer_to_that_style(encoder):
    first, second = (np.asarray(style).mean((0, 1)) for style in STYLES)
    axis = (second - first) / np.square(second - first).sum()
    images = [run(encoder, STYLES, blend=(1 - s, s)).image for s in (0.0, 0.3, 0.6, 1.0)]
    # 0 at the mean colour of the first style, 1 at that of the second.
    places = [float((np.asarray(image).mean((0, 1)) - first) @ axis) for image in images]
    assert places == sorted(places)
    assert places[-1] - places[0] > 0.5
    np.testing.assert_array_equal(images[0], run(encoder, STYLES[0]).image)


def test_each_region_takes_over_its_own(encoder):
    """The left half is drawn to the style's red half, the right to its green one; and crosswise."""
    red, green = jnp.array([0.7, 0.3, 0.3]), jnp.array([0.3, 0.7, 0.3])
    masks, style = halves((32, 32)), picture((32, 32), (0, 0, 0), (0.1, 0.1, 0.1), 2)
    style += masks[0][..., None] * red + masks[1][..., None] * green
    for swapped in (False, True):
        guides = {
            "content_masks": halves(SHAPE),
            "style_masks": [masks[::-1] if swapped else masks],
        }
        image = np.asarray(run(encoder, style, **guides).image)
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
def test_average_is_that_of_the_images_gone_through(encoder, solver, variable):
    """Of a sigmoid's arguments, where there is one."""

    def last(**schedule):
        """The last image, not clipped."""
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
def test_without_iterations_the_start_is_the_result(encoder, init):
    options = {"init": init, "schedule": js.Schedule(iterations=0, scales=1)}
    image, other = (np.asarray(run(encoder, seed=s, **options).image) for s in (0, 1))
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


def test_sigmoid_and_clamp_stay_in_range_where_the_image_would_leave_it(encoder):
    """Towards a style of nothing but black and white."""
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
