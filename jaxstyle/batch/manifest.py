"""What has become of jobs: JSON lines, appended and synced, one file a process that shares work."""

import contextlib
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

from jaxstyle.batch.jobs import Job
from jaxstyle.batch.steps import Record

_LOOK_EVERY, _LOOK_SHARE = 5.0, 20  # seconds, and what a look took, between two looks
_CLOCKS = 60.0  # seconds that clocks of machines may differ


class Manifest:
    """The record of a folder: it reads what all processes have written, and adds to its own file.

    Attributes:
        folder: Which.
        entries: By output, the line about what has become of it last.
        made: Outputs that have been done at some time, whatever has become of them since.
    """

    def __init__(self, folder: Path, name: str = "manifest.jsonl") -> None:
        self.entries: dict[str, dict[str, Any]] = {}
        self.made: set[str] = set()
        self.folder, self._path = folder, folder / name
        self._read: dict[Path, int] = {}
        self._lock = threading.RLock()  # Pictures are saved beside the painting of others.
        self._look()

    def settles(self, job: Job) -> bool:
        """Whether a job is done by what all processes have written; for whoever has its claim."""
        with self._lock:
            if time.monotonic() >= self._next_look or self._may_be_new(job):
                self._look()
            else:
                self._read_known()
            return self.is_done(job)

    def _look(self) -> None:
        """Finds the files of all processes, and reads what has been added to them."""
        began, self._looked = time.monotonic(), time.time()
        for path in sorted(self.folder.glob("manifest*.jsonl")):
            self._read.setdefault(path, 0)
        # A folder with a million pictures is not read for each of them.
        took = time.monotonic() - began
        self._next_look = time.monotonic() + max(_LOOK_EVERY, _LOOK_SHARE * took)
        self._read_known()

    def _may_be_new(self, job: Job) -> bool:
        """Whether a picture may be that of a process whose file has not been found yet."""
        try:
            written = (self.folder / job.output).stat().st_mtime
        except (OSError, ValueError):
            return False
        return written > self._looked - _CLOCKS

    def _read_known(self) -> None:
        for path in self._read:
            with contextlib.suppress(FileNotFoundError):
                self._read_on(path)

    def _read_on(self, path: Path) -> None:
        with path.open("rb") as file:
            file.seek(self._read[path])
            added = file.read()
        whole = added.rpartition(b"\n")[0]  # A last line without an end is being written.
        self._read[path] += len(whole) + 1 if whole else 0
        for line in whole.split(b"\n"):
            with contextlib.suppress(ValueError, TypeError, KeyError):  # torn by a SIGKILL
                entry = json.loads(line)
                self._keep(entry["output"], entry["status"], entry)

    def _keep(self, output: str, status: str, entry: dict[str, Any]) -> None:
        # Files are read in the order of their names, which says nothing of time.
        if entry.get("ended", 0) >= self.entries.get(output, {}).get("ended", 0):
            self.entries[output] = entry
        if status == "done":
            self.made.add(output)

    def is_done(self, job: Job) -> bool:
        """Whether a job has been done as it is now, and its picture is still there."""
        entry = self.entries.get(job.output, {})
        done = entry.get("status") == "done" and entry.get("digest") == job.digest
        return done and (self.folder / job.output).exists()

    def add(self, record: Record) -> None:
        """Writes what has become of a job, and waits until the disk has it."""
        entry = {name: value for name, value in record._asdict().items() if value not in (None, "")}
        entry["ended"] = round(time.time(), 3)
        line = json.dumps(entry).encode() + b"\n"  # Names need not be UTF-8.
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
        descriptor = os.open(self._path, flags, 0o666)
        try:
            if (size := os.fstat(descriptor).st_size) and _byte(descriptor, size - 1) != b"\n":
                line = b"\n" + line  # behind a line that a SIGKILL has torn
            os.write(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        with self._lock:
            self._keep(record.output, record.status, entry)


def _byte(descriptor: int, position: int) -> bytes:
    os.lseek(descriptor, position, os.SEEK_SET)
    return os.read(descriptor, 1)
