"""Ctrl-C before the command runs and after it: the end, at once and without a traceback.

What is imported takes a second or two, in which Python would answer with a traceback of its own.
"""

import os
import signal
import sys
import threading

_NAMES = ("jaxstyle", "jaxstyle.exe", "jaxstyle-script.py")


def _is_command() -> bool:
    arguments = getattr(sys, "argv", [""])[:1]
    if arguments == ["-m"]:  # Python is still looking for the module.
        return "jaxstyle" in sys.orig_argv
    return bool(arguments) and os.path.basename(arguments[0]) in _NAMES


IN_COMMAND = (
    _is_command()
    and threading.current_thread() is threading.main_thread()
    and signal.getsignal(signal.SIGINT) is signal.default_int_handler
)
"""Whether this process runs the command; in programs of others the signal is theirs."""


def end_at_once() -> None:
    """Lets Ctrl-C end the command without Python."""
    if IN_COMMAND:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def raise_error() -> None:
    """Lets Ctrl-C raise ``KeyboardInterrupt`` again, for what must tidy up."""
    if IN_COMMAND:
        signal.signal(signal.SIGINT, signal.default_int_handler)


end_at_once()
