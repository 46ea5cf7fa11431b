"""``jaxstyle plot``: plots the loss terms of runs."""

import dataclasses
import itertools
import json
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from tyro.conf import Positional, arg

from jaxstyle import files
from jaxstyle.atomic import replacing
from jaxstyle.cli import report
from jaxstyle.cli.lettering import system_fonts
from jaxstyle.cli.options import Debug, Overwrite
from jaxstyle.cli.report import plain
from jaxstyle.errors import InputError

SUFFIXES = (".pdf", ".png", ".svg")
_NUMBERS = ("scale", "width", "height", "iteration", "seconds")
# The palette of Okabe and Ito, for colour-blind readers as well.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_STYLES = ("-", "--", ":", "-.")
_TITLES = {"tv": "total variation"}
_NAME_WIDTH = 60
_SUM = "sum of the terms"
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
    # Names of files may have dollar signs in them.
    "text.parse_math": False,
    "svg.hashsalt": "jaxstyle",
    "svg.fonttype": "none",
}


class Run(NamedTuple):
    """A trace.

    Attributes:
        name: Name in the legend.
        columns: Arrays by name, one number per iteration.
        terms: Arrays of the weighted loss terms by name.
    """

    name: str
    columns: dict[str, np.ndarray]
    terms: dict[str, np.ndarray]

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
    """Plot the loss terms of runs, from the files of --trace."""

    traces: Annotated[
        Positional[tuple[Path, ...]], arg(metavar="TRACE [TRACE …]", help_behavior_hint="")
    ]
    """Traces (.jsonl); several share the same panels."""
    output: Annotated[Path, arg(aliases=["-o"])]
    """Plot to write: .png, .svg or .pdf."""
    over: Literal["iteration", "seconds"] = "iteration"
    """Quantity on the horizontal axis."""
    overwrite: Overwrite = False
    debug: Debug = False

    def run(self) -> int:
        """Runs the command and returns its exit code."""
        if not self.traces:
            raise InputError("no trace: give a file written by --trace")
        files.check_output(self.output, overwrite=self.overwrite, suffixes=SUFFIXES)
        try:
            import matplotlib as mpl
        except ImportError:
            raise InputError(
                f'{self.output}: a plot needs matplotlib; pip install "jaxstyle[plot]"'
            ) from None
        names = _names(self.traces)
        runs = [read_trace(path, name) for path, name in zip(self.traces, names, strict=True)]
        suffix = self.output.suffix.lower()
        # No date, so that the same traces give the same bytes.
        dates: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
        with (
            mpl.rc_context(_SETTINGS),
            replacing(self.output) as temporary,
        ):
            figure = draw(runs, self.over)
            figure.savefig(temporary, format=suffix[1:], dpi=160, metadata=dates.get(suffix))
        report.print_path(self.output)
        return 0


def read_trace(path: Path, name: str) -> Run:
    """Reads the complete lines of a trace.

    Raises:
        InputError: The file is not a trace, or has no complete line.
    """
    try:
        *lines, _ = path.read_bytes().split(b"\n")
        rows = [json.loads(line) for line in lines]
        columns = {key: np.array([float(row[key]) for row in rows]) for key in _NUMBERS}
        terms = {
            key: np.array([float(row["terms"][key]) for row in rows])
            for key in dict.fromkeys(key for row in rows for key in row["terms"])
        }
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError(f"{path}: is not a trace; give a file written by --trace") from error
    if not rows:
        raise InputError(f"{path}: is empty; wait for the first iterations of the run")
    return Run(name, columns, terms)


def _families() -> list[str]:
    """Returns matplotlib's font, and installed fonts for missing characters."""
    from matplotlib.font_manager import FontProperties, fontManager

    paths = [str(font.path) for font in system_fonts()]
    for path in paths:
        fontManager.addfont(path)
    return ["DejaVu Sans", *(FontProperties(fname=path).get_name() for path in paths)]


def _names(paths: Sequence[Path]) -> list[str]:
    """Returns names for the legend: with folders if the file names are not unique."""
    stems = [path.stem for path in paths]
    names = stems if len({*stems}) == len(stems) else [str(path) for path in paths]
    return ["\n".join(textwrap.wrap(plain(name), _NAME_WIDTH)) for name in names]


def draw(runs: Sequence[Run], over: str = "iteration") -> Any:
    """Returns a figure with a panel for each term and one for the sum; lines break at scales."""
    from matplotlib.figure import Figure

    found = dict.fromkeys(name for run in runs for name in run.terms)
    terms = [name for name in found if any(np.any(run.terms.get(name, 0)) for run in runs)]
    panels = [*terms, _SUM] if len(terms) > 1 else terms or [_SUM]
    rows = (len(panels) + 1) // 2
    columns = min(2, len(panels))
    figure = Figure(figsize=(5.2 * columns, 0.6 + 2.9 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, squeeze=False)
    for ax, name in zip(axes.flat, panels, strict=False):
        _draw_panel(ax, runs, name, over)
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    # The lowest panel of each column has the label.
    for column in range(columns):
        lowest = axes[len(range(column, len(panels), columns)) - 1, column]
        lowest.set_xlabel(over if over == "iteration" else "seconds since the start")
        lowest.tick_params(labelbottom=True)
    if len(runs) > 1:
        handles, labels = axes.flat[len(panels) - 1].get_legend_handles_labels()
        longest = max(len(line) for label in labels for line in label.split("\n"))
        ncols = max(1, min(4, len(runs), 120 // (longest + 6)))
        look: dict[str, Any] = {"ncols": ncols, "prop": {"family": _families()}}
        figure.legend(handles, labels, loc="outside upper left", **look)
    return figure


def _draw_panel(ax: Any, runs: Sequence[Run], name: str, over: str) -> None:
    ax.set_title(_TITLES.get(name, name.replace("_", " ")), loc="left", pad=20)
    shared = over == "iteration" and len({tuple(run.scales) for run in runs}) == 1
    drawn = [(run, _values(run, name)) for run in runs]
    for number, (run, values) in enumerate(drawn):
        if values is None:
            continue
        x = run.columns[over]
        look: dict[str, Any] = {
            "color": _COLOURS[number % len(_COLOURS)],
            "linestyle": _STYLES[number // len(_COLOURS) % len(_STYLES)],
        }
        for first, last, _ in run.scales:
            part = slice(first, last + 1)
            label = run.name if first == 0 else None
            ax.plot(x[part], values[part], lw=1.8, label=label, **look)
            # Marks the start of a scale, and a scale with a single iteration.
            ax.plot(x[first], values[first], "o", ms=3.5, color=look["color"])
    if all(np.any(values > 0) for _, values in drawn if values is not None):
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter(_between_powers)
    ax.margins(x=0.01)
    _mark_scales(ax, runs[0], over, named=shared or len(runs) == 1)


def _mark_scales(ax: Any, run: Run, over: str, *, named: bool) -> None:
    """Shades every other scale and writes its size above, if all runs have the same scales."""
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
    """Returns a label for 2 and 5 times a power of ten; an empty one for others."""
    digit = value / 10 ** math.floor(math.log10(value))
    return f"{value:g}" if round(digit, 3) in (2, 5) else ""


def _values(run: Run, name: str) -> np.ndarray | None:
    """Returns a term of a run, or the sum of its terms; None if the run lacks the term."""
    if name == _SUM:
        return np.sum([*run.terms.values()], axis=0)
    return run.terms.get(name)
