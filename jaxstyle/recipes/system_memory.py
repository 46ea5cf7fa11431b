"""The memory that this process may still use, as the operating system reports it."""

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")
_VERSION_2 = ("memory.max", "memory.current", "")


def free_memory() -> float:
    """Returns how many bytes of memory this process may still use; infinite if unknown."""
    return float(min(_meminfo(), *_cgroups(Path("/proc/self/cgroup")), math.inf))


def free_addresses() -> float:
    """Returns how many bytes of address space are left (``ulimit -v``); infinite if unlimited."""
    try:
        import resource  # not on Windows

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit == resource.RLIM_INFINITY:
            return math.inf
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        return float(limit - pages * os.sysconf("SC_PAGE_SIZE"))
    except (ImportError, OSError, ValueError):
        return math.inf


def _meminfo() -> float:
    with contextlib.suppress(OSError, ValueError, KeyError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        facts = dict(line.split(":", 1) for line in lines)
        return 1024.0 * sum(int(facts[name].split()[0]) for name in ("MemAvailable", "SwapFree"))
    return math.inf


def _cgroups(own_groups: Path) -> Iterator[float]:
    """Yields the bytes left in each control group above this process, versions 1 and 2."""
    try:
        groups = [line.split(":", 2) for line in own_groups.read_text().splitlines()]
    except OSError:
        return
    names = {"": _VERSION_2, "memory": _VERSION_1}
    for _, controllers, own in groups:
        if controllers not in names:
            continue
        limit_file, usage_file, prefix = names[controllers]
        mounted = _CGROUPS / controllers
        # In a container the mounted folder is the group itself, under a different name.
        inner = mounted / own.lstrip("/")
        for folder in {mounted, inner, *inner.parents}:
            with contextlib.suppress(OSError, ValueError, KeyError):
                limit, used = (int((folder / n).read_text()) for n in (limit_file, usage_file))
                lines = (folder / "memory.stat").read_text().splitlines()
                stat = dict(line.split() for line in lines)
                # The system drops cached files when a process needs their memory.
                cached = sum(int(stat[f"{prefix}{kind}_file"]) for kind in ("active", "inactive"))
                yield float(limit - max(0, used - cached))
