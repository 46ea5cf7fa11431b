"""Claims: a job belongs to one process; if that dies, to another one."""

import contextlib
import errno
import hashlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from jaxstyle.atomic import is_abandoned, name_temporary

if sys.platform == "win32":
    import msvcrt

    def _lock(file: BinaryIO) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


_TOUCH, _EXPIRY = 30.0, 300.0  # seconds
_LOCKED = {errno.EAGAIN, errno.EACCES, errno.EDEADLK}


@contextlib.contextmanager
def claim(folder: Path, output: str) -> Iterator[bool]:
    """Yields whether this process has the job to itself.

    The system releases the locks of a process that dies. On a file system without locks, a file
    that only one process can create takes their place; it names its process, which touches it. The
    file of a dead process is ignored, if it ran on this machine at once, else after some minutes.

    Args:
        folder: The batch's folder.
        output: Name of the job's picture.
    """
    claims = folder / ".claims"
    claims.mkdir(exist_ok=True)
    path = claims / hashlib.sha256(os.fsencode(output)).hexdigest()[:32]
    with path.open("ab") as file:
        try:
            _lock(file)
        except OSError as error:
            if error.errno not in _LOCKED:
                with _created(path.with_suffix(".claim")) as mine:
                    yield mine
                return
            yield False
            return
        yield True


@contextlib.contextmanager
def _created(path: Path) -> Iterator[bool]:
    """Yields whether this process has created a file, or taken over that of a dead process."""
    own = name_temporary("")
    if not _create(path, own):
        seen = _owner(path)
        dead = seen is not None and (is_abandoned(seen, "") or _has_expired(path))
        if not dead or not _remove(path, str(seen)) or not _create(path, own):
            yield False
            return
    with _touching(path):
        try:
            yield True
        finally:
            if _owner(path) == own:
                path.unlink(missing_ok=True)


@contextlib.contextmanager
def _touching(path: Path) -> Iterator[None]:
    """Touches the file from time to time, which shows other machines that this process lives."""
    over = threading.Event()

    def touch() -> None:
        while not over.wait(_TOUCH):
            with contextlib.suppress(OSError):
                os.utime(path)

    threading.Thread(target=touch, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _has_expired(path: Path) -> bool:
    """Returns whether a file was not touched for long, by the clock of the file system."""
    now = path.with_name(f"{name_temporary('')}.tmp")
    try:
        now.touch()
        return now.stat().st_mtime - path.stat().st_mtime > _EXPIRY
    except OSError:
        return False
    finally:
        now.unlink(missing_ok=True)


def _create(path: Path, own: str) -> bool:
    """Creates the file, with the name of its process; returns False if there is one."""
    try:
        with path.open("x") as file:  # Only the first one can.
            file.write(own)
    except FileExistsError:
        return False
    return True


def _owner(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:  # It was released just now.
        return None


def _remove(path: Path, seen: str) -> bool:
    """Removes the file of a dead process; returns whether it was still that."""
    aside = path.with_name(f"{name_temporary('')}.tmp")
    try:
        path.rename(aside)
    except OSError:  # Another process was quicker.
        return False
    if _owner(aside) == seen:
        aside.unlink()
        return True
    with contextlib.suppress(OSError):
        os.link(aside, path)  # Another process has just created it.
    aside.unlink(missing_ok=True)
    return False
