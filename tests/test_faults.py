"""A few cases of each kind of ``scripts/faults.py``."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "faults.py"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "cases"),
    [
        ("pictures", 200),
        ("parameters", 60),
        ("downloads", 30),
        ("kills", 6),
        ("signals", 6),
        ("disks", 3),
        ("memory", 2),
    ],
)
def test_nothing_goes_wrong(kind, cases):
    command = [sys.executable, SCRIPT, "--only", kind, "--cases", str(cases)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
