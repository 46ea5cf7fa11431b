"""Measure every claim about speed and memory, beside PyTorch and the arithmetic limit.

Both sides compute the same: the objective of the gatys recipe, VGG19 to conv5_1, with the same
parameters on the same pictures. They take turns round by round on pinned cores; tables show
medians, and ratios taken within a round.

    pip install ".[oracle]" && python scripts/benchmark.py evaluate --sizes 256,512 --json out.json
"""

import os
import sys

import tyro

from benchmarking.batch import Batch
from benchmarking.compile import Compile
from benchmarking.end_to_end import EndToEnd
from benchmarking.evaluate import Evaluate
from benchmarking.gpu import Gpu
from benchmarking.growth import Growth
from benchmarking.handling import Handling
from benchmarking.loop import Loop
from benchmarking.memory import Memory
from benchmarking.outcome import circumstances, show, write
from benchmarking.quality import Quality
from benchmarking.sweep import Sweep
from benchmarking.tiles import Tiles
from benchmarking.whole import Whole

Command = (
    Evaluate
    | Loop
    | EndToEnd
    | Compile
    | Memory
    | Growth
    | Handling
    | Sweep
    | Batch
    | Quality
    | Gpu
    | Tiles
    | Whole
)


def isolate(cores: int) -> None:
    """Keeps this process, its children and both libraries' threads to as many cores."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    os.environ["OMP_NUM_THREADS"] = str(cores)
    # Compiling is measured, and PyTorch may need some of a GPU's memory.
    os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


def main() -> None:
    command: Command = tyro.cli(Command, description=__doc__)  # pyright: ignore[reportCallIssue, reportArgumentType]
    isolate(command.cores)
    rows = command.measure(command.load_encoder())
    if rows:
        facts = circumstances(command.cores)
        show(rows, facts)
        if command.json:
            write(command.json, " ".join(sys.argv[1:]), rows, facts)


if __name__ == "__main__":
    main()
