"""A run's loss terms in a file: a line of JSON an iteration, as soon as it is known."""

import json
import math
import time
from pathlib import Path
from typing import IO

import numpy as np

import jaxstyle as js
from jaxstyle.cli.watch.watcher import Moment

SUFFIXES = (".jsonl",)


class Trace:
    """Writes whole lines, so that what is there can be read at any moment."""

    def __init__(self, path: Path, *, goes_on: bool = False) -> None:
        """Makes a trace.

        Args:
            path: The file.
            goes_on: Whether what is there is of the same run, and stays as far as the run has come.
        """
        self._path = path
        self._goes_on = self._uncut = goes_on
        self._file: IO[str] | None = None
        self._started = 0.0

    def __enter__(self) -> "Trace":
        mode = "a+" if self._goes_on else "w"
        self._file = open(self._path, mode, encoding="utf-8")
        self._uncut = self._goes_on
        self._started = time.monotonic()
        return self

    def __exit__(self, *raised: object) -> None:
        if self._file is not None:
            self._file.close()

    def see(self, moment: Moment) -> None:
        """Writes the chunk's lines."""
        progress = moment.progress
        first = progress.step - len(progress.recent.style) + 1
        if self._uncut:
            self._cut(first)
        seconds = round(time.monotonic() - self._started, 3)
        height, width = progress.shape
        lines = [
            json.dumps(
                {
                    "scale": progress.scale,
                    "scales": progress.scales,
                    "width": width,
                    "height": height,
                    "iteration": first + i,
                    "iterations": progress.steps,
                    # The shortest number that is the same float32.
                    **{name: float(str(value)) for name, value in terms.items()},
                    "seconds": seconds,
                }
            )
            for i, terms in enumerate(_rows(progress.recent))
        ]
        assert self._file is not None
        self._file.write("".join(f"{line}\n" for line in lines))
        self._file.flush()

    def _cut(self, first: int) -> None:
        """Drops what will be computed once more, from an iteration on."""
        self._uncut = False
        assert self._file is not None
        self._file.seek(0)
        kept = [line for line in self._file if _iteration_of(line) < first]
        self._file.truncate(0)
        self._file.write("".join(kept))
        if kept:
            self._started -= json.loads(kept[-1])["seconds"]

    def end(self, moment: Moment, result: js.Result) -> None:
        """Does nothing: everything is written."""


def _iteration_of(line: str) -> float:
    try:
        return float(json.loads(line)["iteration"])
    except (ValueError, TypeError, KeyError):
        return math.inf  # A line that was cut short.


def _rows(terms: js.LossTerms) -> list[dict[str, np.float32]]:
    columns = zip(*(np.asarray(term, np.float32) for term in terms), strict=True)
    return [dict(zip(js.LossTerms._fields, row, strict=True)) for row in columns]
