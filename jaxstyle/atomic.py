"""Files that appear whole or not at all, and folders of one's own."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path


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
    a file's permissions kept.
    """
    path = Path(os.path.realpath(path))
    # Named, not opened: tempfile's files would be nobody else's to read.
    temporary = path.with_name(f".jaxstyle-{secrets.token_hex(8)}.tmp")
    try:
        yield temporary
        with contextlib.suppress(FileNotFoundError):
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
