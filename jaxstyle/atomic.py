"""Files that appear whole or not at all, and folders of one's own."""

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

LEFT_BEHIND_S = 24 * 3600
"""Age in seconds from which on a temporary file is one that a killed process has left."""

_PREFIX, _SUFFIX = ".jaxstyle-", ".tmp"


def make_private(folder: Path) -> bool:
    """Makes a folder that nobody else may write to, and tells whether an existing one is such.

    Raises:
        OSError: It cannot be made.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    if not hasattr(os, "getuid"):
        return True
    found = folder.stat()
    return found.st_uid == os.getuid() and not found.st_mode & 0o022


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a path beside the given one, for a file that takes its place if the block succeeds.

    If it fails, what was there before stays, and nothing is left beside it. Links are followed, and
    a file's permissions kept. What processes that were killed have left there goes, too.
    """
    path = Path(os.path.realpath(path))
    _tidy(path.parent)
    # Named, not opened: tempfile's files would be nobody else's to read.
    temporary = path.with_name(f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}")
    try:
        yield temporary
        with contextlib.suppress(FileNotFoundError):
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _tidy(folder: Path) -> None:
    with contextlib.suppress(OSError):
        for path in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
            if time.time() - path.stat().st_mtime > LEFT_BEHIND_S:
                path.unlink()
