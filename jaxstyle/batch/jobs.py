"""Jobs: which pictures are to be painted how, and into which files."""

import csv
import dataclasses
import glob
import hashlib
import itertools
import json
import tomllib
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image as Pillow

from jaxstyle.errors import InputError
from jaxstyle.files.output import SUFFIXES
from jaxstyle.recipes.recipe import Recipe

LISTS = (".csv", ".toml", ".jsonl")
_PICTURES = {*SUFFIXES, ".bmp", ".gif", ".avif", ".heic", ".jp2"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """One picture to paint.

    Attributes:
        content: The photograph.
        styles: The painting, or several that are blended alike.
        recipe: How it is painted.
        output: Name of the picture to write, relative to the batch's folder.
    """

    content: Path
    styles: tuple[Path, ...]
    recipe: Recipe
    output: str

    @property
    def digest(self) -> str:
        """What tells whether settings or pictures are others than those of a job done before."""
        files = [_stamp(path) for path in (self.content, *self.styles)]
        text = json.dumps([files, self.recipe.to_table()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @property
    def sources(self) -> dict[str, Any]:
        """What the picture tells of where it comes from."""
        return {"content": self.content.name, "styles": [style.name for style in self.styles]}


def _stamp(path: Path) -> list[object]:
    try:
        found = path.stat()
    except OSError:
        return [path.name]
    return [path.name, found.st_size, found.st_mtime_ns]


def find_pictures(paths: Iterable[Path]) -> list[Path]:
    """Returns the pictures that files, folders and patterns name, without repeats.

    Raises:
        InputError: There is none behind a name.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inside = [p for p in sorted(path.iterdir()) if p.suffix.lower() in _PICTURES]
        elif path.exists() or not glob.has_magic(str(path)):
            inside = [path]
        else:
            inside = [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]
        if not inside:
            raise InputError(f"{path}: no picture there")
        found |= dict.fromkeys(inside)
    return list(found)


def make_jobs(
    contents: Sequence[Path], styles: Sequence[Path], recipe: Recipe, name: str, *, pairs: bool
) -> list[Job]:
    """Returns a job for every photograph with every painting, or for each with its own.

    Args:
        contents: The photographs.
        styles: The paintings.
        recipe: How all are painted.
        name: Pattern of the outputs' names, with ``{content}``, ``{style}`` and settings.
        pairs: Whether the first goes with the first, the second with the second, and so on.

    Raises:
        InputError: Pairs of different numbers, a pattern that is none, or one name for two jobs.
    """
    if pairs and len(contents) != len(styles):
        count = f"{len(contents)} photographs for {len(styles)} paintings"
        raise InputError(f"--pairs: {count}; give as many")
    chosen = zip(contents, styles, strict=True) if pairs else itertools.product(contents, styles)
    jobs = [_job(content, (style,), recipe, name) for content, style in chosen]
    _check_names(jobs)
    return jobs


def read_jobs(path: Path, recipe: Recipe, name: str) -> list[Job]:
    """Reads a list of jobs: CSV with a header, TOML with ``[[jobs]]``, or a JSON object a line.

    A row has ``content``, ``styles`` (in CSV with ``;`` between several), any setting of a recipe,
    and may have ``output``; paths are relative to the list's folder.

    Args:
        path: The list.
        recipe: What the rows' settings change.
        name: Pattern of the outputs' names, where a row has none.

    Raises:
        InputError: The list cannot be read, or a row is no job; the line says which.
    """
    jobs = []
    for number, row in enumerate(_rows(path), 1):
        try:
            jobs.append(_from_row(dict(row), path.parent, recipe, name))
        except InputError as error:
            raise InputError(f"{path}: job {number}: {error}") from None
    if not jobs:
        raise InputError(f"{path}: no jobs in it")
    _check_names(jobs)
    return jobs


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".csv":
            rows = [_cells(row) for row in csv.DictReader(text.splitlines())]
        elif path.suffix.lower() == ".toml":
            rows = tomllib.loads(text).get("jobs")
        else:
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except (ValueError, csv.Error, RecursionError) as error:
        raise InputError(f"{path}: no list of jobs: {error}") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{path}: no list of jobs; a TOML file has them as [[jobs]]")
    return rows


def _cells(row: dict[Any, Any]) -> dict[str, Any]:
    """Returns a row of CSV with numbers and truths as such; empty cells are left out."""
    if None in row:
        raise ValueError("a row has more cells than the header")
    meant = {k: _cell(v) if k not in ("content", "styles", "output") else v for k, v in row.items()}
    return {k: v for k, v in meant.items() if v not in ("", None)}


def _cell(text: str | None) -> Any:
    try:
        return json.loads(text or '""')
    except ValueError:
        return text


def _from_row(row: dict[str, Any], folder: Path, recipe: Recipe, name: str) -> Job:
    content, styles = row.pop("content", None), row.pop("styles", None)
    output = row.pop("output", None)
    if isinstance(styles, str):
        styles = [part.strip() for part in styles.split(";")]
    if not isinstance(content, str):
        raise InputError("content: missing; name a photograph")
    if not (isinstance(styles, list) and styles and all(isinstance(s, str) for s in styles)):
        raise InputError("styles: missing; name a painting")
    if output is not None and not isinstance(output, str):
        raise InputError(f"output {output!r}: no name of a file")
    paths = tuple(folder / style for style in styles)
    return _job(folder / content, paths, recipe.updated(row), output or name, named=bool(output))


def _job(
    content: Path, styles: tuple[Path, ...], recipe: Recipe, name: str, *, named: bool = False
) -> Job:
    words = recipe.to_table() | {
        "content": content.stem,
        "style": "+".join(style.stem for style in styles),
    }
    try:
        output = name if named else name.format_map(words)
    except (KeyError, ValueError, IndexError, AttributeError, TypeError) as error:
        known = "{content}, {style} and settings such as {style_weight}"
        raise InputError(f"--name {name}: no pattern ({error}); it has {known}") from None
    if Path(output).suffix.lower() not in SUFFIXES:
        raise InputError(f"{output}: no picture's name; end it with {', '.join(SUFFIXES)}")
    if Path(output).is_absolute() or ".." in Path(output).parts:
        raise InputError(f"{output}: leads out of the batch's folder; give a name below it")
    return Job(content=content, styles=styles, recipe=recipe, output=output)


def _check_names(jobs: Iterable[Job]) -> None:
    seen: set[str] = set()
    for job in jobs:
        key = job.output.casefold()  # as some file systems see it
        if key in seen:
            raise InputError(f"{job.output}: two jobs would write it; tell them apart by --name")
        seen.add(key)


def in_order(jobs: Iterable[Job]) -> list[Job]:
    """Returns jobs so that those which share a program, and then a painting, follow each other."""

    def key(job: Job) -> tuple[str, ...]:
        return (*program_of(job), *map(str, job.styles), job.output)

    return sorted(jobs, key=key)


def program_of(job: Job) -> tuple[str, ...]:
    """Returns what jobs that share a compiled program have in common: settings and sizes."""
    shapes = (str(_size(path)) for path in (job.content, *job.styles))
    return (repr(job.recipe.to_table()), *shapes)


@cache
def _size(path: Path) -> tuple[int, int]:
    try:
        with Pillow.open(path) as picture:
            return picture.size
    except Exception:  # The job itself will say what is wrong with it.
        return 0, 0


def shard_of(jobs: Sequence[Job], index: int, count: int) -> list[Job]:
    """Returns one of ``count`` shares of jobs in order: neighbours stay together.

    Args:
        jobs: All jobs, in the same order everywhere.
        index: Which share, from 0.
        count: Number of shares.
    """
    return list(jobs[index * len(jobs) // count : (index + 1) * len(jobs) // count])
