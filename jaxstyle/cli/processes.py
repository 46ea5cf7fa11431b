"""One picture painted by several processes: how they connect, and how they end together.

If one of them dies, JAX ends the others by an error, or aborts them with a page of its log. So each
works in a child of the process that was started, which reports the end in one line.
"""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import jax

import jaxstyle as js
from jaxstyle.cli import report
from jaxstyle.errors import InputError

_WATCHED = "JAXSTYLE_WATCHED"
# The number of processes, as launchers give it; JAX finds out the rest.
_LAUNCHERS = ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")
_CONNECT_SECONDS, _HEARTBEAT_SECONDS = 60, 20
_FORWARDED = ("SIGTERM", "SIGHUP")


def parse_devices(text: str | None) -> int | Literal["all"] | None:
    """Returns the number of devices, or ``all``.

    Raises:
        InputError: The text is neither.
    """
    if text is None or text == "all":
        return text
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"--devices {text}: not a number of devices; give 1 or more, or all")
    return int(text)


def are_several(command: Any, environment: Mapping[str, str] = os.environ) -> bool:
    """Returns whether a command is one of several processes that share a picture."""
    if getattr(command, "devices", None) is None or not hasattr(command, "coordinator"):
        return False
    if command.coordinator is not None:
        return True
    counts = [environment.get(name, "") for name in _LAUNCHERS]
    tasks = max((int(count) for count in counts if count.isdecimal()), default=1)
    return tasks > 1 or "," in environment.get("TPU_WORKER_HOSTNAMES", "")


def check_several(command: Any) -> None:
    """Refuses options for a single process.

    Raises:
        InputError: Checkpoints or JSON are asked for.
    """
    for name in ("checkpoint", "json"):
        if getattr(command, name):
            raise InputError(f"--{name}: not for several processes that share a picture")


def is_watched() -> bool:
    """Returns whether this process is the child that works."""
    return _WATCHED in os.environ


def watch(arguments: Sequence[str]) -> int:
    """Runs the command line in a child process, and returns its exit code.

    Only the output of the command itself is passed on; the death of the child is one line.
    """
    streams = os.dup(1), os.dup(2)
    muted = None if "--debug" in arguments else subprocess.DEVNULL
    with subprocess.Popen(
        [sys.executable, "-m", "jaxstyle", *arguments],
        stdout=muted,  # Libraries print, too.
        stderr=muted,
        pass_fds=streams,
        env={**os.environ, _WATCHED: ",".join(map(str, streams))},
    ) as worker:
        previous = {}
        for name in _FORWARDED:
            number = getattr(signal, name)
            if signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
                previous[number] = signal.signal(number, lambda n, _: worker.send_signal(n))
        # A terminal sends Ctrl-C to both.
        previous[signal.SIGINT] = signal.signal(signal.SIGINT, signal.SIG_IGN)
        code = worker.wait()
        for number, handler in previous.items():
            signal.signal(number, handler)
    for descriptor in streams:
        os.close(descriptor)
    if code >= 0:
        return code
    report.print_error(f"{_describe_death(-code)}; nothing is saved here")
    return 1


def _describe_death(number: int) -> str:
    """Returns what it means that a signal has ended the child."""
    if number == signal.SIGABRT:  # JAX aborts the processes that are left.
        return (
            "a process that shares the picture has ended, or did not connect within "
            f"{_CONNECT_SECONDS} s (each needs its own --process-id)"
        )
    likely = " (out of memory?)" if number == signal.SIGKILL else ""
    return f"this process was ended by signal {number}{likely}"


def begin_watched() -> None:
    """Writes the command's output to where the parent process writes."""
    sys.stdout, sys.stderr = (
        os.fdopen(int(descriptor), "w", buffering=1, errors="backslashreplace")
        for descriptor in os.environ[_WATCHED].split(",")
    )


def end_watched(code: int) -> None:
    """Ends this process; after a failure without waiting for the others, which wait for it.

    Args:
        code: The exit code.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if jax.distributed.is_initialized() and code in (1, 2):
        os._exit(code)


def is_lost(error: BaseException) -> bool:
    """Returns whether an error may be due to another process's end."""
    return is_watched() and isinstance(error, jax.errors.JaxRuntimeError)


def tell_lost(error: BaseException) -> None:
    """Prints the line about an error that may be due to another process's end."""
    message = str(error).strip().partition("\n")[0]
    report.print_error(
        f"a process that shares the picture has ended, or this one failed by itself ({message}); "
        "nothing is saved here"
    )


def join(command: Any) -> None:
    """Connects to the other processes that share the picture, before JAX is used.

    Raises:
        InputError: Options are missing or wrong, or the others do not answer.
    """
    given = command.coordinator, command.num_processes, command.process_id
    if given == (None,) * 3:
        if not are_several(command):
            return
    elif None in given:
        raise InputError(
            "--coordinator: goes with --process-id and --num-processes, and with --devices; "
            "give them all"
        )
    elif command.devices is None:
        raise InputError(
            "--coordinator: add --devices all; without it every process paints the whole picture"
        )
    elif command.num_processes < 1:
        raise InputError(f"--num-processes {command.num_processes}: give 1 or more")
    elif not 0 <= command.process_id < command.num_processes:
        raise InputError(
            f"--process-id {command.process_id}: give 0 to {command.num_processes - 1}"
        )
    check_several(command)
    if command.process_id == 0:
        _check_port(command.coordinator)
    if hasattr(jax.config, "jax_enable_preemption_service"):
        # Signals are the command's own.
        jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            *given,
            initialization_timeout=_CONNECT_SECONDS,
            heartbeat_timeout_seconds=_HEARTBEAT_SECONDS,
        )
    except (RuntimeError, ValueError) as error:
        message = str(error).partition("\n")[0]
        where = command.coordinator or "the launcher's coordinator"
        raise InputError(
            f"{where}: the processes do not all connect; start each number once ({message})"
        ) from error


def _check_port(address: str) -> None:
    """Refuses a port on which process 0 cannot listen; JAX would end with signal 11.

    Raises:
        InputError: It cannot, or the address is not one.
    """
    match = re.fullmatch(r"\[?([^\[\]\s]+?)\]?:(\d{1,5})", address)
    if match is None or int(match[2]) > 65535:
        raise InputError(f"--coordinator {address}: not an address; give HOST:PORT")
    try:
        socket.create_server(("", int(match[2]))).close()
    except OSError as error:
        raise InputError(
            f"--coordinator {address}: process 0 cannot listen on this port "
            f"({os.strerror(error.errno or 0)}); choose another"
        ) from None


def mesh_of(command: Any) -> js.Mesh | None:
    """Returns the devices that share the picture; None for JAX's first, or where there is one."""
    devices = parse_devices(command.devices)
    mesh = None if devices is None else js.mesh(devices)
    return None if mesh is None or len(mesh) == 1 else mesh
