"""Signals that stop a run and keep the picture so far."""

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from rich.console import Console

# Windows has no SIGHUP.
_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


class Interruption:
    """While its block runs, Ctrl-C, SIGTERM and SIGHUP only request a stop.

    A second Ctrl-C ends the program. The others never do: batch systems and closing terminals send
    several of them in a row, and can use SIGKILL.

    Attributes:
        number: The first signal; None before.
    """

    def __init__(self, console: Console, kept: str = "the picture so far will be saved") -> None:
        """Makes an object that handles no signals yet.

        Args:
            console: For the line about the stop.
            kept: Text of that line about unfinished work.
        """
        self.number: int | None = None
        self._console, self._kept = console, kept
        self._previous: dict[int, Any] = {}
        self._terminals = [fd for fd in (1, 2) if os.isatty(fd)]

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
                    self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, previous in self._previous.items():
            signal.signal(number, previous)

    @property
    def exit_code(self) -> int:
        """The exit code for the signal, as in shells; 0 without a signal."""
        return 0 if self.number is None else 128 + self.number

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None:
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            return
        self.number = number
        self._leave_closed_terminals()
        again = " (press Ctrl-C again to quit without saving)" if number == signal.SIGINT else ""
        self._console.print(f"stopping: {self._kept}{again}")

    def _leave_closed_terminals(self) -> None:
        """Replaces closed terminals by the null device: printing to them would raise an error."""
        for descriptor in self._terminals:
            if not os.isatty(descriptor):
                os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
