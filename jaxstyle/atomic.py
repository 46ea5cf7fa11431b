"""Files that appear whole or not at all."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path


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
