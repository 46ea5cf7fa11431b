"""Connecting to a Ray cluster."""

import contextlib
import importlib
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

from jaxstyle.errors import InputError

_TIMEOUT = 20.0  # seconds until a cluster must answer


def library() -> Any:
    """Returns Ray.

    Raises:
        InputError: It is not installed.
    """
    try:
        importlib.import_module("ray.util.scheduling_strategies")
        return importlib.import_module("ray")
    except ImportError:
        raise InputError('--ray: Ray is not installed; pip install "jaxstyle[ray]"') from None


@contextlib.contextmanager
def connected(address: str | None = None) -> Iterator[Any]:
    """Yields Ray, connected to a cluster; an existing connection is used and left open.

    Args:
        address: ``host:port`` of the head, or ``ray://host:port``; "local" for this machine alone;
            if None, that of RAY_ADDRESS, the cluster that was started on this machine, or "local".

    Raises:
        InputError: Ray is not installed, or nothing answers there.
    """
    ray = library()
    if ray.is_initialized():
        yield ray
        return
    address = address or os.environ.get("RAY_ADDRESS") or "auto"
    if address == "auto":
        # Ray itself would wait for a cluster that has ended.
        address = "auto" if _is_healthy(None) else "local"
    elif address != "local":
        _check(address)
    try:
        with _unchanged_signals():
            _join(ray, address)
        yield ray
    finally:
        ray.shutdown()


def _join(ray: Any, address: str) -> None:
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == "local":
        options["include_dashboard"] = False
    try:
        ray.init(address=address, **options)
    except ConnectionError as error:
        raise _no_answer(address, str(error)) from None
    except UnicodeEncodeError:  # Ray copies the command line.
        raise InputError(
            "--ray: Ray accepts only command lines in UTF-8; name the photographs' folder"
        ) from None
    except RuntimeError as error:  # Versions that do not match.
        raise InputError(f"--ray {address}: {' '.join(str(error).split())}") from None


def _check(address: str) -> None:
    """Refuses an address where no Ray answers; Ray itself would wait for minutes."""
    match = re.fullmatch(r"(ray://)?\[?([^/\[\]\s]+?)\]?:(\d{1,5})", address)
    if match is None:
        raise InputError(f"--ray {address}: not an address; give HOST:PORT, or ray://HOST:PORT")
    try:
        socket.create_connection((match[2], int(match[3])), _TIMEOUT).close()
    except (OSError, OverflowError) as error:
        raise _no_answer(address, getattr(error, "strerror", None) or str(error)) from None
    if not match[1] and not _is_healthy(address):
        raise _no_answer(address, "it is not Ray")


def _is_healthy(address: str | None) -> bool:
    """Returns whether a cluster answers at an address; None is the one of this machine."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check"]
    command += ["--address", address] if address else []
    try:
        answer = subprocess.run(command, capture_output=True, timeout=_TIMEOUT)
    except subprocess.TimeoutExpired:
        return False
    if b"AuthenticationError" in answer.stderr:
        how = "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH as on its head"
        raise InputError(f"--ray {address or 'auto'}: the cluster requires a token; {how}")
    return answer.returncode == 0


def _no_answer(address: str, reason: str) -> InputError:
    why = reason.partition("\n")[0]
    return InputError(f"--ray {address}: no cluster answers ({why}); `ray start --head` starts one")


@contextlib.contextmanager
def _unchanged_signals() -> Iterator[None]:
    """Restores the signal handlers, which Ray replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
