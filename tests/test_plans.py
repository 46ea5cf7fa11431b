"""The law of plans: every plan gives the loss and gradient of ``Whole``, or refuses in one line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from plans import CASES

REFUSED = ("tiles: sliced", "devices: sliced", "devices, kept: sliced", "devices in tiles: sliced",
           "tiles: normalised gradients", "devices in tiles: normalised gradients")  # fmt: skip


@pytest.fixture(scope="module")
def measured():
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=4"
    environment = os.environ | {"XLA_FLAGS": flags}
    program = Path(__file__).with_name("plans.py")
    run = subprocess.run(
        [sys.executable, program], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return {line.pop("case"): line for line in map(json.loads, run.stdout.splitlines())}


@pytest.mark.parametrize("case", CASES)
def test_every_plan_agrees_with_whole(measured, case):
    if case.startswith(REFUSED):
        assert measured[case]["refused"].startswith("plan ")
        return
    tolerance = 1e-10 if case.endswith("float64") else 1e-5
    assert measured[case]["loss"] < tolerance
    assert measured[case]["gradient"] < tolerance
