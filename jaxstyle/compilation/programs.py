"""JAX's cache of compiled programs, and what to do about its damaged files."""

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

    JAX never replaces a file that it cannot read, and warns at every use: such a file is removed
    here, so that JAX writes it again. Warnings about files that cannot be written are dropped. For
    applications: this changes how all warnings of the process are shown.

    Args:
        folder: Created with the first program. Whoever can write there can run code in this
            process.
    """
    if getattr(jax.config, "jax_compilation_cache_dir", None) is not None:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    # Small programs as well: together, they take a second to compile.
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
            # The warning names only the program; other files of that name are removed as well.
            for path in folder.glob(f"{glob.escape(match[2])}-*-cache"):
                with contextlib.suppress(OSError):
                    path.unlink()

    warnings.showwarning = show_others
    warnings.filterwarnings("always", _WARNING, UserWarning)
