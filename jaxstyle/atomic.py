"""Atomic replacement of files, and private folders."""

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
_CLEANED: set[Path] = set()  # folders cleaned by this process


def make_private(folder: Path) -> bool:
    """Creates a folder that only this user may write to.

    Returns:
        Whether the folder, which may have existed before, is private.

    Raises:
        OSError: The folder cannot be created.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    if not hasattr(os, "getuid"):
        return True
    status = folder.stat()
    return status.st_uid == os.getuid() and not status.st_mode & 0o022


def name_temporary(kind: str) -> str:
    """Returns a unique file name that identifies the process that created it."""
    return f"{kind}{_machine()}-{os.getpid()}-{secrets.token_hex(8)}"


def remove_abandoned(folder: Path, kind: str = _KIND) -> None:
    """Removes temporary files and folders of a kind that were left by killed processes.

    Files of other machines, where processes cannot be checked, are not removed.
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
    """Returns whether a name is from a process of this machine that no longer exists."""
    if os.name != "posix":
        return False  # On Windows, ``os.kill`` would end the process.
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
        pass  # The process belongs to another user.
    return True


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path, and renames it to the given path if the block succeeds.

    If the block fails, the old file stays and the temporary file is removed. Links are followed,
    and the permissions of an existing file are preserved. The first time that this process writes
    to a folder, temporary files left there by killed processes are removed.
    """
    path = Path(os.path.realpath(path))
    if path.parent not in _CLEANED:
        _CLEANED.add(path.parent)
        remove_abandoned(path.parent)
    # Not from ``tempfile``, which creates files that other users cannot read.
    temporary = path.with_name(f"{name_temporary(_KIND)}.tmp")
    try:
        yield temporary
        with contextlib.suppress(FileNotFoundError):
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
