"""What each visitor has: pictures, runs and results, in a folder that goes when they are over."""

import asyncio
import contextlib
import dataclasses
import re
import secrets
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxstyle.errors import InputError
from jaxstyle.web.limits import Limits


class Missing(LookupError):
    """What was asked for is not this visitor's, or no longer there."""


@dataclasses.dataclass(kw_only=True)
class Upload:
    """A picture that a visitor has handed in.

    Attributes:
        id: What the page calls it by.
        name: Of the visitor's file, for messages and metadata only.
        role: Whether it is a photograph or a painting: ``content`` or ``style``.
        path: Where it is kept.
        preview: JPEG to be shown.
        shape: Height and width, upright.
        settings: The recipe's table if it is a picture of ours, of a print its preview's; else
            empty.
        sources: What a picture of ours was painted from, by name.
        removed: Whether its owner has taken it away; its file stays while a run needs it.
    """

    id: str
    name: str
    role: str
    path: Path
    preview: bytes
    shape: tuple[int, int]
    settings: dict[str, Any]
    sources: dict[str, Any]
    removed: bool = False

    @property
    def facts(self) -> dict[str, Any]:
        """What its owner's page shows of it."""
        height, width = self.shape
        told = {"id": self.id, "name": self.name, "role": self.role}
        told |= {"width": width, "height": height}
        return told | {"settings": self.settings, "sources": self.sources}


@dataclasses.dataclass(kw_only=True)
class Session:
    """One visitor's.

    Attributes:
        id: Random, and known to their browser alone.
        folder: Where their files are.
        touched: When they last did something, or a run of theirs ended.
        uploads: By id.
        runs: By id, and so are those that are done; see :class:`jaxstyle.web.runs.Run`.
        receiving: Held while a picture is taken in: one at a time.
    """

    id: str
    folder: Path
    touched: float
    uploads: dict[str, Upload] = dataclasses.field(default_factory=dict)
    runs: dict[str, Any] = dataclasses.field(default_factory=dict)
    receiving: asyncio.Lock = dataclasses.field(default_factory=asyncio.Lock)

    @property
    def busy(self) -> bool:
        """Whether a run of theirs waits or paints."""
        return any(not run.over for run in self.runs.values())

    def upload(self, key: object) -> Upload:
        """Returns an uploaded picture of theirs.

        Raises:
            Missing: There is none.
        """
        return _find(self.uploads, key)

    def run(self, key: object) -> Any:
        """Returns a run of theirs, with the same exception."""
        return _find(self.runs, key)

    @property
    def empty(self) -> bool:
        """Whether nothing of theirs would be lost."""
        return not (self.uploads or self.runs or self.receiving.locked())

    @property
    def kept(self) -> list[Upload]:
        """The uploaded pictures that they have not taken away."""
        return [upload for upload in self.uploads.values() if not upload.removed]

    @property
    def used(self) -> int:
        """The bytes of their files."""
        total = 0
        with contextlib.suppress(FileNotFoundError):  # Saving makes files that vanish.
            for path in self.folder.iterdir():
                with contextlib.suppress(FileNotFoundError):
                    total += path.stat().st_size
        return total

    def remove(self, upload: Upload) -> None:
        """Takes an uploaded picture away, as soon as no run needs it."""
        upload.removed = True
        self._tidy()

    def make_room(self, limits: Limits, more: int = 0) -> None:
        """Deletes the oldest runs that are over, beyond what is kept, and what only they needed.

        Args:
            limits: How much is kept.
            more: Bytes that are to come.
        """
        over = [run for run in self.runs.values() if run.over]
        goes_on = {run.order.init for run in self.runs.values() if not run.over}
        left = len(over)
        for run in over:
            if left <= limits.max_files and self.used + more <= limits.max_bytes:
                break
            if not goes_on & {found.path for found in run.results}:
                left -= 1
                self._forget(run)
        self._tidy()

    def _forget(self, run: Any) -> None:
        del self.runs[run.id]
        for found in run.results:
            for path in self.folder.glob(f"{found.path.name}*"):
                path.unlink(missing_ok=True)
        self._tidy()

    def _tidy(self) -> None:
        """Deletes masks that no run needs, and pictures that have been taken away besides."""
        needed = {path for run in self.runs.values() for path in run.order.files}
        for upload in list(self.uploads.values()):
            if upload.removed and upload.path not in needed:
                del self.uploads[upload.id]
                upload.path.unlink(missing_ok=True)
        for path in set(self.folder.glob("mask-*.png")) - needed:
            path.unlink(missing_ok=True)

    def told(self, error: object) -> str:
        """Returns a message that names pictures as their owner does, and no path."""
        message = str(error).strip().partition("\n")[0]
        for upload in list(self.uploads.values()):  # the painter's thread asks, too
            message = message.replace(str(upload.path), upload.name)
        message = re.sub(r"\S*/mask-\w+\.png", "masks", message)
        return message.replace(f"{self.folder}/", "").replace("--", "")


def _find(table: dict[str, Any], key: object) -> Any:
    if not isinstance(key, str) or key not in table:
        raise Missing("it is no longer here: pictures are deleted after an hour; hand it in again")
    return table[key]


class Sessions:
    """All visitors'.

    Args:
        folder: Where their folders are made; this object's own.
        limits: How many there may be, and for how long.
        clock: Seconds that only grow.
    """

    def __init__(self, folder: Path, limits: Limits, clock: Callable[[], float]) -> None:
        self._folder, self._limits, self._clock = folder, limits, clock
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def find(self, key: str | None, *, touch: bool = False) -> Session | None:
        """Returns the session of a cookie; None if it is over, or never was."""
        self.expire()
        session = self._sessions.get(key or "")
        if session is not None and touch:
            session.touched = self._clock()
        return session

    def create(self) -> Session:
        """Begins a session; its id is never one that a visitor has brought along.

        Where there are too many, the one that has been idle and empty for longest gives way.

        Raises:
            InputError: There are too many.
        """
        self.expire()
        with self._lock:
            if len(self._sessions) >= self._limits.max_sessions:
                self._make_way()
            key = secrets.token_urlsafe(32)
            folder = self._folder / secrets.token_hex(16)
            folder.mkdir(mode=0o700)
            self._sessions[key] = Session(id=key, folder=folder, touched=self._clock())
            return self._sessions[key]

    def _make_way(self) -> None:
        empty = [session for session in self._sessions.values() if session.empty]
        if not empty:
            raise InputError("too many visitors at the moment; come back in a while")
        oldest = min(empty, key=lambda session: session.touched)
        del self._sessions[oldest.id]
        shutil.rmtree(oldest.folder, ignore_errors=True)

    def expire(self) -> None:
        """Deletes what is over: an hour after the last action or the end of the last run."""
        before = self._clock() - self._limits.keep_seconds
        with self._lock:
            # Busy first: a run that ends touches, then is over.
            over = [s for s in self._sessions.values() if not s.busy and s.touched < before]
            for session in over:
                del self._sessions[session.id]
        for session in over:
            shutil.rmtree(session.folder, ignore_errors=True)

    def end(self, session: Session) -> None:
        """Deletes all that is one visitor's, at their wish."""
        for run in session.runs.values():
            run.stop()
        with self._lock:
            self._sessions.pop(session.id, None)
        shutil.rmtree(session.folder, ignore_errors=True)
