"""The benchmark: both sides compute the same, and every subcommand measures."""

import json
import math
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

import jaxstyle as js
import oracles
from jaxstyle.encoder.vgg import VGG, VGG19
from jaxstyle.pretrained import random_encoder

torch = pytest.importorskip("torch", reason="the oracle extra (PyTorch) is not installed")
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

sys.path.append(str(Path(__file__).parents[1] / "scripts"))

from benchmarking.compile import Compile  # noqa: E402
from benchmarking.end_to_end import EndToEnd  # noqa: E402
from benchmarking.evaluate import Evaluate  # noqa: E402
from benchmarking.floor import operations  # noqa: E402
from benchmarking.gpu import Gpu  # noqa: E402
from benchmarking.growth import Growth  # noqa: E402
from benchmarking.handling import Handling  # noqa: E402
from benchmarking.loop import Loop  # noqa: E402
from benchmarking.memory import Memory  # noqa: E402
from benchmarking.original import Original  # noqa: E402
from benchmarking.outcome import circumstances, show, write  # noqa: E402
from benchmarking.problem import OBJECTIVE, evaluate, make_problem  # noqa: E402
from benchmarking.quality import Quality  # noqa: E402
from benchmarking.sweep import Sweep  # noqa: E402
from benchmarking.tiles import Tiles  # noqa: E402

SMALL = {"sizes": (32,), "rounds": 1}
COMMAND = "stylize docs/examples/harbour.jpg docs/examples/painting.jpg --iterations 1 --scales 1"
MEASUREMENTS = {
    Evaluate(**SMALL, matrix=64): {
        "ours [s]", "PyTorch [s]", "floor [s]", "operations [G]",
        "ours / PyTorch", "ours / floor", "PyTorch / floor",
    },
    Loop(sizes=(32,), rounds=2, iterations=6): {
        "evaluation [s]", "iteration [s]", "evaluation in the loop [s]",
        "iteration / evaluation", "evaluation in the loop / evaluation",
        "evaluations / iterations", "iterations",
    },
}  # fmt: skip
SLOW = {
    Handling(sizes=(64,), result=32, rounds=1): {
        "decode [s]", "resize [s]", "encode PNG [s]", "encode JPG [s]", "PNG [MB]", "JPG [MB]",
    },
    Growth(sizes=(32, 64), rounds=1): {
        "evaluation [s]", "evaluation per megapixel [s]", "/ the size before",
    },
    Sweep(**SMALL, lanes=(2,), iterations=2): {
        "lanes [s]", "single runs [s]", "lanes / single runs", "losses apart",
    },
    Tiles(sizes=(32,), rounds=1): {
        "tiles [s]", "tiles [MB]", "high [s]", "high [MB]", "low [s]", "low [MB]",
        "tiles / high", "tiles / low",
    },
    Compile(**SMALL, command=""): {"tracing [s]", "compiling [s]", "fusions", "convolutions"},
    EndToEnd(**SMALL, command="", evaluations=12, scales=2, coarse_iterations=4): {
        "all [s]", "loss",
    },
    Compile(**SMALL, command=COMMAND): {"all [s]"},
    EndToEnd(**SMALL, command=COMMAND, evaluations=0): {"all [s]"},
    Memory(**SMALL, iterations=3): {
        "ours [MB]", "PyTorch [MB]", "ours / PyTorch", "XLA: temporary [MB]",
        "XLA: arguments [MB]", "XLA: results not donated [MB]",
    },
}  # fmt: skip


@pytest.fixture(autouse=True)
def unchecked():
    """Lowering puts what describes arguments where types say that arrays are."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="module")
def narrow():
    """VGG19's layout up to conv5_1, with zeros and maxima as the original has them."""
    return random_encoder(VGG(depths=(2, 2, 4, 4, 1), widths=(4, 6, 8, 8, 8), pooling="max"))


def check(measurement, narrow, columns):
    rows = measurement.measure(narrow)
    assert {column for row in rows for column in row} >= {"size", *columns}
    for row in rows:
        assert row["size"] in measurement.sizes
        numbers = [value for value in row.values() if isinstance(value, int | float)]
        assert all(math.isfinite(number) and number >= 0 for number in numbers), row
        assert all(value > 0 for name, value in row.items() if name in columns and "[s]" in name)


@pytest.mark.parametrize("measurement", MEASUREMENTS, ids=lambda m: type(m).__name__)
def test_subcommand_measures(measurement, narrow):
    check(measurement, narrow, MEASUREMENTS[measurement])


