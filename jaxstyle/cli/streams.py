"""Standard error that never ends a command: text that cannot be written is dropped."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any


class _Lenient:
    """A text stream that goes silent after the first write that fails."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._failed = stream, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes a text, if that is possible."""
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flushes the stream, if that is possible."""
        self._try(self._stream.flush)

    def _try(self, act: Any) -> None:
        if self._failed:
            return
        try:
            act()
        except (OSError, ValueError):  # a full disk, a closed pipe, terminal or file
            self._failed = True
            # Python flushes the buffer at its end, and that would fail again.
            with contextlib.suppress(Exception):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())


@contextlib.contextmanager
def lenient_stderr() -> Iterator[None]:
    """Drops text that cannot be written to standard error while the block runs.

    A closed pipe or terminal must not lose a picture.
    """
    previous = sys.stderr
    sys.stderr = _Lenient(previous)
    try:
        yield
    finally:
        sys.stderr = previous


def print_to_stdout(act: Any) -> OSError | None:
    """Prints to standard output; returns the error instead of raising it.

    Args:
        act: Prints.
    """
    try:
        act()
        return None
    except OSError as error:
        with contextlib.suppress(Exception):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return error
