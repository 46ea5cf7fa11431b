"""The command. Thin: it reads options, calls the library and tells what happened.

Options are generated from dataclasses, a module a subcommand, whose defaults are the library's own.
Results go to stdout, everything else to stderr. Exit codes: 0 done; 1 a fault that is none of the
input's; 2 bad input; 129, 130, 143 stopped by SIGHUP, Ctrl-C, SIGTERM.
"""

import codecs
import contextlib
import difflib
import io
import itertools
import os
import re
import sys
import tomllib
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import tyro
from tyro.conf import OmitArgPrefixes, OmitSubcommandPrefixes, subcommand

import jaxstyle as js
from jaxstyle import interrupts
from jaxstyle.cli import report
from jaxstyle.cli.batch import Batch
from jaxstyle.cli.memory import is_exhausted
from jaxstyle.cli.options import registry
from jaxstyle.cli.presets import Presets
from jaxstyle.cli.stylize import Stylize
from jaxstyle.cli.sweep import Axis, Sweep, split_axes
from jaxstyle.cli.texture import Texture
from jaxstyle.cli.weights import Weights
from jaxstyle.errors import InputError, ResourceError
from jaxstyle.recipes.presets import preset
from jaxstyle.recipes.recipe import Recipe

_Command: TypeAlias = Stylize | Batch | Sweep | Texture | Presets | Weights
_FILE_SETTING = "preset"
_LARGEST_SETTINGS = 1 << 20


def _named(arguments: Sequence[str], option: str) -> str | None:
    """Returns the last value of an option, before the arguments are parsed as a whole."""
    value = None
    for word, following in itertools.zip_longest(arguments, arguments[1:]):
        if word == option:
            value = following
        elif word.startswith(option + "="):
            value = word.partition("=")[2]
    return value


def _base(arguments: Sequence[str], otherwise: str) -> tuple[str, Recipe]:
    """Returns the recipe that the options change, and its name: a preset, changed by a file.

    Args:
        arguments: Of the command line.
        otherwise: The preset if none is named.
    """
    name, config, table = _named(arguments, "--preset"), _named(arguments, "--config"), {}
    if config is not None:
        table = _read_settings(Path(config))
    # An option counts before the file.
    in_file = str(table.pop(_FILE_SETTING, otherwise))
    name = name or in_file
    try:
        return name, preset(name).updated(table)
    except InputError as error:
        raise InputError(f"{config}: {error}") if config else error from None


def _read_settings(path: Path) -> dict[str, Any]:
    """Reads a TOML file.

    Raises:
        InputError: It cannot be read, or is none.
    """
    try:
        if path.exists() and not path.is_file():  # A pipe would keep us waiting for ever.
            raise InputError(f"{path}: is no ordinary file; save the settings in one")
        if path.stat().st_size > _LARGEST_SETTINGS:
            raise InputError(f"{path}: is too large to be settings; name a TOML file")
        return tomllib.loads(_decode(path.read_bytes()))
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except RecursionError:
        raise InputError(f"{path}: no settings: too deeply nested") from None
    except ValueError as error:  # Also of numbers with thousands of digits.
        raise InputError(f"{path}: no TOML: {error}") from None


def _decode(text: bytes) -> str:
    """Decodes UTF-8, or UTF-16 as PowerShell writes it, with or without a byte order mark."""
    wide = text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return text.decode("utf-16" if wide else "utf-8-sig")


def _commands(arguments: Sequence[str], axes: tuple[Axis, ...]) -> Any:
    """Returns the subcommands, their defaults those of the preset and file that are named."""
    name, recipe = _base(arguments, "texture" if arguments[:1] == ["texture"] else "default")
    stylize = partial(Stylize, recipe=recipe, preset=name)
    batch = partial(Batch, recipe=recipe, preset=name)
    texture = partial(Texture, recipe=recipe, preset=name)
    sweep = partial(Sweep, recipe=recipe, preset=name, axes=axes)
    return (
        Annotated[Stylize, subcommand("stylize", constructor=stylize)]
        | Annotated[Batch, subcommand("batch", constructor=batch)]
        | Annotated[Sweep, subcommand("sweep", constructor=sweep)]
        | Annotated[Texture, subcommand("texture", constructor=texture)]
        | Annotated[Presets, subcommand("presets")]
        | Annotated[Weights, subcommand("weights")]
    )


