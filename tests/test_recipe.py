"""Recipes: what they turn into, what survives TOML, and what bad settings are told."""

import dataclasses
import tomllib
from typing import get_args, get_type_hints

import pytest
import tomli_w

import jaxstyle as js
from jaxstyle.errors import InputError
from jaxstyle.losses.normalisation import NORMALISATIONS
from jaxstyle.losses.statistics import STATISTICS
from jaxstyle.ops.resize import parse_size, size_text
from jaxstyle.ops.variation import VARIATIONS
from jaxstyle.recipes import recipe as settings
from jaxstyle.recipes.presets import PRESETS
from jaxstyle.recipes.recipe import Recipe
from jaxstyle.run.parameterisation import PARAMETERISATIONS

FIELDS = [field.name for field in dataclasses.fields(Recipe)]


def test_defaults_are_the_librarys():
    recipe, weights, library = Recipe(), Recipe().make_loss_weights(), js.LossWeights()
    assert recipe.make_objective() == js.Objective()
    assert recipe.make_schedule() == js.Schedule()
    assert recipe.make_solver() == js.lbfgs()
    assert weights.tv == library.tv
    for layer in js.Objective().style_layers:
        assert weights.of("style").of(layer) == library.of("style").of(layer)
    for layer in js.Objective().content_layers:
        assert weights.of("content").of(layer) == library.of("content").of(layer)
    assert dataclasses.replace(recipe, solver="adam").make_solver() == js.adam()


@pytest.mark.parametrize("name", PRESETS)
def test_preset_survives_toml(name):
    table = tomllib.loads(tomli_w.dumps(js.preset(name).to_table()))
    assert Recipe().updated(table) == js.preset(name)


@pytest.mark.parametrize("name", PRESETS)
def test_preset_becomes_what_the_library_runs_on(name):
    recipe = js.preset(name)
    objective, weights = recipe.make_objective(), recipe.make_loss_weights()
    schedule, solver = recipe.make_schedule(), recipe.make_solver()
    assert objective.style_layers == tuple(weights.style_layers)
    assert objective.content_layers == tuple(weights.content_layers)
    assert objective.statistic == STATISTICS[recipe.statistic]
    assert schedule.iterations == recipe.iterations
    assert not (objective.normalise_gradients and solver.line_search)
    assert not (solver.clamp and recipe.variable != "image")
    assert PRESETS[name].source


def test_every_setting_reaches_the_library():
    recipe = Recipe(
        content_layers={"conv3_1": 2.0},
        style_layers={"image": 3.0, "conv2_1": 4.0},
        statistic="mean-std",
        normalisation="mean",
        tv="l1",
        normalise_gradients=True,
        solver="adam",
        content_weight=5.0,
        style_weight=6.0,
        tv_weight=7.0,
    )
    expected = js.Objective(
        content_layers=("conv3_1",),
        style_layers=("image", "conv2_1"),
        statistic=js.MeanStd(),
        normalisation="mean",
        tv="l1",
        normalise_gradients=True,
    )
    assert recipe.make_objective() == expected
    weights = recipe.make_loss_weights()
    assert (weights.of("content").of("conv3_1"), weights.tv) == (10.0, 7.0)
    assert [weights.of("style").of(layer) for layer in expected.style_layers] == [18.0, 24.0]


def test_every_solver_setting_reaches_the_solver():
    settings = Recipe(
        history=7, learning_rate=0.5, b1=0.6, b2=0.7, decay=0.8, decay_steps=9, variable="image"
    )
    make = {
        solver: dataclasses.replace(settings, solver=solver).make_solver()
        for solver in ("lbfgs", "adam", "gradient-descent")
    }
    assert make["lbfgs"] == js.lbfgs(history=7)
    assert make["adam"] == js.adam(0.5, b1=0.6, b2=0.7)
    assert make["gradient-descent"] == js.gradient_descent(0.5, decay=0.8, decay_steps=9)
    for solver in ("adam", "gradient-descent"):
        assert dataclasses.replace(settings, solver=solver, clamp=True).make_solver().clamp


def test_every_schedule_setting_reaches_the_schedule():
    numbers = {
        "iterations": 1,
        "scales": 2,
        "coarse_iterations": 3,
        "coarsest": 40,
        "scale_factor": 1.5,
        "first_iterations": 6,
        "decline": 2.0,
        "coarse_style": 0.5,
        "average": 0.7,
    }
    assert {field.name for field in dataclasses.fields(js.Schedule)} == numbers.keys()
    assert Recipe(**numbers).make_schedule() == js.Schedule(**numbers)


def test_crowsons_scales_grow_by_the_root_of_two():
    scales = js.preset("crowson").make_schedule().scales_of((384, 512))
    assert [max(scale.shape) for scale in scales] == [
        round(512 / 2 ** (i / 2)) for i in (4, 3, 2, 1, 0)
    ]
    assert [scale.iterations for scale in scales] == [1000, 500, 500, 500, 500]


@pytest.mark.parametrize(
    ("name", "result", "style"),
    [
        ("gatys", (512, 683), (512, 1536)),
        ("neural-style", (384, 512), (171, 512)),
        ("surma", (500, 500), (500, 500)),
        ("udacity", (400, 533), (400, 533)),
        ("keras", (400, 533), (400, 533)),
        ("crowson", (384, 512), (171, 512)),
    ],
)
def test_sizes_are_the_tools(name, result, style):
    """As each tool resizes a photograph of 800×600 and a painting of 900×300."""
    recipe = js.preset(name)
    assert recipe.shape_of((600, 800)) == result
    assert recipe.style_shape_of((300, 900), result) == style


