"""Measure speed and memory, beside PyTorch and the arithmetic limit.

Both sides compute the loss of the gatys recipe with the same parameters on the same pictures.
They take turns on the same cores; tables show medians, and medians of ratios within a round.

    pip install ".[oracle]" && python scripts/benchmark.py evaluate --sizes 512x384 --json out.json
"""

import os
import sys

import tyro

from benchmarking.batch import Batch
from benchmarking.end_to_end import EndToEnd
from benchmarking.evaluate import Evaluate
from benchmarking.gpu import Gpu
from benchmarking.loop import Loop
from benchmarking.memory import Memory
from benchmarking.outcome import conditions, show, write
from benchmarking.tiles import Tiles

Command = Evaluate | Loop | EndToEnd | Batch | Memory | Tiles | Gpu


def isolate(cores: int) -> None:
    """Limits this process, its children and both libraries to some cores."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    os.environ["OMP_NUM_THREADS"] = str(cores)
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # PyTorch needs memory too


def main() -> None:
    command: Command = tyro.cli(Command, description=__doc__)  # pyright: ignore
    isolate(command.cores)
    rows = command.measure()
    if rows:
        facts = conditions(command.cores)
        show(rows, facts)
        if command.json:
            write(command.json, " ".join(sys.argv[1:]), rows, facts)


if __name__ == "__main__":
    main()
