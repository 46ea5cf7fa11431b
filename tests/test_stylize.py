"""The loop: descent, schedules, interruption, non-finite losses, and how often it compiles."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxstyle as js
from jaxstyle.ops.resize import fit, resize
from jaxstyle.run import loop
from jaxstyle.run.start import initial_image

OBJECTIVE = js.Objective(content_layers=("conv2_2",), style_layers=("image", "conv1_1", "conv3_1"))
ONCE = js.Schedule(iterations=12, scales=1)


def run(encoder, pictures, **options):
    return js.stylize(*pictures, encoder, **{"objective": OBJECTIVE, "schedule": ONCE} | options)


@pytest.mark.parametrize("solver", [js.lbfgs(), js.adam()], ids=repr)
@pytest.mark.parametrize("init", ["content", "style", "noise"])
def test_loss_goes_down(encoder, pictures, solver, init):
    result = run(encoder, pictures, solver=solver, init=init)
    loss = sum(result.terms)
    assert result.status == "finished"
    assert loss.shape == (12,)
    assert loss[-1] < 0.8 * loss[0]
    assert result.image.shape == pictures[0].shape
    assert 0 <= float(result.image.min()) <= float(result.image.max()) <= 1
    assert result.evaluations >= 13


def test_trace_is_the_loss_of_the_images_it_went_through(encoder, pictures):
    """The terms of the last step are those of the last image, evaluated by itself."""
    seen = []
    run(
        encoder,
        pictures,
        loss_weights=js.LossWeights(content=2.0, style=50.0, tv=1.0),
        callback=seen.append,
    )
    targets = js.make_targets(*pictures, encoder, OBJECTIVE)
    weights = js.LossWeights(content=2.0, style=50.0, tv=1.0)
    for progress in seen:
        expected = js.loss_terms(progress.image, targets, weights, encoder, OBJECTIVE)
        np.testing.assert_allclose(progress.terms, expected, rtol=1e-4)
    assert [p.step for p in seen] == sorted({p.step for p in seen})
    assert seen[-1].step == seen[-1].steps == 12
    assert seen[-1].fraction == 1.0


def test_same_seed_same_image(encoder, pictures):
    first, second, other = (run(encoder, pictures, init="noise", seed=s).image for s in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_no_recompilation_for_other_numbers(encoder, pictures, monkeypatch):
    traces = 0
    plain = js.compare

    def counted(*arguments):
        nonlocal traces
        traces += 1
        return plain(*arguments)

    monkeypatch.setattr("jaxstyle.losses.loss.compare", counted)
    content, style = (p[:-1, :-1] for p in pictures)
    run(encoder, (content, style))
    first = traces
    run(
        encoder,
        (1 - content, style),
        loss_weights=js.LossWeights(content=2.0, style=7.0, tv=0.5),
        seed=3,
    )
    run(encoder, (content, 1 - style), loss_weights=js.LossWeights(style=jnp.float32(3.0)))
    run(encoder.replace(params=jax.tree.map(lambda a: a * 1.1, encoder.params)), (content, style))
    assert first > 0
    assert traces == first
    run(encoder, (content[:-2], style))
    assert traces > first


def test_schedule_runs_from_coarse_to_fine(encoder, pictures):
    seen = []
    schedule = js.Schedule(iterations=3, scales=2, coarse_iterations=5, coarsest=16)
    result = run(encoder, pictures, schedule=schedule, callback=seen.append)
    assert [p.shape for p in seen] == sorted(p.shape for p in seen)
    assert {p.shape for p in seen} == {(18, 22), (36, 44)}
    assert result.terms.style.shape == (8,)
    fractions = [p.fraction for p in seen]
    assert fractions == sorted(fractions)
    # Five of eight steps at a quarter of the pixels: 5/4 of 3 + 5/4.
    at_switch = next(p.fraction for p in seen if p.step == 5)
    assert at_switch == pytest.approx(1.25 / 4.25)


def test_schedule_leaves_out_scales_that_are_too_small():
    assert js.Schedule(iterations=5, scales=4, coarse_iterations=9, coarsest=16).scales_of(
        (64, 128)
    ) == [
        ((16, 32), 9),
        ((32, 64), 9),
        ((64, 128), 5),
    ]


def test_iterations_fall_as_scales_grow():
    schedule = js.Schedule(iterations=10, scales=5, first_iterations=90, decline=3.0, coarsest=16)
    iterations = [scale.iterations for scale in schedule.scales_of((256, 320))]
    assert iterations == [90, 30, 10, 10, 10]


def test_callback_stops_the_run(encoder, pictures):
    result = run(encoder, pictures, callback=lambda progress: True)
    assert result.status == "stopped"
    assert 0 < len(result.terms.style) < 12
    assert not np.array_equal(result.image, pictures[0])


def test_no_iterations_give_the_initial_image(encoder, pictures):
    result = run(encoder, pictures, schedule=js.Schedule(iterations=0, scales=1))
    np.testing.assert_array_equal(result.image, pictures[0])
    assert result.terms.style.shape == (0,)


@pytest.mark.parametrize("solver", [js.lbfgs(), js.adam()], ids=repr)
def test_overflow_keeps_the_last_good_image(encoder, pictures, solver):
    """A weight that makes the loss overflow at once, and one that does so on the way."""
    result = run(encoder, pictures, solver=solver, loss_weights=js.LossWeights(style=3.3e38))
    assert result.status == "non-finite"
    assert np.all(np.isfinite(result.image))
    assert np.all(np.isfinite(np.stack(result.terms)))
    # By the gradient alone, where the term itself is just below float32's end.
    assert result.overflowed in [("style",), ("gradient",)]


def test_overflow_on_the_way(encoder, pictures, monkeypatch):
    """Once the image has left the content, the loss is made NaN: that step must not be kept."""
    plain, content = js.loss_terms, pictures[0]

    def poisoned(image, *rest, **options):
        terms = plain(image, *rest, **options)
        far = jnp.abs(image - content).max() > 0.05
        return terms._replace(tv=jnp.where(far, jnp.nan, terms.tv))

    monkeypatch.setattr(loop, "loss_terms", poisoned)
    objective = js.Objective(content_layers=("conv2_2",), style_layers=("conv1_1",))
    options = {"objective": objective, "variable": "image"}
    result = run(encoder, pictures, solver=js.adam(0.011), **options)
    assert result.status == "non-finite"
    assert float(jnp.abs(result.image - content).max()) <= 0.05
    assert len(result.terms.style) == 4
    assert result.overflowed == ("tv",)


def test_bad_numbers_are_refused(encoder, pictures):
    with pytest.raises(js.InputError, match="content: a side under 16 px"):
        js.stylize(pictures[0][:10], pictures[1], encoder)
    with pytest.raises(js.InputError, match="layer 'conv4_2': unknown"):
        js.stylize(*pictures, encoder)


@pytest.mark.parametrize("init", ["content", "matched", "style", "noise"])
def test_initial_images(pictures, init):
    image = initial_image(init, *pictures, (20, 30), 0)
    assert image.shape == (20, 30, 3)
    if init == "noise":
        assert abs(float(image.mean()) - 0.5) < 0.05
    else:
        colours = pictures[init != "content"]
        np.testing.assert_allclose(image.mean((0, 1)), colours.mean((0, 1)), atol=0.03)


def test_resize_keeps_means_and_straight_lines(pictures):
    image = pictures[0]
    half = resize(image, (18, 22))
    np.testing.assert_allclose(half.mean((0, 1)), image.mean((0, 1)), atol=0.02)
    ramp = jnp.broadcast_to(jnp.linspace(0.2, 0.8, 64)[None, :, None], (32, 64, 3))
    inner = np.asarray(resize(ramp, (16, 32)))[8, 4:-4, 0]
    np.testing.assert_allclose(np.diff(inner), 2 * 0.6 / 63, rtol=1e-3)


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [((768, 1024), 512, (384, 512)), ((1000, 10), 100, (100, 1)), ((3, 1000), 100, (1, 100))],
)
def test_fit(shape, size, expected):
    assert fit(shape, size) == expected


def test_in_double_precision():
    """With JAX_ENABLE_X64 the library still computes in the images' own float32."""
    program = (
        "import jax, jaxstyle as js; from jaxstyle.pretrained import random_encoder;"
        "encoder = random_encoder(js.VGG(depths=(1, 1), widths=(4, 4)));"
        "content, style = jax.random.uniform(jax.random.key(0), (2, 20, 20, 3), 'float32');"
        "objective = js.Objective(content_layers=('conv2_1',), style_layers=('image', 'conv1_1'));"
        "options = dict(objective=objective, schedule=js.Schedule(iterations=3, scales=1));"
        "result = js.stylize(content, style, encoder, init='matched', **options);"
        "assert result.image.dtype == 'float32' and result.status == 'finished'"
    )
    environment = os.environ | {"JAX_ENABLE_X64": "1"}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True)
    assert run.returncode == 0, run.stderr.decode()
