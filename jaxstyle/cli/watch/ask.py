"""Asks a terminal what pictures it can show, and how large its cells are."""

import contextlib
import os
import re
import select
import struct
import time
from collections.abc import Iterator
from typing import Literal

Graphics = Literal["kitty", "iterm", "sixel", "blocks"]

# Kitty's own question, the terminal's name, and its attributes, which every terminal answers.
_QUESTIONS = b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[>q\x1b[c"
_ANSWERED = re.compile(rb"\x1b\[\?[\d;]*c")
_PATIENCE = 1.0
_ITERM = re.compile(rb"\x1bP>\|[^\x1b]*(iTerm2|WezTerm|mintty)")
_CELL = (10, 20)


def ask_terminal() -> Graphics:
    """Returns the best way in which the terminal shows pictures, by what it answers."""
    return graphics_of(_ask(_QUESTIONS))


def graphics_of(answer: bytes) -> Graphics:
    r"""Reads the terminal's answer.

    Examples:
        >>> graphics_of(b"\x1b[?62;4;22c")
        'sixel'
    """
    if _ITERM.search(answer):  # WezTerm knows kitty's protocol in part.
        return "iterm"
    if b"\x1b_Gi=31;OK" in answer:
        return "kitty"
    attributes = re.findall(rb"\x1b\[\?([\d;]*)c", answer)
    return "sixel" if attributes and b"4" in attributes[-1].split(b";")[1:] else "blocks"


def cell_size(descriptor: int = 2) -> tuple[int, int]:
    """Returns width and height of a cell in pixels, a usual size where the terminal tells none."""
    try:
        import fcntl  # not on Windows
        import termios

        told = fcntl.ioctl(descriptor, termios.TIOCGWINSZ, bytes(8))
        rows, columns, width, height = struct.unpack("HHHH", told)
        return (width // columns, height // rows) if width and height else _CELL
    except (ImportError, OSError, ZeroDivisionError):
        return _CELL


def _ask(questions: bytes) -> bytes:
    """Returns what the terminal answers; nothing where it does not, or cannot be asked."""
    with contextlib.suppress(ImportError, OSError), _raw_terminal() as terminal:
        os.write(terminal, questions)
        answer, end = b"", time.monotonic() + _PATIENCE
        while not _ANSWERED.search(answer):
            ready, _, _ = select.select([terminal], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                break
            answer += os.read(terminal, 1000)
        return answer
    return b""


@contextlib.contextmanager
def _raw_terminal() -> Iterator[int]:
    """Opens the terminal so that an answer is neither shown nor waits for the end of a line."""
    import termios
    import tty

    terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    try:
        # A process in the background would be stopped.
        if os.tcgetpgrp(terminal) != os.getpgrp():
            raise OSError
        before = termios.tcgetattr(terminal)
        try:
            tty.setcbreak(terminal)
            yield terminal
        finally:
            termios.tcsetattr(terminal, termios.TCSAFLUSH, before)
    finally:
        os.close(terminal)
