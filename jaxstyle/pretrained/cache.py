"""The cache folder: what is downloaded, and the programs that JAX has compiled."""

import os
from pathlib import Path

import platformdirs

from jaxstyle import compilation
from jaxstyle.atomic import make_private

CACHE_VARIABLE = "JAXSTYLE_CACHE"


def cache_folder(cache: str | os.PathLike[str] | None = None) -> Path:
    """Returns where downloads and compiled programs lie.

    Args:
        cache: The folder; None takes the environment variable ``JAXSTYLE_CACHE`` or, where that is
            not set, the place that the operating system keeps for caches.

    Examples:
        >>> cache_folder("my/cache").as_posix()
        'my/cache'
    """
    chosen = cache or os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_dir("jaxstyle")
    return Path(chosen).expanduser()


def programs_folder(cache: str | os.PathLike[str] | None = None) -> Path:
    """Returns where compiled programs lie."""
    return cache_folder(cache) / "compiled"


def keep_programs(cache: str | os.PathLike[str] | None = None) -> bool:
    """Lets JAX keep compiled programs; returns False where others than the user may write there.

    Where there can be no such folder a run takes longer, and that is all.

    Args:
        cache: As for :func:`cache_folder`.
    """
    folder = programs_folder(cache)
    try:
        private = make_private(folder)
    except OSError:
        return True
    if private:
        compilation.keep_programs(folder)
    return private
