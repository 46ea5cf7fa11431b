"""What each visitor has: pictures, runs and results, in a folder that is deleted at the end."""

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
    """Something that this visitor does not have, or no longer has."""


class Lost(Missing):
    """The visitor's session is over, or was one of an earlier server."""


@dataclasses.dataclass(kw_only=True)
class Upload:
    """A picture that a visitor has uploaded.

    Attributes:
        id: A random name.
        name: The name of the visitor's file, for messages and metadata only.
        role: ``content`` for a photograph, ``style`` for a painting.
        path: The file.
        preview: A JPEG for display.
        shape: Height and width, upright.
        settings: The table of the recipe that it records, for a print that of its preview; empty
            if it records none.
        sources: What it records about its origin.
        removed: Whether the visitor has removed it; its file stays while a run needs it.
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
    def label(self) -> dict[str, Any]:
        """What the page shows of it beside a run."""
        height, width = self.shape
        return {
            "id": self.id,
            "name": self.name,
            "role": self.role,
            "width": width,
            "height": height,
        }

    @property
    def facts(self) -> dict[str, Any]:
        """What the page shows of it."""
        return self.label | {"settings": self.settings, "sources": self.sources}


@dataclasses.dataclass(kw_only=True)
class Session:
    """What one visitor has.

    Attributes:
        id: A random secret, stored in the browser's cookie.
        folder: The folder of their files.
        touched: Time of their last action, or of the end of their last run.
        uploads: Pictures by id.
        runs: Runs by id, finished ones included; see :class:`jaxstyle.web.runs.QueuedRun`.
        receiving: Held while a picture is received: one at a time.
        watchers: Number of the visitor's pages that follow their runs.
        left: Time when the last of them left.
        heard: Time of the last sign of one.
    """

    id: str
    folder: Path
    touched: float
    uploads: dict[str, Upload] = dataclasses.field(default_factory=dict)
    runs: dict[str, Any] = dataclasses.field(default_factory=dict)
    receiving: asyncio.Lock = dataclasses.field(default_factory=asyncio.Lock)
    watchers: int = 0
    left: float = 0.0
    heard: float = 0.0

    @property
    def busy(self) -> bool:
        """Whether a run waits or is being painted."""
        return any(not run.over for run in self.runs.values())

    def upload(self, key: object) -> Upload:
        """Returns an uploaded picture.

        Raises:
            Missing: There is none with this id.
        """
        return _find(self.uploads, key)

    def run(self, key: object) -> Any:
        """Returns a run; raises the same exception."""
        return _find(self.runs, key)

    @property
    def empty(self) -> bool:
        """Whether it has neither pictures nor runs."""
        return not (self.uploads or self.runs or self.receiving.locked())

    @property
    def kept(self) -> list[Upload]:
        """The uploaded pictures that have not been removed."""
        return [upload for upload in self.uploads.values() if not upload.removed]

    @property
    def used(self) -> int:
        """The size of all files in bytes."""
        total = 0
        with contextlib.suppress(FileNotFoundError):  # Saving makes files that vanish.
            for path in self.folder.iterdir():
                with contextlib.suppress(FileNotFoundError):
                    total += path.stat().st_size
        return total

    def remove(self, upload: Upload) -> None:
        """Removes an uploaded picture; its file as soon as no run needs it."""
        upload.removed = True
        self._tidy()

    def make_room(self, limits: Limits, more: int = 0) -> None:
        """Deletes the oldest finished runs beyond the limits, and files that only they needed.

        Args:
            limits: How much is kept.
            more: Bytes that will be added.
        """
        over = [run for run in self.runs.values() if run.over]
        goes_on = {run.order.init for run in self.runs.values() if not run.over}
        left = len(over)
        for run in over:
            if left <= limits.max_files and self.used + more <= limits.max_bytes:
                break
            if not goes_on & {picture.path for picture in run.results}:
                left -= 1
                self._forget(run)
        self._tidy()

    def _forget(self, run: Any) -> None:
        del self.runs[run.id]
        for picture in run.results:
            for path in self.folder.glob(f"{picture.path.name}*"):
                path.unlink(missing_ok=True)
        self._tidy()

    def _tidy(self) -> None:
        """Deletes masks and removed pictures that no run needs."""
        needed = {path for run in self.runs.values() for path in run.order.files}
        for upload in list(self.uploads.values()):
            if upload.removed and upload.path not in needed:
                del self.uploads[upload.id]
                upload.path.unlink(missing_ok=True)
        for path in set(self.folder.glob("mask-*.png")) - needed:
            path.unlink(missing_ok=True)

    def message_of(self, error: object) -> str:
        """Returns an error's message with the visitor's names of files, and without paths."""
        message = str(error).strip().partition("\n")[0]
        for upload in list(self.uploads.values()):  # The painting thread changes it, too.
            message = message.replace(str(upload.path), upload.name)
        message = re.sub(r"\S*/mask-\w+\.png", "masks", message)
        return message.replace(f"{self.folder}/", "").replace("--", "")


def _find(table: dict[str, Any], key: object) -> Any:
    if not isinstance(key, str) or key not in table:
        raise Missing("it is no longer here: pictures are deleted after an hour; upload it again")
    return table[key]


class Sessions:
    """The sessions of all visitors.

    Args:
        folder: Folder for their folders, which nothing else uses.
        limits: How many there may be, and for how long.
        clock: A monotonic clock, in seconds.
    """

    def __init__(self, folder: Path, limits: Limits, clock: Callable[[], float]) -> None:
        self._folder, self._limits, self._clock = folder, limits, clock
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def find(self, key: str | None, *, touch: bool = False) -> Session | None:
        """Returns the session of a cookie; None if there is none."""
        self.expire()
        session = self._sessions.get(key or "")
        if session is not None and touch:
            session.touched = self._clock()
        return session

    def create(self) -> Session:
        """Starts a session with a new id, whatever the visitor's cookie says.

        If there are too many, the empty one that has been idle for longest is ended.

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
            raise InputError("too many visitors at the moment; try again in a while")
        oldest = min(empty, key=lambda session: session.touched)
        del self._sessions[oldest.id]
        shutil.rmtree(oldest.folder, ignore_errors=True)

    def expire(self) -> None:
        """Deletes sessions, an hour after the last action or the end of the last run."""
        before = self._clock() - self._limits.keep_seconds
        with self._lock:
            # Busy first: a run updates `touched` before it is over.
            over = [s for s in self._sessions.values() if not s.busy and s.touched < before]
            for session in over:
                del self._sessions[session.id]
        for session in over:
            shutil.rmtree(session.folder, ignore_errors=True)

    def end(self, session: Session) -> None:
        """Deletes a session on its visitor's request."""
        for run in session.runs.values():
            run.stop()
        with self._lock:
            self._sessions.pop(session.id, None)
        shutil.rmtree(session.folder, ignore_errors=True)
