"""The fault suite, few cases of each kind; ``python scripts/faults.py`` tries many."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "faults.py"


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ["--only", "pictures", "--pictures", "200"],
        ["--only", "kills", "signals", "pairs", "--kills", "6", "--signals", "6", "--pairs", "2"],
        ["--only", "disks", "--disks", "3"],
        ["--only", "memory", "--gigabytes", "2"],
        ["--only", "parameters", "downloads", "--parameters", "60"],
    ],
    ids=lambda options: options[1],
)
def test_faults(options):
    told = subprocess.run([sys.executable, SCRIPT, *options], capture_output=True, text=True)
    assert told.returncode == 0, told.stdout + told.stderr