def _is_ruler(row: str) -> bool:
    return bool(row.strip()) and not row.strip("─-╯ ")


def _parse(arguments: Sequence[str]) -> _Command:
    """Parses the arguments; a mistake in them is one line instead of tyro's box."""
    axes: tuple[Axis, ...] = ()
    if list(arguments[:1]) == ["sweep"]:
        arguments, axes = split_axes(arguments)
    commands = _commands(arguments, axes)
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            return tyro.cli(
                commands,
                prog="jaxstyle",
                description=js.__doc__,
                args=arguments,
                config=(OmitArgPrefixes, OmitSubcommandPrefixes),
                registry=registry,
            )
    except SystemExit as error:
        if error.code != 2:
            raise
        # The box has lines, or only dashes where the terminal's encoding lacks them.
        rows = [line[2:].removesuffix("│") for line in box.getvalue().splitlines()[1:]]
        rows = itertools.dropwhile(_is_ruler, rows)
        rows = itertools.takewhile(lambda row: not _is_ruler(row), rows)
        # The deeply indented rows repeat the help of an option.
        told = " ".join(row.strip() for row in rows if not row.startswith(" " * 8))
        # A recipe refused as a whole says all that is needed.
        if refused := re.match(r"Error parsing \S*recipe: (.*?); see", f"{told}; see"):
            raise InputError(refused[1]) from None
        raise InputError(f"{_with_near_options(told)}; see {_help(arguments)}") from None


def _with_near_options(told: str) -> str:
    """Returns what tyro tells of options that there are none of, with those that were meant."""
    told = told.rstrip(".")
    if not told.startswith("Unrecognized options"):
        return told
    names = [f"--{name.replace('_', '-')}" for name in Recipe.__dataclass_fields__]
    words = re.findall(r"--[a-z-]+", told)
    near = [match for word in words for match in difflib.get_close_matches(word, names, 1)]
    return told + (f"; perhaps {', '.join(near)}" if near else "")


def _help(arguments: Sequence[str]) -> str:
    subcommands = {"stylize", "batch", "sweep", "texture", "presets", "weights"} & set(
        arguments[:1]
    )
    return " ".join(["jaxstyle", *subcommands, "--help"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code.

    Args:
        arguments: Without the program's name; those of the process if None.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if interrupts.IN_COMMAND and "--debug" not in arguments:
        _quieten_libraries()
    if list(arguments[:1]) != ["weights"]:  # Only they have files to tidy up at any time.
        return _main(arguments)
    interrupts.raise_error()
    try:
        return _main(arguments)
    finally:
        interrupts.end_at_once()


def _quieten_libraries() -> None:
    """Drops warnings, which whoever runs the command can do nothing about."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    shown = sys.unraisablehook

    def show(unraisable: Any) -> None:
        # Raised where Python cannot hand it on, such as between two collections of garbage.
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            shown(unraisable)

    sys.unraisablehook = show


def _main(arguments: Sequence[str]) -> int:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # What the terminal lacks is no reason to fail.
            stream.reconfigure(errors="backslashreplace")
    if list(arguments) == ["--version"]:
        print(f"jaxstyle {js.__version__}")
        return 0
    try:
        return _parse(arguments).run()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # Who reads has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if "--debug" in arguments:
            raise
        if isinstance(error, InputError):
            told = str(error) if list(arguments[:1]) == ["weights"] else _with_option(str(error))
            report.print_error(told)
            return 2
        if isinstance(error, OSError) and error.filename and error.strerror:
            report.print_error(f"{error.filename}: {error.strerror}")
            return 2
        told = str(error).strip().partition("\n")[0]
        if isinstance(error, ResourceError):
            report.print_error(error)
        elif is_exhausted(error):  # Before the run, by files that are large.
            report.print_error("out of memory: free some, or choose smaller files")
        else:
            report.print_error(f"{type(error).__name__}: {told} (--debug shows where)")
        return 1


def _with_option(message: str) -> str:
    """Returns a message that begins with a setting's name with the option in its place."""
    word = re.match(r"[a-z]\w*(?=[ :])", message)
    if word and word[0] in Recipe.__dataclass_fields__:
        return "--" + word[0].replace("_", "-") + message[word.end() :]
    return message
