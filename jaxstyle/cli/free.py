"""The memory that is free to this process, as the system tells."""

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_FIRST_VERSION = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")


def memory() -> float:
    """Returns how many bytes this process may still use, as far as the system says so."""
    return float(min(_meminfo(), *_cgroups(Path("/proc/self/cgroup")), math.inf))


def _meminfo() -> float:
    """Returns what the system can give, as far as it says so."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        facts = dict(line.split(":", 1) for line in lines)
        return 1024.0 * sum(int(facts[name].split()[0]) for name in ("MemAvailable", "SwapFree"))
    return math.inf


def _cgroups(own_groups: Path) -> Iterator[float]:
    """Yields what each control group above this process has left; of both versions."""
    try:
        groups = [line.split(":", 2) for line in own_groups.read_text().splitlines()]
    except OSError:
        return
    names = {"": ("memory.max", "memory.current", ""), "memory": _FIRST_VERSION}
    for _, controllers, own in groups:
        if controllers not in names:
            continue
        most, used, prefix = names[controllers]
        mounted = _CGROUPS / controllers
        # In containers what is mounted is the group itself, under another name than its own.
        inner = mounted / own.lstrip("/")
        for folder in {mounted, inner, *inner.parents}:
            with contextlib.suppress(OSError, ValueError, KeyError):
                limit, taken = (int((folder / name).read_text()) for name in (most, used))
                lines = (folder / "memory.stat").read_text().splitlines()
                stat = dict(line.split() for line in lines)
                # Files are in the memory only until somebody needs it.
                files = sum(int(stat[f"{prefix}{kind}_file"]) for kind in ("active", "inactive"))
                yield float(limit - max(0, taken - files))


def addresses() -> float:
    """Returns how many addresses this process may still use."""
    try:
        import resource  # not on Windows

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit == resource.RLIM_INFINITY:
            return math.inf
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        return float(limit - pages * os.sysconf("SC_PAGE_SIZE"))
    except (ImportError, OSError, ValueError):
        return math.inf
