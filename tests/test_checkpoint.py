"""Runs that continue from a checkpoint: the result is the same, bit for bit."""

import dataclasses

import jax
import numpy as np
import pytest

import jaxstyle as js
from jaxstyle.run import chunks, loop

OBJECTIVE = js.Objective(content_layers=("conv2_2",), style_layers=("image", "conv1_1", "conv3_1"))
SCHEDULE = js.Schedule(iterations=9, coarse_iterations=6, scales=2, coarsest=16, scale_factor=1.4)
AVERAGED = dataclasses.replace(SCHEDULE, average=0.7)
RUNS = {
    "lbfgs": {"solver": js.lbfgs(history=3), "schedule": SCHEDULE},
    "adam": {"solver": js.adam(), "schedule": AVERAGED, "variable": "sigmoid"},
}


def run(encoder, pictures, **options):
    return js.stylize(*pictures, encoder, objective=OBJECTIVE, **options)


@pytest.mark.parametrize("options", RUNS.values(), ids=RUNS)
def test_every_checkpoint_leads_to_the_same_end(encoder, pictures, options, monkeypatch):
    traces, plain, kept = [], loop.terms_of, []

    def counted(*arguments, **options):
        traces.append(0)
        return plain(*arguments, **options)

    monkeypatch.setattr(chunks, "_CHUNK", 3)
    monkeypatch.setattr(loop, "terms_of", counted)
    pictures = tuple(picture[:-2, :-2] for picture in pictures)
    whole = run(
        encoder, pictures, callback=lambda p: kept.append(jax.device_get(p.checkpoint)), **options
    )
    compiled = len(traces)
    assert compiled
    # Within scales, between the two, and at the very end.
    ends = [(int(c.scale), int(c.step)) for c in kept]
    assert ends == [(0, 3), (0, 6), (1, 3), (1, 9)]
    for checkpoint in kept:
        seen = []
        again = run(encoder, pictures, init=checkpoint, callback=seen.append, **options)
        np.testing.assert_array_equal(again.image, whole.image)
        np.testing.assert_equal(again.terms, whole.terms)
        assert (again.evaluations, again.status) == (whole.evaluations, whole.status)
        assert all(p.step > len(checkpoint.terms["tv"]) for p in seen)
    assert len(traces) == compiled


def test_checkpoints_of_other_runs_are_refused(encoder, pictures):
    kept, options = [], RUNS["lbfgs"] | {"schedule": SCHEDULE}
    run(encoder, pictures, callback=lambda p: kept.append(p.checkpoint), **options)
    for changed in ({"solver": js.lbfgs(history=4)}, {"schedule": js.Schedule(scales=1)}):
        with pytest.raises(js.InputError, match="checkpoint: of other sizes"):
            run(encoder, pictures, init=kept[-1], **options | changed)
