"""Messages and progress bars on stderr; tables and paths on stdout, or one JSON object."""

import contextlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

import jax
from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from jaxstyle.jobs.outcome import progress_terms
from jaxstyle.run.progress import Progress as RunProgress

_LONGEST = 1000


def console(*, quiet: bool = False) -> Console:
    """Returns the console for everything but results: stderr, so that stdout can be piped."""
    return Console(
        stderr=True, quiet=quiet, highlight=False, soft_wrap=True, markup=False, emoji=False
    )


def plain(text: object) -> str:
    r"""Returns untrusted text, such as a file name, as one printable line.

    Control characters are escaped; the middle of very long text is left out.

    Examples:
        >>> plain("a\x1b[2Jb\n")
        'a\\x1b[2Jb\\n'
    """
    line = str(text)
    if len(line) > _LONGEST:
        line = f"{line[: _LONGEST * 3 // 4]} … {line[-_LONGEST // 4 :]}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


_ANSWER: ContextVar[dict[str, Any] | None] = ContextVar("answer", default=None)


@contextlib.contextmanager
def answering() -> Iterator[dict[str, Any]]:
    """Collects results for ``--json`` and prints them as one JSON object at the end."""
    answer: dict[str, Any] = {"exit_code": 1, "paths": [], "errors": []}
    token = _ANSWER.set(answer)
    try:
        yield answer
    finally:
        _ANSWER.reset(token)
        print(json.dumps(answer, default=str), flush=True)


def answer(**facts: Any) -> None:
    """Adds values to the JSON object; does nothing without ``--json``."""
    if (found := _ANSWER.get()) is not None:
        found.update(facts)


def print_error(message: object) -> None:
    """Prints an error as one line."""
    if (found := _ANSWER.get()) is not None:
        found["errors"].append(str(message))
    print(f"jaxstyle: {plain(message)}", file=sys.stderr)


def print_path(path: Path) -> None:
    """Prints the path of a result; on a terminal, control characters are escaped."""
    if (found := _ANSWER.get()) is not None:
        found["paths"].append(str(path))
        return
    terminal = sys.stdout is not None and sys.stdout.isatty()
    print(plain(path) if terminal else path, flush=True)


class _WithLine(Progress):
    """A bar with a line of text below it."""

    line = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        if self.line:
            yield Text(self.line, no_wrap=True, overflow="ellipsis")


B = TypeVar("B", bound="Bar")


class Bar:
    """A progress bar with the time left."""

    def __init__(self, console: Console) -> None:
        self._bar = _WithLine(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=console.quiet,
            # Results on a terminal are printed above the bar; those in a file are unchanged.
            redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
        )
        self._task = self._bar.add_task("compiling", total=1.0)

    def __enter__(self: B) -> B:
        self._bar.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._bar.stop()

    def show(self, fraction: float, description: str = "painting", line: str = "") -> None:
        """Shows the finished fraction, in [0, 1], and a line of text below the bar."""
        self._bar.line = line
        self._bar.update(self._task, completed=fraction, description=description)


class RunBar(Bar):
    """The progress bar of a run, with scale and iteration; loss terms, rate and memory below.

    Prints one line per scale if stderr is not a terminal.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._terminal = console.is_terminal
        self._bar.disable |= not self._terminal
        self._last: tuple[RunProgress, float] | None = None
        self._scale_began = (0, self._bar.get_time())

    def __exit__(self, *raised: object) -> None:
        super().__exit__(*raised)
        self._print_scale()

    def update(self, progress: RunProgress) -> None:
        """Shows the progress of the run."""
        rate, now = "", self._bar.get_time()
        if self._last is not None:
            last, then = self._last
            if last.scale != progress.scale:
                self._print_scale()
                self._scale_began = (last.step, then)
            elif now > then:
                rate = _rate((progress.step - last.step) / (now - then))
        self._last = progress, now
        height, width = progress.shape
        self.show(
            progress.fraction,
            f"scale {progress.scale}/{progress.scales}, {width}×{height}, "
            f"iteration {progress.step}/{progress.steps}",
            "  ".join(filter(None, (_terms(progress), rate, _memory()))),
        )

    def _print_scale(self) -> None:
        """Prints a line about the current scale if there is no bar."""
        if self._terminal or self._last is None:
            return
        progress, now = self._last
        height, width = progress.shape
        before, began = self._scale_began
        self._bar.console.print(
            f"scale {progress.scale}/{progress.scales}, {width}×{height}: "
            f"{progress.step - before} iterations in {now - began:.1f} s, {_terms(progress)}"
        )


def _rate(rate: float) -> str:
    return f"{rate:.2f} it/s" if rate >= 1 else f"{1 / rate:.1f} s/it"


def _terms(progress: RunProgress) -> str:
    # A term that is 0 has a weight of 0.
    terms = progress_terms(progress)
    return "  ".join(f"{name} {value:.3g}" for name, value in terms.items() if value)


def _memory() -> str:
    """Returns the memory in use: of the device if JAX knows it, else of this process."""
    used = (jax.local_devices()[0].memory_stats() or {}).get("bytes_in_use") or _resident()
    return f"{used / 1e9:.1f} GB" if used else ""


def _resident() -> int:
    """Returns the resident memory of this process in bytes; 0 if the system does not report it."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    if sys.platform != "darwin":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # the peak


class DownloadBar:
    """A progress bar of a download, with the interface that ``pretrained.download`` expects."""

    def __init__(self, console: Console) -> None:
        self.total = 0
        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=console, disable=console.quiet)
        self._task = self._bar.add_task("download", total=None)

    def update(self, count: int) -> None:
        """Advances the bar by ``count`` bytes."""
        self._bar.start()
        self._bar.update(self._task, total=self.total or None, advance=count)

    def close(self) -> None:
        """Ends the bar."""
        self._bar.stop()


def print_table(rows: Sequence[Sequence[object]], header: Sequence[str]) -> None:
    """Prints a table on stdout, without truncating cells."""
    if _ANSWER.get() is not None:
        answer(rows=[dict(zip(header, row, strict=True)) for row in rows])
        return
    table = Table(*header, box=None, pad_edge=False)
    cells = [[Text(plain(cell)) for cell in row] for row in rows]
    for row in cells:
        table.add_row(*row)
    columns = zip(map(Text, header), *cells, strict=True)
    needed = sum(max(cell.cell_len for cell in column) + 2 for column in columns)
    width = max(Console().width, needed)
    Console(width=width, highlight=False).print(table)
