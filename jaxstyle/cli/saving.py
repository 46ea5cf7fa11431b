"""Results are saved: a picture where it should go or, failing that, where it can; tables."""

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
    """Saves under the name that was asked for, else in the working or the temporary folder.

    Args:
        save: Writes to a path that it is given; may raise anything.
        output: The name that was asked for.

    Returns:
        Where the picture is, and why it is elsewhere; empty if it isn't.

    Raises:
        ResourceError: It could not be saved anywhere.
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
    raise ResourceError(f"{trouble}; nor could it be saved elsewhere, and is lost")


def _reason(error: Exception, output: Path) -> str:
    if isinstance(error, InputError):
        return str(error)
    said = error.strerror if isinstance(error, OSError) else None
    return f"{output}: cannot be written ({said or str(error) or type(error).__name__})"


def _elsewhere(output: Path) -> Iterator[Path]:
    """Yields names that nothing has yet; last as PNG, which holds pictures of any size."""
    for suffix in dict.fromkeys((output.suffix, _LOSSLESS)):
        for find in (lambda: ".", tempfile.gettempdir):
            try:
                folder = Path(find())
                yield next(
                    path
                    for count in itertools.count()
                    if not os.path.lexists(path := folder / _name(output.stem, count, suffix))
                )
            except OSError:  # There is no such folder.
                continue


def _name(stem: str, count: int, suffix: str) -> str:
    return f"{stem}-{count}{suffix}" if count else stem + suffix


def write_table(path: Path, rows: Sequence[Sequence[str]]) -> None:
    """Writes rows as CSV."""
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    with replacing(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