@pytest.mark.slow
@pytest.mark.parametrize("measurement", SLOW, ids=lambda m: type(m).__name__)
def test_slow_subcommand_measures(measurement, narrow):
    check(measurement, narrow, SLOW[measurement])


@pytest.mark.slow
def test_gpu_measures_on_whatever_there_is(narrow):
    rows = Gpu(**SMALL, evaluations=3, matrix=64, largest=64).rows(narrow)
    assert [row["side"] for row in rows][-3:] == ["PyTorch eager", "floor", "largest that fits"]
    assert rows[-1]["size"] == 64
    for row in rows[:-1]:
        assert row["evaluation [s]"] > 0
    for row in rows[:4]:
        assert row["3 evaluations [s]"] > 0
    assert rows[0]["side"] == "highest"
    assert rows[0]["gradient error"] == 0


@pytest.mark.skipif(jax.default_backend() == "gpu", reason="there is a GPU")
def test_gpu_without_one_says_so(narrow, capsys):
    assert Gpu().measure(narrow) == []
    assert capsys.readouterr().out == "no GPU here: nothing to measure\n"


def test_both_sides_compute_the_same(narrow):
    """The loss, and the gradient through the preprocessing that PyTorch's side leaves out."""
    problem = make_problem(narrow, 32)
    start = 0.7 * problem.content + 0.3 * problem.style
    loss, gradient = evaluate(jnp.asarray(start), *problem.data()[:3], OBJECTIVE)
    original = Original(problem)
    original.image = Original(problem._replace(content=start)).image
    assert original.closure().item() == pytest.approx(float(loss), rel=1e-5)
    theirs = original.image.grad[0].permute(1, 2, 0).numpy() / np.array([0.229, 0.224, 0.225])
    assert oracles.relative_error(gradient, theirs) <= 1e-4


@pytest.mark.slow
def test_pytorch_descends(narrow):
    original = Original(make_problem(narrow, 32))
    before = original.closure().item()
    evaluations = original.descend(10, history=10)
    assert 1 <= evaluations <= 11
    assert original.closure().item() < before


def test_operations_are_those_that_pytorch_counts(narrow):
    """PyTorch's count has a Gram matrix's gradient twice: it adds up two products of one value."""
    problem = make_problem(narrow, 48)
    original = Original(problem)
    with FlopCounterMode(display=False) as counter:
        original.closure()
    channels = dict(zip(OBJECTIVE.style_layers, narrow.network.widths, strict=True))
    again = sum(2 * (48 >> i) ** 2 * c**2 for i, c in enumerate(channels.values()))
    counted = operations(problem)
    assert counted == counter.get_total_flops() - again


def test_outcome_is_shown_and_written(tmp_path, capsys):
    rows = [{"size": 32, "ours [s]": 0.25}, {"size": 64, "ours / PyTorch": None}]
    facts = circumstances(2)
    show(rows, facts)
    shown = capsys.readouterr().out
    assert "ours [s]" in shown
    assert "0.25" in shown
    write(tmp_path / "out.json", "evaluate", rows, facts)
    told = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert told["rows"] == rows
    assert {"jax", "jaxlib", "torch", "python", "jaxstyle", "device", "cores", "commit"} <= set(
        told["circumstances"]
    )


@pytest.mark.slow
def test_quality_shows_what_is_rounded(narrow):
    measurement = Quality(sizes=(32,), iterations=3, coarse_iterations=2, nudges=1)
    rows = measurement.measure(narrow)
    assert {row["painting"] for row in rows} == {"painting.jpg", "window.jpg"}
    for painting in (rows[:4], rows[4:]):
        far = {row["precision"]: row["levels from highest"] for row in painting}
        assert far.keys() == {"highest", "tf32", "bf16", "highest, nudge 0"}
        assert far["highest"] == 0 < far["highest, nudge 0"] < far["tf32"] < far["bf16"] < 10
        for row in painting:
            assert row["loss"] == pytest.approx(row["content"] + row["style"] + row["tv"])


def test_quality_runs_the_recipes_network():
    assert Quality().load_encoder().network == js.load_encoder().network


def test_the_random_network_is_the_full_vgg19_as_the_original_runs_it(monkeypatch):
    monkeypatch.setattr("benchmarking.options.random_encoder", lambda network: network)
    assert Evaluate().load_encoder() == VGG19.clone(pooling="max", padding="zeros")
    assert VGG19.widths == (64, 128, 256, 512, 512)
