"""``jaxstyle plot``: what traces tell, drawn."""

import dataclasses
import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from tyro.conf import Positional, arg

import jaxstyle as js
from jaxstyle import files
from jaxstyle.atomic import replacing
from jaxstyle.cli import report
from jaxstyle.cli.options import Debug, Overwrite
from jaxstyle.errors import InputError

SUFFIXES = (".pdf", ".png", ".svg")
_NUMBERS = ("scale", "width", "height", "iteration", "seconds", *js.LossTerms._fields)
# Okabe and Ito's, which everybody can tell apart.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_STYLES = ("-", "--", ":", "-.")
_TITLES = {"content": "content", "style": "style", "tv": "total variation", "extra": "extra"}
_SETTINGS: dict[Any, Any] = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#e4e4e4",
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "legend.frameon": False,
    "svg.hashsalt": "jaxstyle",
    "svg.fonttype": "none",
}


class Run(NamedTuple):
    """A trace.

    Attributes:
        name: What the legend calls it.
        columns: Arrays by name, a number an iteration.
    """

    name: str
    columns: dict[str, np.ndarray]

    @property
    def scales(self) -> list[tuple[int, int, str]]:
        """First and last iteration, counted from 0, and size of each scale."""
        number = self.columns["scale"]
        starts = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(number)]
        width, height = (self.columns[name].astype(int) for name in ("width", "height"))
        return [
            (first, end - 1, f"{width[first]}×{height[first]}")
            for first, end in itertools.pairwise(starts)
        ]


@dataclasses.dataclass(frozen=True)
class Plot:
    """Plot the loss terms of runs, as --trace has written them."""

    traces: Annotated[
        Positional[tuple[Path, ...]], arg(metavar="TRACE [TRACE …]", help_behavior_hint="")
    ]
    """The .jsonl file of a run; several are drawn over each other."""
    output: Annotated[Path, arg(aliases=["-o"])]
    """The plot to write: .png, .svg or .pdf."""
    over: Literal["iteration", "seconds"] = "iteration"
    """What runs from left to right."""
    overwrite: Overwrite = False
    debug: Debug = False

    def run(self) -> int:
        """Runs the command and returns its exit code."""
        if not self.traces:
            raise InputError("no trace: name the file that --trace has written")
        files.check_output(self.output, overwrite=self.overwrite, suffixes=SUFFIXES)
        try:
            import matplotlib as mpl
        except ImportError:
            told = 'a plot needs matplotlib; pip install "jaxstyle[plot]"'
            raise InputError(f"{self.output}: {told}") from None
        names = _names(self.traces)
        runs = [read_trace(path, name) for path, name in zip(self.traces, names, strict=True)]
        suffix = self.output.suffix.lower()
        # No date: the same traces give the same bytes.
        dates: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
        with mpl.rc_context(_SETTINGS), replacing(self.output) as temporary:
            figure = draw(runs, self.over)
            figure.savefig(temporary, format=suffix[1:], dpi=160, metadata=dates.get(suffix))
        report.print_path(self.output)
        return 0


def read_trace(path: Path, name: str) -> Run:
    """Reads a trace; of one that is being written, the whole lines.

    Raises:
        InputError: It is no trace.
    """
    try:
        *lines, _ = path.read_bytes().split(b"\n")
        rows = [json.loads(line) for line in lines]
        columns = {key: np.array([float(row[key]) for row in rows]) for key in _NUMBERS}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError(f"{path}: no trace of a run; name a file that --trace wrote") from error
    if not rows:
        raise InputError(f"{path}: has no line yet; wait for the run's first iterations")
    return Run(name, columns)


def _names(paths: Sequence[Path]) -> list[str]:
    """Returns the files' names, with their folders where these alone tell them apart."""
    stems = [path.stem for path in paths]
    return stems if len({*stems}) == len(stems) else [str(path) for path in paths]


def draw(runs: Sequence[Run], over: str = "iteration") -> Any:
    """Returns a figure: a panel a term and one for their sum, each run a line, broken at scales."""
    from matplotlib.figure import Figure

    terms = [name for name in _TITLES if any(np.any(run.columns[name]) for run in runs)]
    panels = [*terms, "loss"] if len(terms) > 1 else terms or ["loss"]
    rows = (len(panels) + 1) // 2
    columns = min(2, len(panels))
    figure = Figure(figsize=(5.2 * columns, 0.6 + 2.9 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, squeeze=False)
    for ax, name in zip(axes.flat, panels, strict=False):
        _draw_panel(ax, runs, name, over)
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    # The lowest panel of each column says what is below it.
    for column in range(columns):
        lowest = axes[len(range(column, len(panels), columns)) - 1, column]
        lowest.set_xlabel(over if over == "iteration" else "seconds since the start")
        lowest.tick_params(labelbottom=True)
    if len(runs) > 1:
        handles, labels = axes.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=min(4, len(runs)))
    return figure


def _draw_panel(ax: Any, runs: Sequence[Run], name: str, over: str) -> None:
    ax.set_title("loss, the sum" if name == "loss" else _TITLES[name], loc="left", pad=20)
    shared = over == "iteration" and len({tuple(run.scales) for run in runs}) == 1
    for number, run in enumerate(runs):
        values = _values(run, name)
        x = run.columns[over]
        look: dict[str, Any] = {
            "color": _COLOURS[number % len(_COLOURS)],
            "linestyle": _STYLES[number // len(_COLOURS) % len(_STYLES)],
        }
        for first, last, _ in run.scales:
            part = slice(first, last + 1)
            label = run.name if first == 0 else None
            ax.plot(x[part], values[part], lw=1.8, label=label, **look)
            # Where a scale begins, and all of one with a single iteration.
            ax.plot(x[first], values[first], "o", ms=3.5, color=look["color"])
    if all(np.any(_values(run, name) > 0) for run in runs):
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter(_between_powers)
    ax.margins(x=0.01)
    _mark_scales(ax, runs[0], over, named=shared or len(runs) == 1)


def _mark_scales(ax: Any, run: Run, over: str, *, named: bool) -> None:
    """Shades every other scale and writes its size above, if the runs have them in common."""
    if not named:
        return
    x = run.columns[over]
    for number, (first, last, size) in enumerate(run.scales):
        left = (x[first] + x[first - 1]) / 2 if first else x[0]
        right = (x[last] + x[last + 1]) / 2 if last + 1 < len(x) else x[-1]
        if number % 2:
            ax.axvspan(left, right, color="#f3f1ec", lw=0, zorder=0)
        ax.annotate(
            size,
            ((left + right) / 2, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 4),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color="#666666",
        )


def _between_powers(value: float, _: int) -> str:
    """Returns a label for twice and five times a power of ten, no other."""
    digit = value / 10 ** math.floor(math.log10(value))
    return f"{value:g}" if round(digit, 3) in (2, 5) else ""


def _values(run: Run, name: str) -> np.ndarray:
    if name == "loss":
        return np.sum([run.columns[term] for term in js.LossTerms._fields], axis=0)
    return run.columns[name]
