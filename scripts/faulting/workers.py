"""Cases tried in a process of their own, which may crash, hang or fill its memory."""

import contextlib
import multiprocessing
import os
import resource
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

from jaxstyle.errors import InputError, ResourceError

Act = Callable[[Path], object]
"""Does to a file what a command would; raises what it would."""

_SPAWN = multiprocessing.get_context("spawn")
_MEMORY = 8 << 30
_STDERR = 2


def judge(act: Act, path: Path) -> str:
    """Returns what is wrong with how an act ends; a line that names the file is right."""
    try:
        act(path)
    except (InputError, ResourceError) as error:
        return "" if path.name in str(error) else f"the line lacks the file's name: {error}"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _serve(connection: Connection, act: Act) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    warnings.simplefilter("ignore")  # as the command does
    with tempfile.TemporaryFile() as printed:
        os.dup2(printed.fileno(), _STDERR)
        while True:
            path = connection.recv()
            os.ftruncate(_STDERR, 0)
            os.lseek(_STDERR, 0, os.SEEK_SET)
            trouble = judge(act, path)
            size = os.fstat(_STDERR).st_size
            if size and not trouble:
                trouble = f"printed: {os.pread(_STDERR, 200, 0)!r}"
            connection.send(trouble)


class Worker:
    """A process that tries one case after the other; a new one after a crash."""

    def __init__(self, act: Act, limit_s: float) -> None:
        self._act, self._limit_s = act, limit_s
        self._start()

    def _start(self) -> None:
        self._connection, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_serve, args=(theirs, self._act), daemon=True)
        self._process.start()
        theirs.close()
        self._fresh = True

    def __call__(self, path: Path) -> str:
        """Returns what is wrong with how the case ends."""
        self._connection.send(path)
        # A new process has to import everything first.
        limit = self._limit_s + 60 * self._fresh
        self._fresh = False
        with contextlib.suppress(EOFError, ConnectionError):
            if self._connection.poll(limit):
                return self._connection.recv()
            self.close()
            self._start()
            return f"not done after {self._limit_s:g} s"
        self._process.join()
        code = self._process.exitcode
        self._start()
        return f"the process ended with {code}"

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.join()


def try_all(
    act: Act, cases: Iterable[tuple[str, str, bytes]], limit_s: float, folder: Path
) -> Iterable[tuple[str, str]]:
    """Tries cases on two processes.

    Args:
        act: What is done.
        cases: What each is called, its file's name, and the file.
        limit_s: Seconds that a case may take.
        folder: For the files. Those that go wrong are left there.

    Yields:
        What the case is called, and what is wrong with how it ends.
    """
    own, workers = threading.local(), []

    def attempt(case: tuple[str, str, bytes]) -> tuple[str, str]:
        if not hasattr(own, "worker"):
            own.worker = Worker(act, limit_s)
            workers.append(own.worker)
        called, name, data = case
        path = folder / name
        path.write_bytes(data)
        trouble = own.worker(path)
        if not trouble:
            path.unlink()
        return called, f"{trouble} [{path}]" if trouble else ""

    try:
        with ThreadPoolExecutor(2) as pool:
            yield from pool.map(attempt, cases)
    finally:
        for worker in workers:
            worker.close()
