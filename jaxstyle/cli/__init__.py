"""The command. Thin: it reads options, calls the library and tells what happened.

Options are generated from dataclasses, a module a subcommand, whose defaults are the library's own.
Results go to stdout, everything else to stderr. Exit codes: 0 done; 1 a fault that is none of the
input's; 2 bad input; 129, 130, 143 stopped by SIGHUP, Ctrl-C, SIGTERM.
"""

import contextlib
import difflib
import functools
import io
import itertools
import operator
import os
import re
import sys
import warnings
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Protocol, runtime_checkable

import tyro
from tyro.conf import OmitArgPrefixes, OmitSubcommandPrefixes, subcommand

import jaxstyle as js
from jaxstyle import interrupts
from jaxstyle.cli import processes, report
from jaxstyle.cli.axes import Axis, split_axes
from jaxstyle.cli.batch import Batch
from jaxstyle.cli.completion import Completion
from jaxstyle.cli.doctor import Doctor
from jaxstyle.cli.options import registry
from jaxstyle.cli.plot import Plot
from jaxstyle.cli.presets import Presets
from jaxstyle.cli.rerun import Rerun, first_picture
from jaxstyle.cli.resume import Resume
from jaxstyle.cli.settings import base
from jaxstyle.cli.stylize import Stylize
from jaxstyle.cli.sweep import Sweep
from jaxstyle.cli.texture import Texture
from jaxstyle.cli.watch import fill_watch
from jaxstyle.cli.web import Web
from jaxstyle.cli.weights import Weights
from jaxstyle.errors import InputError, ResourceError
from jaxstyle.recipes.fitting import is_exhausted
from jaxstyle.recipes.recipe import Recipe


@runtime_checkable
class _Command(Protocol):
    """What a command line is parsed into."""

    def run(self) -> int: ...


# Those that take a recipe, whose settings are options of theirs.
_PAINTING = {
    "stylize": Stylize,
    "batch": Batch,
    "sweep": Sweep,
    "texture": Texture,
    "rerun": Rerun,
}
_OTHER = {
    "resume": Resume,
    "plot": Plot,
    "presets": Presets,
    "web": Web,
    "weights": Weights,
    "doctor": Doctor,
    "completion": Completion,
}


def _commands(arguments: Sequence[str], axes: tuple[Axis, ...]) -> Any:
    """Returns the subcommands, their defaults those of the preset and file that are named."""
    again = first_picture(arguments) if arguments[:1] == ["rerun"] else None
    otherwise = "texture" if arguments[:1] == ["texture"] else "default"
    name, recipe = base(arguments, otherwise, again)
    own = {"sweep": {"axes": axes}, "rerun": {"source": again}}
    return functools.reduce(
        operator.or_,
        [
            Annotated[
                command,
                subcommand(
                    word,
                    constructor=partial(command, recipe=recipe, preset=name, **own.get(word, {})),
                ),
            ]
            for word, command in _PAINTING.items()
        ]
        + [Annotated[command, subcommand(word)] for word, command in _OTHER.items()],
    )


def print_completion(shell: str) -> None:
    """Prints the script that lets a shell complete what this command takes."""
    with contextlib.suppress(SystemExit):
        _parse(["--tyro-print-completion", shell])


def _is_ruler(row: str) -> bool:
    return bool(row.strip()) and not row.strip("─-╯ ")


def _parse(arguments: Sequence[str]) -> _Command:
    """Parses the arguments; a mistake in them is one line instead of tyro's box."""
    axes: tuple[Axis, ...] = ()
    if list(arguments[:1]) == ["sweep"]:
        arguments, axes = split_axes(arguments)
    if {*arguments[:1]} & {"stylize", "texture", "resume", "rerun"}:
        arguments = fill_watch(arguments)
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
    subcommands = (_PAINTING | _OTHER).keys() & set(arguments[:1])
    return " ".join(["jaxstyle", *subcommands, "--help"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code.

    Args:
        arguments: Without the program's name; those of the process if None.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if processes.is_watched():
        processes.begin_watched()
    if interrupts.IN_COMMAND and "--debug" not in arguments:
        _quieten_libraries()
    if list(arguments[:1]) != ["weights"]:  # Only they have files to tidy up at any time.
        code = _main(arguments)
        if processes.is_watched():
            processes.end_watched(code)
        return code
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
    if "--json" not in arguments:
        return _run(arguments)
    with report.answering() as answer:
        answer["exit_code"] = _run(arguments)
    return answer["exit_code"]


def _run(arguments: Sequence[str]) -> int:
    """Parses, runs, and tells what went wrong."""
    try:
        command = _parse(arguments)
        if processes.are_several(command) and not processes.is_watched():
            processes.check_several(command)
            return processes.watch(arguments)
        return command.run()
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
        elif processes.is_lost(error):
            processes.tell_lost(error)
        else:
            report.print_error(f"{type(error).__name__}: {told} (--debug shows where)")
        return 1


def _with_option(message: str) -> str:
    """Returns a message that begins with a setting's name with the option in its place."""
    word = re.match(r"[a-z]\w*(?=[ :])", message)
    if word and word[0] in {*Recipe.__dataclass_fields__, "devices"}:
        return "--" + word[0].replace("_", "-") + message[word.end() :]
    return message
