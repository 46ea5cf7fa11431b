"""Lists of jobs as files: spreadsheets (CSV, TSV), TOML, JSON, and JSON lines."""

import codecs
import csv
import io
import itertools
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from jaxstyle.errors import InputError
from jaxstyle.recipes.words import parse_setting

LISTS = (".csv", ".tsv", ".toml", ".json", ".jsonl", ".ndjson")
_SPREADSHEETS = (".csv", ".tsv")
_TEXTS = ("content", "styles", "content_mask", "style_masks", "output", "init", "encoder")
_SEPARATORS = ",;\t"


class Row(NamedTuple):
    """A row of a list.

    Attributes:
        label: Its name in messages, such as ``row 3``.
        values: Its values by column.
    """

    label: str
    values: dict[str, Any]


def read_rows(path: Path) -> list[Row]:
    """Reads the rows of a list of jobs.

    Args:
        path: The list; its suffix is one of ``LISTS``.

    Raises:
        InputError: It cannot be read, or is not a list.
    """
    kind = path.suffix.lower()
    try:
        if kind in _SPREADSHEETS:
            return list(_read_spreadsheet(read_text(path), "\t" if kind == ".tsv" else None))
        text = path.read_bytes().decode("utf-8-sig")
        if kind in (".jsonl", ".ndjson"):
            document: Any = [json.loads(line) for line in text.split("\n") if line.strip()]
        else:
            document = tomllib.loads(text) if kind == ".toml" else json.loads(text)
        return _number(document)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except RecursionError:
        raise InputError(f"{path}: not a list of jobs: too deeply nested") from None
    except (ValueError, csv.Error) as error:
        raise InputError(f"{path}: not a list of jobs: {error}") from None


def read_text(path: Path) -> str:
    """Reads a text file as spreadsheet programs write it: UTF-8, UTF-16 or Windows-1252.

    Raises:
        OSError: It cannot be read.
    """
    data = path.read_bytes()
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def _number(document: Any) -> list[Row]:
    """Returns the rows of a document: its list, or its ``jobs`` with the rest as defaults."""
    defaults: dict[str, Any] = {}
    if isinstance(document, dict):
        defaults = {name: value for name, value in document.items() if name != "jobs"}
        document = document.get("jobs")
    if not isinstance(document, list) or not all(isinstance(row, dict) for row in document):
        raise InputError("not a list of jobs; TOML has them as [[jobs]], JSON as a list of objects")
    return [Row(f"job {i}", {**defaults, **row}) for i, row in enumerate(document, 1)]


def _read_spreadsheet(text: str, separator: str | None) -> Iterator[Row]:
    first = text.partition("\n")[0].strip()
    if match := re.fullmatch(r'"?sep=(.)"?', first, re.IGNORECASE):  # as Excel writes and reads it
        separator, text = match[1], text.partition("\n")[2]
        first = text.partition("\n")[0].strip()
    if separator is None:
        widths = {s: len(next(csv.reader([first], delimiter=s), [])) for s in _SEPARATORS}
        separator = max(_SEPARATORS, key=lambda s: widths[s])
    # A quoted cell may contain line ends.
    table = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    header = [re.sub(r"[\s-]+", "_", cell.strip().lower()) for cell in next(table, [])]
    for name in filter(None, header):
        if header.count(name) > 1:
            raise InputError(f"column {name}: is there twice; leave one of them out")
    for number, cells in enumerate(table, 2):
        label = f"row {number}"
        values = {}
        for name, cell in itertools.zip_longest(header, map(str.strip, cells), fillvalue=""):
            if cell and not name:
                raise InputError(f"{label}: {cell!r} is in a column without a name; name it")
            if cell:
                values[name] = _parse_cell(name, cell)
        if values:
            yield Row(label, values)


def _parse_cell(name: str, cell: str) -> Any:
    """Returns a cell as a setting: also TRUE, .5 and +60, as spreadsheet programs write them."""
    if name in _TEXTS:
        return cell
    value = parse_setting(name, cell)
    if isinstance(value, str):
        if cell.lower() in ("true", "false"):
            return cell.lower() == "true"
        if re.fullmatch(r"[+-]?\d+", cell):
            return int(cell)
        if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", cell):
            return float(cell)
    return value
