"""JAX's cache of compiled programs, and the removal of damaged files."""

import contextlib
import glob
import re
import warnings
from pathlib import Path
from typing import TextIO

import jax

_WARNING = r"Error (reading|writing) persistent compilation cache entry for '(.*?)'"


def keep_programs(folder: Path) -> None:
    """Caches compiled programs in a folder, unless JAX is configured to use another one.

    JAX never replaces a file that it cannot read, and warns at every use. This function removes
    such files, so that JAX writes them again, and drops warnings about files that cannot be
    written. It is meant for applications, because it replaces the process's ``showwarning``.

    Args:
        folder: The folder, created with the first program. Anyone who can write to it can run code
            in this process.
    """
    if getattr(jax.config, "jax_compilation_cache_dir", None) is not None:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    # Include small programs, which take a second to compile in total.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    show = warnings.showwarning

    def show_others(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        match = re.match(_WARNING, str(message))
        if match is None:
            show(message, category, filename, lineno, file, line)
        elif match[1] == "reading":
            # The warning names only the program, so all files of that name are removed.
            for path in folder.glob(f"{glob.escape(match[2])}-*-cache"):
                with contextlib.suppress(OSError):
                    path.unlink()

    warnings.showwarning = show_others
    warnings.filterwarnings("always", _WARNING, UserWarning)
