"""The recipe that the options of a command line change: from a preset, a file or a picture."""

import codecs
import itertools
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxstyle import files
from jaxstyle.errors import InputError
from jaxstyle.recipes.presets import preset
from jaxstyle.recipes.recipe import Recipe

_FILE_SETTING = "preset"
_LARGEST_SETTINGS = 1 << 20


def _named(arguments: Sequence[str], option: str) -> str | None:
    """Returns the last value of an option, before the arguments are parsed."""
    value = None
    for word, following in itertools.zip_longest(arguments, arguments[1:]):
        if word == option:
            value = following
        elif word.startswith(option + "="):
            value = word.partition("=")[2]
    return value


def base(
    arguments: Sequence[str], otherwise: str, picture: Path | None = None
) -> tuple[str, Recipe]:
    """Returns the name of a preset, and the recipe that the options change.

    Args:
        arguments: The command line.
        otherwise: The default preset.
        picture: The picture that is painted again; None if there is none.

    Raises:
        InputError: Both a preset and a picture are given, or one of them cannot be used.
    """
    name, config, table = _named(arguments, "--preset"), _named(arguments, "--config"), {}
    if name is not None and _is_picture(config):
        raise InputError(
            f"--preset {name} --config {config}: a picture has every setting; remove one option"
        )
    if config is not None:
        table = _read_settings(Path(config))
    if picture is not None and config is None and name is None:
        config, table = str(picture), _of_picture(picture)
    # An option takes precedence over the file.
    in_file = str(table.pop(_FILE_SETTING, otherwise))
    try:
        # A picture records all settings, whatever the preset is now.
        start = Recipe() if _is_picture(config) else preset(name or in_file)
        return name or in_file, start.updated(table)
    except InputError as error:
        raise InputError(f"{config}: {error}") if config else error from None


def _is_picture(config: str | None) -> bool:
    return config is not None and Path(config).suffix.lower() in files.SUFFIXES


def _of_picture(path: Path) -> dict[str, Any]:
    settings, provenance = files.load_metadata(path)
    return settings | {_FILE_SETTING: provenance.get(_FILE_SETTING, "default")}


def _read_settings(path: Path) -> dict[str, Any]:
    """Reads a TOML file, or the settings that a picture records.

    Raises:
        InputError: It cannot be read, or has no settings.
    """
    if _is_picture(str(path)):
        return _of_picture(path)
    try:
        if path.exists() and not path.is_file():  # A pipe might never end.
            raise InputError(f"{path}: is not a regular file; save the settings in a file")
        if path.stat().st_size > _LARGEST_SETTINGS:
            raise InputError(f"{path}: is too large for settings; give a TOML file")
        return tomllib.loads(_decode(path.read_bytes()))
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except RecursionError:
        raise InputError(f"{path}: is too deeply nested; give a TOML file with settings") from None
    except ValueError as error:  # Also for numbers with thousands of digits.
        raise InputError(f"{path}: is not valid TOML: {error}") from None


def _decode(text: bytes) -> str:
    """Decodes UTF-8 with or without a byte order mark, or UTF-16 with one (PowerShell)."""
    wide = text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return text.decode("utf-16" if wide else "utf-8-sig")
