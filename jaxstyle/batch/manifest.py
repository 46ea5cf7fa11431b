"""What has become of jobs: JSON lines, appended and synced, one file a process that shares work."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxstyle.batch.jobs import Job
from jaxstyle.batch.painter import Record

try:
    import fcntl
except ImportError:  # Windows: two runs on one folder are then not kept apart.
    fcntl = None


class Manifest:
    """The record of a folder: it reads what all processes have written, and adds to its own file.

    Attributes:
        entries: By output, the last line that was written about it.
    """

    def __init__(self, folder: Path, name: str = "manifest.jsonl") -> None:
        self.entries: dict[str, dict[str, Any]] = {}
        self._folder, self._path = folder, folder / name
        self._read: dict[Path, int] = {}
        self.refresh()

    def refresh(self) -> None:
        """Reads what has been added since."""
        for path in sorted(self._folder.glob("manifest*.jsonl")):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                added = file.read()
            whole = added.rpartition(b"\n")[0]  # A last line without an end is being written.
            self._read[path] = self._read.get(path, 0) + (len(whole) + 1 if whole else 0)
            for line in whole.splitlines():
                with contextlib.suppress(ValueError, TypeError, KeyError):  # torn by a SIGKILL
                    entry = json.loads(line)
                    self.entries[entry["output"]] = entry

    def is_done(self, job: Job) -> bool:
        """Whether a job has been done as it is now, and its picture is still there."""
        entry = self.entries.get(job.output, {})
        done = entry.get("status") == "done" and entry.get("digest") == job.digest
        return done and (self._folder / job.output).exists()

    def add(self, record: Record) -> None:
        """Writes what has become of a job, and waits until the disk has it."""
        entry = {name: value for name, value in record._asdict().items() if value not in (None, "")}
        line = json.dumps(entry, ensure_ascii=False).encode() + b"\n"
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            if (size := os.fstat(descriptor).st_size) and _byte(descriptor, size - 1) != b"\n":
                line = b"\n" + line  # behind a line that a SIGKILL has torn
            os.write(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self.entries[record.output] = entry

    @contextlib.contextmanager
    def claim(self, job: Job) -> Iterator[bool]:
        """Yields whether this process alone has the job; the system frees it if that dies."""
        if fcntl is None:
            yield True
            return
        folder = self._folder / ".claims"
        folder.mkdir(exist_ok=True)
        name = hashlib.sha256(job.output.encode()).hexdigest()[:32]
        with (folder / name).open("wb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True


def _byte(descriptor: int, position: int) -> bytes:
    os.lseek(descriptor, position, os.SEEK_SET)
    return os.read(descriptor, 1)
