"""Processes of their own: for whole commands, with a compilation cache, and for peaks of memory."""

import multiprocessing
import shlex
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import NamedTuple, TypeVar

from .rounds import seconds

ROOT = Path(__file__).parents[2]
COMMAND = "stylize docs/examples/harbour.jpg docs/examples/painting.jpg"

# Ends as soon as the bar is told of iterations.
_UNTIL_FIRST_ITERATION = """
import os, sys
from jaxstyle import cli
from jaxstyle.cli import report
report.RunBar.update = lambda *_: os._exit(0)
sys.exit(cli.main(sys.argv[1:]) or "no iteration")
"""

Answer = TypeVar("Answer")


def in_own_process(measure: Callable[..., Answer], *arguments: object) -> Answer:
    """Returns what a function returns in a process that has done nothing else."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(measure, *arguments).result()


class Command(NamedTuple):
    """The command at some size.

    Attributes:
        arguments: Of jaxstyle, relative to the repository, without output and size.
        size: Of the result.
        folder: For the result and what the command caches.
        until_first_iteration: Whether it is ended as soon as it tells of its first iterations.
    """

    arguments: str
    size: int
    folder: str
    until_first_iteration: bool = False

    def run(self) -> None:
        """Runs it.

        Raises:
            subprocess.CalledProcessError: It failed.
        """
        code = ["-c", _UNTIL_FIRST_ITERATION] if self.until_first_iteration else ["-m", "jaxstyle"]
        output = ["-o", str(Path(self.folder, "picture.png")), "--overwrite", "--quiet"]
        options = ["--size", str(self.size), "--cache", str(Path(self.folder, "cache"))]
        subprocess.run(
            [sys.executable, *code, *shlex.split(self.arguments), *output, *options],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            check=True,
        )

    def cold_and_warm(self, rounds: int) -> dict[str, float]:
        """Returns the seconds with an empty cache, and the median of those with a full one."""
        cold = seconds(self.run)
        if self.until_first_iteration:
            self._replace(until_first_iteration=False).run()  # what was still to be kept
        return {"cold": cold, "warm": median(seconds(self.run) for _ in range(rounds))}
