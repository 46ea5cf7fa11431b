"""The loss terms of a run in a file: one line of JSON per iteration."""

import json
import math
import time
from pathlib import Path
from typing import IO

import numpy as np

import jaxstyle as js
from jaxstyle.cli.watch.watcher import Snapshot, Watcher

SUFFIXES = (".jsonl",)


class Trace(Watcher):
    """Writes whole lines, so that the file can be read at any moment."""

    def __init__(self, path: Path, *, resumed: bool = False) -> None:
        """Makes a trace.

        Args:
            path: The file.
            resumed: Whether to keep the lines of the iterations before the first one seen.
        """
        self._path = path
        self._resumed = self._uncut = resumed
        self._file: IO[str] | None = None
        self._started = 0.0

    def __enter__(self) -> "Trace":
        mode = "a+" if self._resumed else "w"
        self._file = open(self._path, mode, encoding="utf-8")
        self._uncut = self._resumed
        self._started = time.monotonic()
        return self

    def __exit__(self, *raised: object) -> None:
        if self._file is not None:
            self._file.close()

    def see(self, progress: js.Progress, snapshot: Snapshot) -> None:
        """Writes one line per iteration of the chunk."""
        terms = {k: np.asarray(v, np.float32) for k, v in progress.recent.items()}
        count = max(map(len, terms.values()), default=0)
        first = progress.step - count + 1
        if self._uncut:
            self._cut(first)
        seconds = round(time.monotonic() - self._started, 3)
        height, width = progress.shape
        lines = [
            {
                "scale": progress.scale,
                "scales": progress.scales,
                "width": width,
                "height": height,
                "iteration": first + i,
                "iterations": progress.steps,
                # The shortest decimal number that rounds to the same float32.
                "terms": {name: float(str(values[i])) for name, values in terms.items()},
                "seconds": seconds,
            }
            for i in range(count)
        ]
        assert self._file is not None
        self._file.write("".join(f"{json.dumps(line)}\n" for line in lines))
        self._file.flush()

    def _cut(self, first: int) -> None:
        """Removes the lines of iterations that will be computed again."""
        self._uncut = False
        assert self._file is not None
        self._file.seek(0)
        lines = [line for line in self._file if _iteration_of(line) < first]
        self._file.truncate(0)
        self._file.write("".join(lines))
        if lines:
            self._started -= json.loads(lines[-1])["seconds"]


def _iteration_of(line: str) -> float:
    try:
        return float(json.loads(line)["iteration"])
    except (ValueError, TypeError, KeyError):
        return math.inf  # an incomplete line
