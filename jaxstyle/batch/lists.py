"""Jobs from pictures and from lists."""

import dataclasses
import itertools
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, Literal

from jaxstyle import files, gallery
from jaxstyle.batch.inputs import PictureFile, with_distinct_folders
from jaxstyle.batch.tables import read_rows
from jaxstyle.errors import InputError
from jaxstyle.jobs import Job
from jaxstyle.recipes.recipe import Recipe

Pairs = Literal["order", "name"]
"""The first photograph goes with the first painting and so on, or files with the same name."""

NAME = "{folder}/{content}_{style}.png"
"""The default pattern of the outputs' names."""

_NO_FACTS: Mapping[str, Any] = {}


def make_jobs(
    contents: Sequence[PictureFile],
    styles: Sequence[PictureFile],
    recipe: Recipe,
    name: str = NAME,
    *,
    pairs: Pairs | None = None,
    facts: Mapping[str, Any] = _NO_FACTS,
) -> list[Job]:
    """Returns a job for every photograph with every painting, or for each pair.

    Args:
        contents: The photographs.
        styles: The paintings.
        recipe: How they are painted.
        name: Pattern of the outputs' names, with ``{content}``, ``{style}``, ``{folder}``,
            ``{suffix}`` and settings.
        pairs: How photographs and paintings are paired; None for all combinations.
        facts: Further entries of the pictures' provenance.

    Raises:
        InputError: The pairs or the pattern do not work, or two jobs have the same output.
    """
    contents = with_distinct_folders(list(contents))
    chosen = _pair(contents, styles, pairs) if pairs else itertools.product(contents, styles)
    jobs = [
        Job(
            recipe=recipe,
            content=content.path,
            styles=(style.path,),
            output=_output(name, content, (style.path,), recipe),
            facts=facts,
        )
        for content, style in chosen
    ]
    _check_distinct(jobs)
    return jobs


def read_jobs(
    path: Path, recipe: Recipe, name: str = NAME, *, facts: Mapping[str, Any] = _NO_FACTS
) -> list[Job]:
    """Reads a list of jobs: a spreadsheet, TOML with ``[[jobs]]``, JSON, or JSON lines.

    A row has ``content``, ``styles`` (in a spreadsheet with ``;`` between several) and any setting
    of a recipe, and may have ``content_mask`` with ``style_masks``, and ``output``. In TOML and
    JSON, settings beside the jobs are their defaults. Paths are relative to the list's folder.

    Args:
        path: The list.
        recipe: The settings that rows do not change.
        name: Pattern of the outputs' names, for rows without one.
        facts: Further entries of the pictures' provenance.

    Raises:
        InputError: The list cannot be read, or a row is not a job; the message says which one.
    """
    jobs = []
    for label, values in read_rows(path):
        try:
            job = _from_row(dict(values), path.parent, recipe, name)
        except InputError as error:
            raise InputError(f"{path}: {label}: {error}") from None
        jobs.append(dataclasses.replace(job, facts=facts))
    if not jobs:
        raise InputError(f"{path}: has no jobs")
    _check_distinct(jobs)
    return jobs


def _pair(
    contents: Sequence[PictureFile], styles: Sequence[PictureFile], pairs: Pairs
) -> list[tuple[PictureFile, PictureFile]]:
    if pairs == "order":
        if len(contents) != len(styles):
            count = f"{len(contents)} photographs for {len(styles)} paintings"
            raise InputError(f"--pairs: {count}; give as many")
        return list(zip(contents, styles, strict=True))
    by_name: dict[tuple[str, str], PictureFile] = {}
    for style in styles:
        if (other := by_name.setdefault(_name_key(style), style)) != style:
            raise InputError(f"--pairs name: {other.path} and {style.path} have the same name")
    for content in contents:
        if _name_key(content) not in by_name:
            raise InputError(f"--pairs name: no painting has the name of {content.path}")
    return [(content, by_name[_name_key(content)]) for content in contents]


def _name_key(picture: PictureFile) -> tuple[str, str]:
    return picture.folder, unicodedata.normalize("NFC", picture.path.stem)


def _from_row(row: dict[str, Any], folder: Path, recipe: Recipe, name: str) -> Job:
    content, styles = _paths(row, "content", folder), _paths(row, "styles", folder)
    guide, masks = _paths(row, "content_mask", folder), _paths(row, "style_masks", folder)
    output = row.pop("output", None)
    if len(content) != 1:
        raise InputError(f"content: {len(content) or 'missing'}; name one photograph")
    if not styles:
        raise InputError("styles: missing; name a painting")
    if len(guide) > 1 or len(masks) != (len(styles) if guide else 0):
        count = f"{len(guide)} for the photograph, {len(masks)} for {len(styles)} painting(s)"
        raise InputError(f"content_mask, style_masks: {count}; give one for each picture")
    if output is not None and not isinstance(output, str):
        raise InputError(f"output {output!r}: not a file name")
    for setting in ("init", "encoder"):  # They may also be a name.
        if isinstance(word := row.get(setting), str):
            path = folder / Path(word).expanduser()
            row[setting] = str(path) if path.is_file() else word
    own = recipe.updated(row)
    named = _check(output) if output else _output(name, PictureFile(content[0]), styles, own)
    return Job(
        recipe=own,
        content=content[0],
        styles=styles,
        output=named,
        content_mask=next(iter(guide), None),
        style_masks=masks,
    )


def _paths(row: dict[str, Any], name: str, folder: Path) -> tuple[Path, ...]:
    """Removes a column with files from a row, and returns their paths."""
    value = row.pop(name, None) or []
    if isinstance(value, str):
        value = [part.strip() for part in value.split(";") if part.strip()]
    if not (isinstance(value, list) and all(isinstance(path, str) for path in value)):
        raise InputError(f"{name} {value!r}: not file names")
    return tuple(gallery.resolve(Path(path).expanduser(), folder) for path in value)


def _output(name: str, content: PictureFile, styles: Sequence[Path], recipe: Recipe) -> str:
    words = recipe.to_table() | {
        "content": content.path.stem,
        "style": "+".join(style.stem for style in styles),
        "folder": content.folder,
        "suffix": content.path.suffix,
    }
    try:
        output = name.format_map(words)
    except (KeyError, ValueError, IndexError, AttributeError, TypeError) as error:
        known = "{content}, {style}, {folder}, {suffix} and settings such as {style_weight}"
        raise InputError(f"--name {name}: not a pattern ({error}); it may have {known}") from None
    return _check(output)


def _check(output: str) -> str:
    if Path(output).suffix.lower() not in files.SUFFIXES:
        raise InputError(f"{output}: not a picture's name; end it with {', '.join(files.SUFFIXES)}")
    if Path(output).is_absolute() or ".." in Path(output).parts:
        raise InputError(f"{output}: is outside the batch's folder; give a name inside it")
    return PurePath(output).as_posix()  # without "./" and "//"


def _check_distinct(jobs: Iterable[Job]) -> None:
    seen: set[str] = set()
    for job in jobs:
        # As some file systems compare names.
        key = unicodedata.normalize("NFC", job.output).casefold()
        if key in seen:
            raise InputError(
                f"{job.output}: two jobs have this output; use more of {{folder}}, {{content}} and "
                "{style} in --name"
            )
        seen.add(key)
