"""The cache folder: downloads, and programs that JAX has compiled."""

import os
from pathlib import Path

import platformdirs

from jaxstyle import compilation
from jaxstyle.atomic import make_private

CACHE_VARIABLE = "JAXSTYLE_CACHE"


def cache_folder(cache: str | os.PathLike[str] | None = None) -> Path:
    """Returns the folder of downloads and compiled programs.

    Args:
        cache: The folder. None is the environment variable ``JAXSTYLE_CACHE`` or, if that is not
            set, the user's cache folder of the operating system.

    Examples:
        >>> cache_folder("my/cache").as_posix()
        'my/cache'
    """
    chosen = cache or os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_dir("jaxstyle")
    return Path(chosen).expanduser()


def programs_folder(cache: str | os.PathLike[str] | None = None) -> Path:
    """Returns the folder of compiled programs."""
    return cache_folder(cache) / "compiled"


def keep_programs(cache: str | os.PathLike[str] | None = None) -> bool:
    """Lets JAX store compiled programs in the cache, if only the user can write there.

    If the folder cannot be made, programs are not stored, which is not an error.

    Args:
        cache: As for :func:`cache_folder`.

    Returns:
        False if others than the user can write to the folder.
    """
    folder = programs_folder(cache)
    try:
        private = make_private(folder)
    except OSError:
        return True
    if private:
        compilation.keep_programs(folder)
    return private
