"""Compiled programs, kept in a folder by JAX, whose mishaps there are ours to clear up."""

import contextlib
import glob
import re
import warnings
from pathlib import Path
from typing import TextIO

import jax

_MISHAP = r"Error (reading|writing) persistent compilation cache entry for '(.*?)'"


def keep_programs(folder: Path) -> None:
    """Lets JAX keep compiled programs in a folder, unless it was told of another.

    JAX never replaces a file that it cannot read, and warns of it for ever: here it is removed, so
    that it is written anew. Where nothing can be written, the next run takes as long as this one,
    of which JAX would warn once a program. Meant for applications: it changes how all of the
    process's warnings are shown.

    Args:
        folder: Created when the first program is written. Whoever may write there can have us run
            what they like.
    """
    if getattr(jax.config, "jax_compilation_cache_dir", None) is not None:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    # Small programs too: together they are a second of the wait.
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
        mishap = re.match(_MISHAP, str(message))
        if mishap is None:
            show(message, category, filename, lineno, file, line)
        elif mishap[1] == "reading":
            # The program's name is all that is told; files of others of that name go, too.
            for path in folder.glob(f"{glob.escape(mishap[2])}-*-cache"):
                with contextlib.suppress(OSError):
                    path.unlink()

    warnings.showwarning = show_others
    warnings.filterwarnings("always", _MISHAP, UserWarning)
