"""What a measurement leaves: a table for people, JSON for programs, and its circumstances."""

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import jax
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import jaxstyle as js

Row = dict[str, str | int | float | None]
"""Columns by their heading, which names the unit."""


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def circumstances(cores: int) -> Row:
    """What a number depends on beside the code."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
    )
    return {
        "commit": commit.stdout.strip() or None,
        "jaxstyle": js.__version__,
        "jax": jax.__version__,
        "jaxlib": _version("jaxlib"),
        "torch": _version("torch"),
        "python": platform.python_version(),
        "device": jax.devices()[0].device_kind,
        "processor": platform.processor() or platform.machine(),
        "cores": cores,
        "cores of the machine": os.cpu_count(),
    }


def _cell(value: str | int | float | None) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def show(rows: Sequence[Row], facts: Row) -> None:
    """Prints the rows as a table, and the circumstances under it."""
    columns = dict.fromkeys(column for row in rows for column in row)
    table = Table(*map(escape, columns))
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    console = Console()
    if not console.is_terminal:
        console.width = 160
    console.print(table)
    console.print(", ".join(f"{name} {value}" for name, value in facts.items()), highlight=False)


def write(path: Path, command: str, rows: Sequence[Row], facts: Row) -> None:
    """Writes the rows and their circumstances as JSON."""
    told = {"command": command, "circumstances": facts, "rows": rows}
    path.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
