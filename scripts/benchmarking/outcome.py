"""Results as a table and as JSON, with the conditions of the measurement."""

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import jax
from rich.console import Console
from rich.markup import escape
from rich.table import Table

Row = dict[str, str | int | float]
"""Values by heading; the heading names the unit."""


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"


def conditions(cores: int) -> Row:
    """Returns what the numbers depend on beside the options."""
    describe = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(describe, capture_output=True, text=True, cwd=Path(__file__).parent)
    return {
        "commit": commit.stdout.strip(),
        **{name: _version(name) for name in ("jaxstyle", "jax", "jaxlib", "torch")},
        "python": platform.python_version(),
        "device": jax.devices()[0].device_kind,
        "processor": platform.processor() or platform.machine(),
        "cores": f"{cores} of {os.cpu_count()}",
    }


def show(rows: Sequence[Row], facts: Row) -> None:
    """Prints the rows as a table, and the conditions below it."""
    columns = dict.fromkeys(column for row in rows for column in row)
    table = Table(*map(escape, columns))
    for row in rows:
        values = [row.get(column, "") for column in columns]
        table.add_row(*(f"{v:.4g}" if isinstance(v, float) else str(v) for v in values))
    console = Console()
    if not console.is_terminal:
        console.width = 160
    console.print(table)
    console.print(", ".join(f"{name} {value}" for name, value in facts.items()), highlight=False)


def write(path: Path, command: str, rows: Sequence[Row], facts: Row) -> None:
    """Writes the rows, the command and the conditions as JSON."""
    contents = {"command": command, "conditions": facts, "rows": rows}
    path.write_text(json.dumps(contents, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
