"""Pictures that files, folders, patterns and text files name."""

import glob
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from jaxstyle import files, gallery
from jaxstyle.batch.tables import read_text
from jaxstyle.errors import InputError

TEXT_LIST = ".txt"
"""Suffix of a text file that names a picture per line."""


class PictureFile(NamedTuple):
    """A picture to paint from.

    Attributes:
        path: The file.
        folder: Its folder, relative to what was named; the outputs have the same subfolders.
    """

    path: Path
    folder: str = "."


def find_pictures(
    paths: Iterable[Path],
    *,
    painted: Collection[Path] = (),
    output: Path | None = None,
    repeats: bool = False,
) -> list[PictureFile]:
    """Returns the pictures that files, folders, patterns and text files name.

    Folders are searched with their subfolders. In folders and patterns only picture files count,
    and none that is hidden. Numbers in names are sorted by value.

    Args:
        paths: Files, folders and patterns.
        painted: Real paths of pictures that a batch has painted, which do not count either.
        output: The folder that is painted into; it does not count below another one.
        repeats: Whether a picture that is named twice is returned twice.

    Raises:
        InputError: A folder or pattern has no picture.
    """
    inputs: list[PictureFile] = []
    for path in (path.expanduser() for path in paths):
        if path.suffix.lower() == TEXT_LIST and path.is_file():
            inputs += [PictureFile(gallery.resolve(line, path.parent)) for line in _lines(path)]
        elif path.is_file() or not (path.is_dir() or glob.has_magic(str(path))):
            inputs.append(PictureFile(path))
        else:
            inside = _in_folder(path, output) if path.is_dir() else _of_pattern(path)
            own = [each for each in inside if Path(os.path.realpath(each.path)) not in painted]
            if not own:
                raise InputError(f"{path}: no picture there")
            inputs += own
    return (
        inputs if repeats else list({each.path: each for each in reversed(inputs)}.values())[::-1]
    )


def natural_key(path: Path) -> list[tuple[int, str]]:
    """Returns a key that sorts p2 before p10.

    Examples:
        >>> sorted([Path("p10.png"), Path("p2.png")], key=natural_key)[0].name
        'p2.png'
    """
    parts = re.split(r"(\d+)", str(path))
    return [(int(p) if p.isdecimal() else -1, p) for p in parts]


def with_distinct_folders(inputs: list[PictureFile]) -> list[PictureFile]:
    """Returns inputs with their folders if files that were named one by one have the same name."""
    flat = [each.path for each in inputs if each.folder == "."]
    counts = Counter((path.stem, str(path.parent)) for path in set(flat))
    if max(Counter(stem for stem, _ in counts).values(), default=1) < 2:
        return inputs
    top = os.path.commonpath([os.path.abspath(path.parent) for path in flat])
    folders = {path: os.path.relpath(os.path.abspath(path.parent), top) for path in flat}
    return [PictureFile(path, folders.get(path, folder)) for path, folder in inputs]


def _in_folder(folder: Path, output: Path | None) -> list[PictureFile]:
    paths: list[Path] = []
    seen: set[str] = set()
    excluded = "" if output is None else os.path.realpath(output)
    for current, folders, names in os.walk(folder, followlinks=True):
        seen.add(os.path.realpath(current))
        # Links may lead back to a folder above.
        real = {name: os.path.realpath(os.path.join(current, name)) for name in folders}
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and real[name] not in seen and real[name] != excluded
        ]
        paths += [Path(current, name) for name in names]
    pictures = sorted(filter(_counts, paths), key=natural_key)
    return [PictureFile(path, os.path.relpath(path.parent, folder)) for path in pictures]


def _of_pattern(pattern: Path) -> list[PictureFile]:
    fixed = Path(*_before_magic(pattern.parts))
    matched = filter(_counts, map(Path, glob.glob(str(pattern), recursive=True)))
    # A link that leads back to a folder above gives the same file many paths.
    deepest_first = sorted(matched, key=lambda path: -len(path.parts))
    shortest = {(os.path.realpath(p.parent), p.name): p for p in deepest_first}
    pictures = sorted((p for p in shortest.values() if not p.is_dir()), key=natural_key)
    return [PictureFile(path, os.path.relpath(path.parent, fixed)) for path in pictures]


def _before_magic(parts: tuple[str, ...]) -> Iterator[str]:
    for part in parts[:-1]:
        if glob.has_magic(part):
            return
        yield part


def _lines(path: Path) -> Iterator[Path]:
    """Yields the paths in a text file."""
    try:
        lines = read_text(path).splitlines()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    yield from (Path(line.strip()).expanduser() for line in lines if line.strip())


def _counts(path: Path) -> bool:
    return files.has_picture_suffix(path) and not path.name.startswith(".")
