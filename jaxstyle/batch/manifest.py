"""The results of jobs: JSON lines, appended and synced, in one file per process or share."""

import contextlib
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

from jaxstyle.batch.records import Record

_INTERVAL, _COST = 5.0, 20  # seconds between two scans, and as a multiple of what a scan takes
_CLOCKS = 60.0  # seconds by which the clocks of machines may differ


class Manifest:
    """The record of a folder: reads the files of all processes, and appends to its own.

    Attributes:
        folder: The folder.
        entries: The last line about each output.
        made: Outputs that were painted at some time, whatever happened later.
    """

    def __init__(self, folder: Path, name: str = "manifest.jsonl") -> None:
        """Reads what there is.

        Args:
            folder: The folder.
            name: The file to append to.
        """
        self.entries: dict[str, dict[str, Any]] = {}
        self.made: set[str] = set()
        self.folder, self._path = folder, folder / name
        self._positions: dict[Path, int] = {}
        self._by_file: dict[Path, dict[str, dict[str, Any]]] = {}
        self._lock = threading.RLock()  # Another thread saves and records pictures.
        self._scan()

    def refresh(self, output: str) -> None:
        """Reads what other processes have written about an output since; call it with its claim."""
        with self._lock:
            if time.monotonic() >= self._next_scan or self._may_be_new(output):
                self._scan()
            else:
                self._read_all()

    def is_done(self, output: str, digest: str) -> bool:
        """Returns whether a picture was painted by a job with this digest, and is still whole."""
        entry = self.entries.get(output, {})
        if entry.get("status") != "done" or entry.get("digest") != digest:
            return False
        try:
            size = (self.folder / output).stat().st_size
        except (OSError, ValueError):
            return False
        return entry.get("size", size) == size  # Older lines do not have it.

    def missing(self) -> list[str]:
        """Returns outputs that were painted and are no longer there."""
        done = (name for name, entry in self.entries.items() if entry["status"] == "done")
        return [name for name in done if not (self.folder / name).exists()]

    def add(self, record: Record) -> None:
        """Appends a record, and waits until it is on the disk."""
        entry = {name: value for name, value in record._asdict().items() if value not in (None, "")}
        entry["ended"] = round(time.time(), 3)
        line = json.dumps(entry).encode() + b"\n"  # Names need not be UTF-8.
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab+", buffering=0) as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    line = b"\n" + line  # A killed process may have left half a line.
            file.write(line)
            os.fsync(file.fileno())
        with self._lock:
            self._keep(self._path, entry)

    def _scan(self) -> None:
        """Finds the files of all processes, and reads what was added to them."""
        began, self._scanned = time.monotonic(), time.time()
        for path in sorted(self.folder.glob("manifest*.jsonl")):
            self._positions.setdefault(path, 0)
        # A folder with a million pictures is not listed for each of them.
        took = time.monotonic() - began
        self._next_scan = time.monotonic() + max(_INTERVAL, _COST * took)
        self._read_all()

    def _may_be_new(self, output: str) -> bool:
        """Returns whether a picture may be from a process that started after the last scan."""
        try:
            written = (self.folder / output).stat().st_mtime
        except (OSError, ValueError):
            return False
        return written > self._scanned - _CLOCKS

    def _read_all(self) -> None:
        for path in self._positions:
            with contextlib.suppress(FileNotFoundError):
                self._read(path)

    def _read(self, path: Path) -> None:
        with path.open("rb") as file:
            file.seek(self._positions[path])
            added = file.read()
        whole = added.rpartition(b"\n")[0]  # A last line without an end is being written.
        self._positions[path] += len(whole) + 1 if whole else 0
        for line in whole.split(b"\n"):
            if (entry := _parse(line)) is not None:
                self._keep(path, entry)

    def _keep(self, path: Path, entry: dict[str, Any]) -> None:
        output = entry["output"]
        # In one file the later line counts, whatever its clock; between files the later time.
        self._by_file.setdefault(path, {})[output] = entry
        lines = (lines[output] for lines in self._by_file.values() if output in lines)
        self.entries[output] = max(lines, key=_time_of)
        if entry["status"] == "done":
            self.made.add(output)


def _parse(line: bytes) -> dict[str, Any] | None:
    """Returns an entry, or None for a line that was cut off."""
    with contextlib.suppress(ValueError):
        return json.loads(line)
    return None


def _time_of(entry: dict[str, Any]) -> float:
    """Returns when a job ended, or 0 by a clock that was ahead, which would always be the last."""
    ended = float(entry.get("ended", 0))
    return ended if ended <= time.time() + _CLOCKS else 0.0
