"""The benchmark: both sides compute the same loss, and every command measures."""

import json
import math
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import oracles
from jaxstyle.encoder.vgg import VGG
from jaxstyle.pretrained import random_encoder, save_encoder

torch = pytest.importorskip("torch", reason="the oracle extra (PyTorch) is not installed")
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

SCRIPTS = Path(__file__).parents[1] / "scripts"
sys.path.append(str(SCRIPTS))

from benchmarking.gpu import Gpu  # noqa: E402
from benchmarking.problem import Problem, parse  # noqa: E402
from benchmarking.pytorch import PyTorch  # noqa: E402

COMMANDS = {
    "evaluate": "--sizes 48x32 --rounds 1 --iterations 2 --matrix 64",
    "loop": "--sizes 32 --rounds 1 --iterations 3",
    "memory": "--sizes 32 --iterations 2",
    "tiles": "--sizes 32 --rounds 1",
    "end-to-end": "--sizes 32 --rounds 1 --command "
    "'stylize docs/examples/harbour.jpg docs/examples/painting.jpg --iterations 1'",
    "batch": "--sizes 32 --rounds 1 --jobs 4 --iterations 2",
}


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    """A file of VGG19's layout up to conv5_1."""
    path = tmp_path_factory.mktemp("encoder") / "narrow.h5"
    widths = (4, 6, 8, 8, 8)
    save_encoder(path, random_encoder(VGG(depths=(2, 2, 4, 4, 1), widths=widths)), {})
    return str(path)


@pytest.fixture
def problem(narrow):
    return Problem(narrow, parse("48x32"))


def is_finite(value):
    return isinstance(value, str) or math.isfinite(value)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_command_measures(command, narrow, tmp_path):
    script = f"{sys.executable} {SCRIPTS / 'benchmark.py'} {command} {COMMANDS[command]}"
    options = f"--encoder {narrow} --json {tmp_path / 'out.json'}"
    subprocess.run(f"{script} {options}", shell=True, check=True)
    (row,) = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["rows"]
    assert all(map(is_finite, row.values())), row
    assert any("[s]" in name or "[MB]" in name for name in row)


@pytest.mark.slow
def test_gpu_measures_on_any_device(narrow):
    measurement = Gpu(sizes=("32",), rounds=1, encoder=narrow, iterations=3, matrix=64, largest=64)
    rows = measurement.rows()
    assert [row["side"] for row in rows][-3:] == ["PyTorch eager", "floor", "largest that fits"]
    assert all(is_finite(value) for row in rows for value in row.values())
    assert rows[0]["side"] == "highest"
    assert rows[0]["gradient error"] == 0


def test_both_sides_compute_the_same(problem):
    """The loss, and the gradient through the preprocessing that PyTorch's side leaves out."""
    content, style = problem.pictures
    start = 0.7 * content + 0.3 * style
    pytorch = PyTorch(problem)
    normalised = np.asarray(problem.encoder.preprocessing(start)).transpose(2, 0, 1)[None]
    pytorch.image = torch.tensor(normalised).requires_grad_()
    loss, gradient = problem.gradient(start)
    assert pytorch.closure().item() == pytest.approx(float(loss), rel=1e-5)
    _, pull_back = jax.vjp(problem.encoder.preprocessing, start)
    (expected,) = pull_back(pytorch.image.grad[0].permute(1, 2, 0).numpy())
    assert oracles.relative_error(gradient, expected) <= 1e-4


def test_operations_are_those_that_pytorch_counts(problem):
    """PyTorch counts a Gram matrix's gradient twice: it adds up two products of one value."""
    pytorch = PyTorch(problem)
    with FlopCounterMode(display=False) as counter:
        pytorch.closure()
    height, width = problem.shape
    widths = problem.encoder.network.widths
    again = sum(2 * (height >> i) * (width >> i) * c**2 for i, c in enumerate(widths))
    assert problem.operations() == counter.get_total_flops() - again
