"""Paths to files whose names contain accents."""

import os
import unicodedata
from pathlib import Path


def existing(path: Path) -> Path:
    """Returns a path in the Unicode normal form under which the file exists.

    An ``é`` can be one character or two, and some disks and programs change one into the other.
    If no form exists, the path is returned unchanged.

    Examples:
        >>> existing(Path("no such file")).name
        'no such file'
    """
    found = Path()
    for part in path.parts:
        forms = [part, *(unicodedata.normalize(form, part) for form in ("NFC", "NFD"))]
        found = next((found / form for form in forms if os.path.exists(found / form)), found / part)
    return found
