"""Saving of results: pictures, elsewhere if necessary, and tables."""

import csv
import io
import itertools
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from jaxstyle.atomic import replacing
from jaxstyle.errors import InputError, ResourceError

_LOSSLESS = ".png"


def save_somewhere(save: Callable[[Path], Path], output: Path) -> tuple[Path, str]:
    """Saves to a path or, if that fails, to the working folder or the temporary folder.

    Args:
        save: Writes to a path; may raise anything.
        output: The path.

    Returns:
        The path of the picture, and why it is not ``output``; the reason is empty if it is.

    Raises:
        ResourceError: The picture cannot be saved anywhere.
    """
    try:
        return save(output), ""
    except Exception as error:
        trouble = _reason(error, output)
    for path in _elsewhere(output):
        try:
            return save(path), trouble
        except Exception:
            continue
    raise ResourceError(f"{trouble}; saving elsewhere failed as well, and the picture is lost")


def _reason(error: Exception, output: Path) -> str:
    if isinstance(error, InputError):
        return str(error)
    reason = error.strerror if isinstance(error, OSError) else None
    return f"{output}: cannot be written ({reason or str(error) or type(error).__name__})"


def _elsewhere(output: Path) -> Iterator[Path]:
    """Yields paths that do not exist yet; the last ones are PNG, which has no largest size."""
    for suffix in dict.fromkeys((output.suffix, _LOSSLESS)):
        for find in (lambda: ".", tempfile.gettempdir):
            try:
                folder = Path(find())
                yield next(
                    path
                    for count in itertools.count()
                    if not os.path.lexists(path := folder / _name(output.stem, count, suffix))
                )
            except OSError:  # The folder does not exist.
                continue


def _name(stem: str, count: int, suffix: str) -> str:
    return f"{stem}-{count}{suffix}" if count else stem + suffix


def write_table(path: Path, rows: Sequence[Sequence[str]]) -> None:
    """Writes rows as CSV."""
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    with replacing(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
