"""Where jobs come from: folders of pictures, and lists in files."""

import csv
import dataclasses
import glob
import io
import itertools
import json
import os
import tomllib
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path, PurePath
from typing import Any

from jaxstyle import files
from jaxstyle.batch.jobs import Job
from jaxstyle.errors import InputError
from jaxstyle.recipes.recipe import Recipe
from jaxstyle.recipes.words import parse_setting

LISTS = (".csv", ".toml", ".jsonl")
_FILES = ("content", "styles", "content_mask", "style_masks")


def find_pictures(paths: Iterable[Path], made: Collection[Path] = ()) -> list[Path]:
    """Returns the pictures that files, folders and patterns name, without repeats.

    Args:
        paths: The files, folders and patterns.
        made: Real paths of pictures that a batch has made; it leaves them out of folders and
            patterns.

    Raises:
        InputError: There is none behind a name.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_file() or not (path.is_dir() or glob.has_magic(str(path))):
            found[path] = None
            continue
        inside = [p for p in _inside(path) if not made or Path(os.path.realpath(p)) not in made]
        if not inside:
            raise InputError(f"{path}: no picture there")
        found |= dict.fromkeys(inside)
    return list(found)


def _inside(path: Path) -> list[Path]:
    if path.is_dir():
        return [p for p in sorted(path.iterdir()) if files.has_picture_suffix(p)]
    return [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]


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
    and may have ``content_mask`` with ``style_masks``, and ``output``; paths are relative to the
    list's folder.

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
        text = path.read_bytes().decode("utf-8-sig")
        if path.suffix.lower() == ".csv":
            # Its own line ends, of which quoted cells may have some.
            table = csv.DictReader(io.StringIO(text, newline=""))
            rows = [_cells(row) for row in table]
        elif path.suffix.lower() == ".toml":
            rows = tomllib.loads(text).get("jobs")
        else:
            rows = [json.loads(line) for line in text.split("\n") if line.strip()]
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except (ValueError, csv.Error, RecursionError) as error:
        raise InputError(f"{path}: no list of jobs: {error}") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{path}: no list of jobs; a TOML file has them as [[jobs]]")
    return rows


def _cells(row: dict[Any, Any]) -> dict[str, Any]:
    """Returns a row of CSV with settings as such; empty cells are left out."""
    if None in row:
        raise ValueError("a row has more cells than the header")
    full = {name: cell for name, cell in row.items() if cell}
    return {
        name: cell if name in (*_FILES, "output") else parse_setting(name, cell)
        for name, cell in full.items()
    }


def _from_row(row: dict[str, Any], folder: Path, recipe: Recipe, name: str) -> Job:
    content, styles = _paths(row, "content", folder), _paths(row, "styles", folder)
    guide, masks = _paths(row, "content_mask", folder), _paths(row, "style_masks", folder)
    output = row.pop("output", None)
    if len(content) != 1:
        raise InputError(f"content: {len(content) or 'missing'}; name one photograph")
    if not styles:
        raise InputError("styles: missing; name a painting")
    if len(guide) > 1 or len(masks) != (len(styles) if guide else 0):
        count = f"{len(guide)} of the photograph, {len(masks)} for {len(styles)} painting(s)"
        raise InputError(f"content_mask, style_masks: {count}; give one for each picture")
    if output is not None and not isinstance(output, str):
        raise InputError(f"output {output!r}: no name of a file")
    for setting in ("init", "encoder"):  # A file's name, or another.
        if isinstance(word := row.get(setting), str) and (folder / word).is_file():
            row[setting] = str(folder / word)
    job = _job(content[0], styles, recipe.updated(row), output or name, named=bool(output))
    return dataclasses.replace(job, content_mask=next(iter(guide), None), style_masks=masks)


def _paths(row: dict[str, Any], name: str, folder: Path) -> tuple[Path, ...]:
    """Takes the files out of a row that one of its columns names."""
    named = row.pop(name, None) or []
    if isinstance(named, str):
        named = [part.strip() for part in named.split(";") if part.strip()]
    if not (isinstance(named, list) and all(isinstance(path, str) for path in named)):
        raise InputError(f"{name} {named!r}: no names of files")
    return tuple(folder / path for path in named)


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
    if Path(output).suffix.lower() not in files.SUFFIXES:
        raise InputError(f"{output}: no picture's name; end it with {', '.join(files.SUFFIXES)}")
    if Path(output).is_absolute() or ".." in Path(output).parts:
        raise InputError(f"{output}: leads out of the batch's folder; give a name below it")
    output = PurePath(output).as_posix()  # without what paths may have and names do not
    return Job(content=content, styles=styles, recipe=recipe, output=output)


def _check_names(jobs: Iterable[Job]) -> None:
    seen: set[str] = set()
    for job in jobs:
        # As some file systems see it.
        key = unicodedata.normalize("NFC", job.output).casefold()
        if key in seen:
            raise InputError(f"{job.output}: two jobs would write it; tell them apart by --name")
        seen.add(key)
