"""Files that appear whole or not at all, and folders of one's own."""

import contextlib
import os
import platform
import re
import secrets
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

_KIND = ".jaxstyle-"
_TIDIED: set[Path] = set()  # folders, by this process


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


def name_temporary(kind: str) -> str:
    """Returns a name that no other file has, and that tells which process made it."""
    return f"{kind}{_machine()}-{os.getpid()}-{secrets.token_hex(8)}"


def remove_abandoned(folder: Path, kind: str = _KIND) -> None:
    """Removes the temporary files and folders of a kind whose processes were killed.

    Those of other machines, whose processes cannot be asked for, stay.
    """
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if not is_abandoned(path.name, kind):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def is_abandoned(name: str, kind: str) -> bool:
    """Tells whether a name of :func:`name_temporary` is of a process of this machine that died."""
    if os.name != "posix":
        return False  # Windows ends a process that is asked for by a signal.
    match = re.fullmatch(rf"{re.escape(kind)}{_machine()}-(\d+)-\w+(\.tmp)?", name)
    return match is not None and not _is_alive(int(match[1]))


def _machine() -> str:
    return f"{zlib.crc32(platform.node().encode()):08x}"


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # It is another user's.
    return True


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a path beside the given one, for a file that takes its place if the block succeeds.

    If it fails, what was there before stays, and nothing is left beside it. Links are followed, and
    a file's permissions kept. What processes that were killed have left there goes, too, the first
    time that this one writes there.
    """
    path = Path(os.path.realpath(path))
    if path.parent not in _TIDIED:
        _TIDIED.add(path.parent)
        remove_abandoned(path.parent)
    # Named, not opened: tempfile's files would be nobody else's to read.
    temporary = path.with_name(f"{name_temporary(_KIND)}.tmp")
    try:
        yield temporary
        with contextlib.suppress(FileNotFoundError):
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
