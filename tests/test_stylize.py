"""Runs: descent, schedules, interruption, losses that overflow, and how often they compile."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxstyle as js
from jaxstyle.ops.resize import fit, resize
from jaxstyle.run import loop
from programs import terms_of, total

OBJECTIVE = js.Objective(content_layers=("conv2_2",), style_layers=("image", "conv1_1", "conv3_1"))
ONCE = js.Schedule(iterations=12, scales=1)


def run(encoder, pictures, **options):
    return js.stylize(*pictures, encoder, **{"objective": OBJECTIVE, "schedule": ONCE} | options)


@pytest.mark.parametrize("solver", [js.lbfgs(), js.adam()], ids=repr)
@pytest.mark.parametrize("init", ["content", "style", "noise"])
def test_loss_falls(encoder, pictures, solver, init):
    result = run(encoder, pictures, solver=solver, init=init)
    loss = total(result.terms)
    assert result.status == "finished"
    assert loss.shape == (12,)
    assert loss[-1] < 0.8 * loss[0]
    assert result.image.shape == pictures[0].shape
    assert 0 <= float(result.image.min()) <= float(result.image.max()) <= 1
    assert result.evaluations >= 13


def test_reported_terms_are_those_of_the_image(encoder, pictures):
    seen, weights = [], js.LossWeights(content=2.0, style=50.0, tv=1.0)
    run(encoder, pictures, loss_weights=weights, callback=seen.append)
    targets = js.make_targets(*pictures, encoder, OBJECTIVE)
    for progress in seen:
        expected = terms_of(progress.image, targets, weights, encoder, OBJECTIVE)
        assert progress.terms.keys() == expected.keys()
        for name, term in expected.items():
            np.testing.assert_allclose(progress.terms[name], term, rtol=1e-4)
    assert [p.step for p in seen] == sorted({p.step for p in seen})
    assert seen[-1].step == seen[-1].steps == 12
    assert seen[-1].fraction == 1.0


def test_other_numbers_do_not_recompile(encoder, pictures, monkeypatch):
    traces = 0
    plain = loop.terms_of

    def counted(*arguments, **options):
        nonlocal traces
        traces += 1
        return plain(*arguments, **options)

    monkeypatch.setattr(loop, "terms_of", counted)
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
    assert result.terms["style"].shape == (8,)
    fractions = [p.fraction for p in seen]
    assert fractions == sorted(fractions)
    # Five of eight steps at a quarter of the pixels: 5/4 of 3 + 5/4.
    at_switch = next(p.fraction for p in seen if p.step == 5)
    assert at_switch == pytest.approx(1.25 / 4.25)


def test_scales_that_are_too_small_are_left_out():
    schedule = js.Schedule(
        iterations=5, scales=4, coarse_iterations=9, coarsest=16, coarse_style=0.5
    )
    scales = schedule.scales_of((64, 128))
    assert scales == [((16, 32), 9, 0.5), ((32, 64), 9, 0.5), ((64, 128), 5, 1.0)]


def test_iterations_decline_from_scale_to_scale():
    schedule = js.Schedule(iterations=10, scales=5, first_iterations=90, decline=3.0, coarsest=16)
    iterations = [scale.iterations for scale in schedule.scales_of((256, 320))]
    assert iterations == [90, 30, 10, 10, 10]


def test_callback_stops_the_run(encoder, pictures):
    result = run(encoder, pictures, callback=lambda progress: True)
    assert result.status == "stopped"
    assert 0 < len(result.terms["style"]) < 12
    assert not np.array_equal(result.image, pictures[0])


@pytest.mark.parametrize("solver", [js.lbfgs(), js.adam()], ids=repr)
def test_overflow_at_once_keeps_the_initial_image(encoder, pictures, solver):
    result = run(encoder, pictures, solver=solver, loss_weights=js.LossWeights(style=3.3e38))
    assert result.status == "non-finite"
    np.testing.assert_array_equal(result.image, pictures[0])
    assert np.all(np.isfinite(total(result.terms)))
    # By the gradient alone where the term is just below the largest float32.
    assert result.overflowed in [("style",), ("gradient",)]


def test_overflow_on_the_way_keeps_the_last_good_image(encoder, pictures):
    """A custom term is NaN as soon as the image is too far from the content."""

    def fence(image, content):
        return jnp.where(jnp.abs(image - content).max() > 0.05, jnp.nan, 0.0)

    extra = {"fence": js.ImageTerm(fence, data="content")}
    objective = js.Objective(content_layers=("conv2_2",), style_layers=("conv1_1",), extra=extra)
    scene = js.Scene(pictures[0], data={"content": pictures[0]})
    solver = js.adam(0.011)
    result = run(encoder, (scene, pictures[1]), solver=solver, objective=objective)
    assert result.status == "non-finite"
    assert float(jnp.abs(result.image - pictures[0]).max()) <= 0.05
    assert len(result.terms["style"]) == 4
    assert result.overflowed == ("fence",)


def test_bad_arguments_are_refused(encoder, pictures):
    with pytest.raises(js.InputError, match="content: a side under 16 px"):
        js.stylize(pictures[0][:10], pictures[1], encoder)
    with pytest.raises(js.InputError, match="layer 'conv4_2': unknown"):
        js.stylize(*pictures, encoder)


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
