"""The gallery: paintings in the public domain and free photographs that have names.

The pictures are part of the package; ``catalogue.toml`` lists them with artist, title, year, source
and licence. Wherever a picture file can be named, the name of a work can be used instead. A file
that has this name takes precedence.
"""

import difflib
import tomllib
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from jaxstyle import files
from jaxstyle.arrays import Image
from jaxstyle.errors import InputError
from jaxstyle.paths import existing

Kind = Literal["painting", "photograph"]

FOLDER = Path(__file__).parent
"""Folder of the pictures."""


class Work(NamedTuple):
    """A picture of the gallery.

    Attributes:
        name: The name, which is also that of the file without its suffix.
        kind: ``painting`` or ``photograph``.
        artist: Painter or photographer.
        title: Title.
        year: Year; an empty string if it is unknown.
        source: Origin of the file.
        licence: Licence of the file.
    """

    name: str
    kind: Kind
    artist: str
    title: str
    year: str
    source: str
    licence: str

    @property
    def path(self) -> Path:
        """The picture file."""
        return FOLDER / f"{self.name}.jpg"


@cache
def _catalogue() -> dict[str, Work]:
    with (FOLDER / "catalogue.toml").open("rb") as file:
        return {entry["name"]: Work(**entry) for entry in tomllib.load(file)["work"]}


def works(kind: Kind | None = None) -> list[Work]:
    """Returns the works of the gallery, paintings first.

    Args:
        kind: ``painting`` or ``photograph``; None for all works.

    Examples:
        >>> works("painting")[0].title
        'The Starry Night'
    """
    return [work for work in _catalogue().values() if kind in (None, work.kind)]


def resolve(path: Path, folder: Path = Path()) -> Path:
    """Returns the file that a path or the name of a work stands for.

    Args:
        path: A path, or the name of a work. An existing file or folder of this name takes
            precedence.
        folder: Folder to which the path is relative.

    Returns:
        The file, which does not exist if it is neither.

    Examples:
        >>> resolve(Path("starry-night")).name
        'starry-night.jpg'
    """
    if str(path) in _catalogue() and not (folder / path).exists():
        return _catalogue()[str(path)].path
    return folder / path


def hides_work(path: Path) -> bool:
    """Returns whether a path is an existing file that has the name of a work."""
    return str(path) in _catalogue() and path.exists()


def check_exists(path: Path) -> None:
    """Checks that a path without a suffix, which could be meant as a name, exists.

    Raises:
        InputError: It does not exist.

    Examples:
        >>> check_exists(Path("stary-night"))
        Traceback (most recent call last):
        jaxstyle.errors.InputError: stary-night: neither a file nor a picture of the gallery, \
perhaps starry-night; see: jaxstyle styles
    """
    if path.suffix or existing(path).exists():
        return
    near = ", ".join(difflib.get_close_matches(path.name.lower(), _catalogue(), 3))
    meant = f", perhaps {near}" if near else ""
    raise InputError(
        f"{path}: neither a file nor a picture of the gallery{meant}; see: jaxstyle styles"
    )


def load_style(name: str, size: int | None = None) -> Image:
    """Loads a picture of the gallery, or a picture file.

    Args:
        name: Name of a work, such as ``starry-night``; see :func:`works`. Or a path.
        size: Longer side of the result in pixels. None keeps the size, 451 to 1024 pixels.

    Returns:
        ``f32[h, w, 3]``, sRGB in [0, 1].

    Raises:
        InputError: There is no such picture, or as for ``load_image``.

    Examples:
        >>> load_style("great-wave", size=256).shape
        (142, 256, 3)
    """
    path = resolve(Path(name))
    check_exists(path)
    return files.load_image(path, size)
