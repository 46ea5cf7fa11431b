"""A run's loss terms in a file: a line of JSON an iteration, as soon as it is known."""

import json
import time
from pathlib import Path
from typing import IO

import numpy as np

import jaxstyle as js
from jaxstyle.cli.watch.watcher import Moment

SUFFIXES = (".jsonl",)


class Trace:
    """Writes whole lines, so that what is there can be read at any moment."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None
        self._started = 0.0

    def __enter__(self) -> "Trace":
        self._file = open(self._path, "w", encoding="utf-8")
        self._started = time.monotonic()
        return self

    def __exit__(self, *raised: object) -> None:
        if self._file is not None:
            self._file.close()

    def see(self, moment: Moment) -> None:
        """Writes the chunk's lines."""
        progress, seconds = moment.progress, round(time.monotonic() - self._started, 3)
        first = progress.step - len(progress.recent.style) + 1
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

    def end(self, moment: Moment, result: js.Result) -> None:
        """Does nothing: everything is written."""


def _rows(terms: js.LossTerms) -> list[dict[str, np.float32]]:
    columns = zip(*(np.asarray(term, np.float32) for term in terms), strict=True)
    return [dict(zip(js.LossTerms._fields, row, strict=True)) for row in columns]
