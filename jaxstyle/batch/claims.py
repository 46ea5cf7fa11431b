"""Claims: which process has a job. One that dies leaves it to the others."""

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


_TOUCH, _LAPSE = 30.0, 300.0  # seconds
_TAKEN = {errno.EAGAIN, errno.EACCES, errno.EDEADLK}


@contextlib.contextmanager
def claim(folder: Path, output: str) -> Iterator[bool]:
    """Yields whether this process alone has a job.

    The system frees what a process that dies has locked. Where a file system has no locks, a file
    that only one can make takes their place; it names its process and is touched while that lives.
    A dead process's counts no more, if it is of this machine at once, else after some minutes.

    Args:
        folder: Of the batch.
        output: Name of the job's picture.
    """
    claims = folder / ".claims"
    claims.mkdir(exist_ok=True)
    path = claims / hashlib.sha256(os.fsencode(output)).hexdigest()[:32]
    with path.open("ab") as file:
        try:
            _lock(file)
        except OSError as error:
            if error.errno not in _TAKEN:
                with _made(path.with_suffix(".claim")) as mine:
                    yield mine
                return
            yield False
            return
        yield True


@contextlib.contextmanager
def _made(path: Path) -> Iterator[bool]:
    """Yields whether this process has made a file that was not there, or a dead one's."""
    own = name_temporary("")
    if not _make(path, own):
        seen = _owner(path)
        over = seen is not None and (is_abandoned(seen, "") or _has_lapsed(path))
        if not over or not _remove(path, str(seen)) or not _make(path, own):
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
    """Shows other machines that this process lives."""
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


def _has_lapsed(path: Path) -> bool:
    """Whether nobody has touched a file for long, by the clock of where the files are."""
    now = path.with_name(f"{name_temporary('')}.tmp")
    try:
        now.touch()
        return now.stat().st_mtime - path.stat().st_mtime > _LAPSE
    except OSError:
        return False
    finally:
        now.unlink(missing_ok=True)


def _make(path: Path, own: str) -> bool:
    """Makes the file, with its process's name in it from the first moment."""
    temporary = path.with_name(f"{own}.tmp")
    temporary.write_text(own)
    try:
        os.link(temporary, path)  # which nobody can who comes second
    except FileExistsError:
        return False
    except OSError:  # A file system without links.
        try:
            with path.open("x") as file:
                file.write(own)
        except FileExistsError:
            return False
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _owner(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:  # It is given back just now.
        return None


def _remove(path: Path, seen: str) -> bool:
    """Removes a dead process's file, and tells whether it was still that."""
    aside = path.with_name(f"{name_temporary('')}.tmp")
    try:
        path.rename(aside)
    except OSError:  # Another process was quicker.
        return False
    if _owner(aside) == seen:
        aside.unlink()
        return True
    with contextlib.suppress(OSError):
        os.link(aside, path)  # It has become another's in between.
    aside.unlink(missing_ok=True)
    return False
