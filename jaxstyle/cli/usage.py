"""The memory that is in use."""

import contextlib
import os
import sys
from pathlib import Path

import jax


def memory_in_use() -> float | None:
    """Returns bytes in use: of the device where JAX tells it, else of this process."""
    used = (jax.local_devices()[0].memory_stats() or {}).get("bytes_in_use")
    return _resident() if used is None else float(used)


def _resident() -> float | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return float(pages * os.sysconf("SC_PAGE_SIZE"))
    try:
        import resource  # not on Windows
    except ImportError:
        return None
    # The most that there was: what else there is takes other libraries.
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(most if sys.platform == "darwin" else 1024 * most)