@pytest.mark.parametrize(
    ("side", "style"), [("longer", (211, 633)), ("shorter", (457, 1371)), ("height", (457, 1371))]
)
def test_the_photographs_own_size(side, style):
    recipe = Recipe(size="original", side=side)
    assert recipe.shape_of((457, 633)) == (457, 633)
    assert recipe.style_shape_of((300, 900), (457, 633)) == style
    assert Recipe().updated(recipe.to_table()) == recipe
    with pytest.raises(InputError, match="size original: the shorter side would be under 16 px"):
        recipe.shape_of((15, 100))


def test_style_scale_makes_the_painting_larger():
    for recipe in (Recipe(size=64), Recipe(size=64, stretch_style=True), Recipe(size=(64, 48))):
        larger = dataclasses.replace(recipe, style_scale=2.0)
        h, w = recipe.style_shape_of((48, 64), (48, 64))
        assert larger.style_shape_of((48, 64), (48, 64)) == (2 * h, 2 * w)


@pytest.mark.parametrize(
    ("text", "size"),
    [("512", 512), ("640x480", (640, 480)), ("64X48", (64, 48)), ("Original", "original")],
)
def test_size_is_read_and_written(text, size):
    assert parse_size(text) == size
    assert size_text(size) == text.lower()


@pytest.mark.parametrize("text", ["", "x", "640x", "640x480x3", "12.5", "large"])
def test_what_is_no_size_is_told(text):
    with pytest.raises(
        InputError, match=r"^size .*: not a size; give pixels, WIDTHxHEIGHT or original$"
    ):
        parse_size(text)


def test_unknown_setting_is_named_with_the_nearest():
    with pytest.raises(InputError, match=r"^style_wieght: no such setting; style_weight\?$"):
        Recipe().updated({"style_wieght": 2.0})
    with pytest.raises(InputError, match=r"^zzz: no such setting$"):
        Recipe().updated({"zzz": 2.0})


@pytest.mark.parametrize(
    ("value", "fitting"),
    [
        ([640, 480], []),
        ({"conv1_1": "much"}, []),
        ("nonsense", ["init", "encoder"]),
        (True, [f.name for f in dataclasses.fields(Recipe) if f.type is bool]),
        (2.5, [field.name for field in dataclasses.fields(Recipe) if field.type is float]),
    ],
)
def test_value_of_the_wrong_kind_names_the_setting(value, fitting):
    for name in FIELDS:
        if name not in fitting:
            with pytest.raises(InputError, match=rf"^{name} [^\n]+$"):
                Recipe().updated({name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("style_weight", -1.0),
        ("content_weight", float("nan")),
        ("tv_weight", float("inf")),
        ("style_layers", {"conv1_1": -1}),
        ("content_layers", {"conv4_2": float("inf")}),
        ("style_scale", 0.0),
        ("size", 15),
        ("size", "640x8"),
        ("seed", -1),
        ("seed", 2**32),
        ("iterations", -1),
        ("scales", 0),
        ("coarse_iterations", -1),
        ("first_iterations", -1),
        ("coarsest", 15),
        ("scale_factor", 1.0),
        ("decline", 0.5),
        ("average", 1.0),
        ("history", 0),
    ],
)
def test_value_out_of_range_names_the_setting(name, value):
    with pytest.raises(InputError, match=rf"^{name} [^\n]+; give [^\n]+$"):
        Recipe().updated({name: value})


@pytest.mark.parametrize(
    ("solver", "name", "value"),
    [
        ("adam", "learning_rate", 0.0),
        ("adam", "b1", 1.0),
        ("adam", "b2", -0.1),
        ("gradient-descent", "learning_rate", -1.0),
        ("gradient-descent", "decay", 0.0),
        ("gradient-descent", "decay_steps", 0),
    ],
)
def test_value_out_of_the_solvers_range_names_the_setting(solver, name, value):
    with pytest.raises(InputError, match=rf"^{name} [^\n]+; give [^\n]+$"):
        Recipe().updated({"solver": solver, name: value})


def test_clamp_is_nothing_for_lbfgs():
    with pytest.raises(InputError, match="clamp: lbfgs cannot; choose adam"):
        Recipe(clamp=True)


def test_sides_too_short_are_told():
    with pytest.raises(InputError, match="size 64: the shorter side would be under 16 px"):
        Recipe(size=64).shape_of((100, 1000))
    with pytest.raises(
        InputError, match=r"style_scale 0\.1: the painting's side would be under 16"
    ):
        Recipe(size=64, style_scale=0.1).style_shape_of((100, 100), (64, 64))


@pytest.mark.parametrize(("names", "table"), [
    (settings.Normalisation, NORMALISATIONS), (settings.Variation, VARIATIONS),
    (settings.Variable, PARAMETERISATIONS),
    (get_type_hints(Recipe)["statistic"], STATISTICS),
])  # fmt: skip
def test_every_name_of_a_table_is_a_choice(names, table):
    assert get_args(names) == tuple(table)
