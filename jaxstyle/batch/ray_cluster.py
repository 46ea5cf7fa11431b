"""Joining a Ray cluster, or a line that says why not."""

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

_SECONDS = 20.0  # in which a cluster is to answer


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
    """Yields Ray, joined to a cluster; what the caller has joined already stays joined.

    Args:
        address: ``host:port`` of the head, or ``ray://host:port``; if None, that of RAY_ADDRESS,
            the cluster that was started on this machine, or else this machine alone; so is "local".

    Raises:
        InputError: Ray is not installed, or nothing answers there.
    """
    ray = library()
    if ray.is_initialized():
        yield ray
        return
    address = address or os.environ.get("RAY_ADDRESS") or "auto"
    if address == "auto":
        # Ray itself would wait for a cluster that is no more.
        address = "auto" if _is_healthy(None) else "local"
    elif address != "local":
        _check(address)
    try:
        with _own_signals():
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
    except UnicodeEncodeError:  # It copies the command line.
        raise InputError(
            "--ray: Ray takes no command line that is not UTF-8; name the photographs' folder"
        ) from None
    except RuntimeError as error:  # Versions that do not go together.
        raise InputError(f"--ray {address}: {' '.join(str(error).split())}") from None


def _check(address: str) -> None:
    """Refuses an address where no Ray answers, for which Ray itself would wait for minutes."""
    match = re.fullmatch(r"(ray://)?\[?([^/\[\]\s]+?)\]?:(\d{1,5})", address)
    if match is None:
        raise InputError(f"--ray {address}: no address; give HOST:PORT, or ray://HOST:PORT")
    try:
        socket.create_connection((match[2], int(match[3])), _SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _no_answer(address, getattr(error, "strerror", None) or str(error)) from None
    if not match[1] and not _is_healthy(address):
        raise _no_answer(address, "what is there is no Ray")


def _is_healthy(address: str | None) -> bool:
    """Whether a cluster answers at an address; None for that of this machine."""
    asked = [sys.executable, "-m", "ray.scripts.scripts", "health-check"]
    asked += ["--address", address] if address else []
    try:
        answer = subprocess.run(asked, capture_output=True, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    if b"AuthenticationError" in answer.stderr:
        how = "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH as on its head"
        raise InputError(f"--ray {address or 'auto'}: the cluster wants a token; {how}")
    return answer.returncode == 0


def _no_answer(address: str, reason: str) -> InputError:
    why = reason.partition("\n")[0]
    return InputError(f"--ray {address}: no cluster answers ({why}); `ray start --head` starts one")


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Keeps the handlers of signals, of which Ray sets its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
