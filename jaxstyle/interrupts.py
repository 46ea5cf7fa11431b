"""Makes Ctrl-C end the command at once, without a traceback, before and after it runs.

Imports take a second or two, during which Python would print a traceback.
"""

import os
import signal
import sys
import threading

_NAMES = ("jaxstyle", "jaxstyle.exe", "jaxstyle-script.py")


def _is_command() -> bool:
    arguments = getattr(sys, "argv", [""])[:1]
    if arguments == ["-m"]:  # Python is still locating the module.
        return "jaxstyle" in sys.orig_argv
    return bool(arguments) and os.path.basename(arguments[0]) in _NAMES


IN_COMMAND = (
    _is_command()
    and threading.current_thread() is threading.main_thread()
    and signal.getsignal(signal.SIGINT) is signal.default_int_handler
)
"""Whether this process runs the command; other programs handle the signal themselves."""


def end_at_once() -> None:
    """Makes Ctrl-C end the process at once."""
    if IN_COMMAND:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def raise_error() -> None:
    """Makes Ctrl-C raise ``KeyboardInterrupt`` again, for code that must clean up."""
    if IN_COMMAND:
        signal.signal(signal.SIGINT, signal.default_int_handler)


end_at_once()
