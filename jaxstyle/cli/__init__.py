"""The command line: reads options, calls the library, and reports results and errors.

Options are generated from dataclasses, one module per subcommand, with the defaults of the library.
Results go to stdout and everything else to stderr. Exit codes: 0 success; 1 failure that the input
does not cause; 2 bad input; 129, 130, 143 stopped by SIGHUP, Ctrl-C, SIGTERM.
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
from types import SimpleNamespace
from typing import Annotated, Any, Protocol, runtime_checkable

import tyro
from tyro.conf import (
    OmitArgPrefixes,
    OmitSubcommandPrefixes,
    PositionalMetavarFromFieldName,
    subcommand,
)

import jaxstyle as js
from jaxstyle import interrupts
from jaxstyle.cli import processes, report, usage
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
from jaxstyle.cli.styles import Styles
from jaxstyle.cli.stylize import Stylize
from jaxstyle.cli.sweep import Sweep
from jaxstyle.cli.texture import Texture
from jaxstyle.cli.video import Video
from jaxstyle.cli.watch import fill_watch
from jaxstyle.cli.web import Web
from jaxstyle.cli.weights import Weights
from jaxstyle.errors import InputError, InputWarning, ResourceError
from jaxstyle.recipes.fitting import is_exhausted
from jaxstyle.recipes.recipe import Recipe


@runtime_checkable
class _Command(Protocol):
    """A parsed command line."""

    def run(self) -> int: ...


# The commands that take a recipe: each of its fields is an option.
_PAINTING = {
    "stylize": Stylize,
    "video": Video,
    "batch": Batch,
    "sweep": Sweep,
    "texture": Texture,
    "rerun": Rerun,
}
COMMANDS: dict[str, type] = _PAINTING | {
    "resume": Resume,
    "plot": Plot,
    "presets": Presets,
    "styles": Styles,
    "web": Web,
    "weights": Weights,
    "doctor": Doctor,
    "completion": Completion,
}


def _defaults(arguments: Sequence[str], axes: tuple[Axis, ...]) -> dict[str, Any]:
    """Returns the defaults of a command line, from its preset, file or picture."""
    word = arguments[0]
    picture = first_picture(arguments) if word == "rerun" else None
    name, recipe = base(arguments, "texture" if word == "texture" else "default", picture)
    own = {"sweep": {"axes": axes}, "rerun": {"source": picture}}
    return {"recipe": recipe, "preset": name, **own.get(word, {})}


def _parse(arguments: Sequence[str]) -> _Command:
    """Parses the arguments.

    Raises:
        InputError: The arguments are invalid; the message has one line.
    """
    chosen = next((word for word in arguments[:1] if not word.startswith("-")), None)
    if chosen is not None and chosen not in COMMANDS:
        near = "".join(f"; perhaps {n}" for n in _near([chosen], [*COMMANDS, "--help"]))
        raise InputError(f"{chosen}: unknown subcommand{near}; see jaxstyle --help")
    axes: tuple[Axis, ...] = ()
    if chosen == "sweep":
        arguments, axes = split_axes(arguments)
    if chosen in ("stylize", "texture", "resume", "rerun"):
        arguments = fill_watch(arguments)
    defaults = _defaults(arguments, axes) if chosen in _PAINTING else {}
    if {"-h", "--help"} & {*arguments}:
        kind: Any = usage.root(COMMANDS, chosen, SimpleNamespace(**defaults))
    else:
        kinds = [
            Annotated[kind, subcommand(word, constructor=partial(kind, **defaults))]
            if word == chosen and defaults
            else Annotated[kind, subcommand(word)]
            for word, kind in COMMANDS.items()
        ]
        kind = functools.reduce(operator.or_, kinds)
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            return tyro.cli(
                kind,
                prog="jaxstyle",
                description=js.__doc__,
                args=arguments,
                config=(OmitArgPrefixes, OmitSubcommandPrefixes, PositionalMetavarFromFieldName),
                registry=registry,
            )
    except SystemExit as error:
        if error.code != 2:
            raise
        raise _refused(box.getvalue(), chosen) from None


def _refused(box: str, chosen: str | None) -> InputError:
    """Returns tyro's error message as one line."""
    # The box has lines, or only dashes where the terminal's encoding lacks them.
    rows = [line[2:].removesuffix("│") for line in box.splitlines()[1:]]
    rows = itertools.dropwhile(_is_ruler, rows)
    rows = itertools.takewhile(lambda row: not _is_ruler(row), rows)
    # The deeply indented rows repeat the help of an option.
    message = " ".join(row.strip() for row in rows if not row.startswith(" " * 8)).rstrip(".")
    # An error of jaxstyle needs no reference to the help.
    if ours := re.match(r"Error parsing \S*recipe: (.*)", message):
        return InputError(ours[1])
    shown = " ".join(filter(None, ("jaxstyle", chosen, "--help")))
    if message.startswith("Unrecognized options") and chosen:
        options = usage.options_of(COMMANDS[chosen])
        names = [flag for option in options for flag in option.flags]
        near = _near(re.findall(r"--[a-z-]+", message), names)
        message += f"; perhaps {', '.join(near)}" if near else ""
    return InputError(f"{message}; see {shown}")


def _near(words: Sequence[str], names: Sequence[str]) -> list[str]:
    return [near for word in words for near in difflib.get_close_matches(word, names, 1)]


def _is_ruler(row: str) -> bool:
    return bool(row.strip()) and not row.strip("─-╯ ")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code.

    Args:
        arguments: Arguments without the name of the program; by default, those of the process.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if processes.is_watched():
        processes.begin_watched()
    if interrupts.IN_COMMAND and "--debug" not in arguments:
        _quieten_libraries()
    if list(arguments[:1]) != ["weights"]:  # Only `weights` has files to remove at any time.
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
    """Hides warnings of libraries, which users of the command cannot act on."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", InputWarning)
    warnings.showwarning = _show_warning
    shown = sys.unraisablehook

    def show(unraisable: Any) -> None:
        # Python cannot raise it there, for example during garbage collection.
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            shown(unraisable)

    sys.unraisablehook = show


def _show_warning(message: Warning | str, category: type[Warning], *where: Any) -> None:
    if issubclass(category, InputWarning):
        report.print_error(message)
    else:
        sys.stderr.write(warnings.formatwarning(message, category, *where[:2]))


def _main(arguments: Sequence[str]) -> int:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # Characters that the terminal lacks are escaped.
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
    """Parses and runs a command line, and reports its error."""
    try:
        command = _parse(arguments)
        if processes.are_several(command) and not processes.is_watched():
            processes.check_several(command)
            return processes.watch(arguments)
        return command.run()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # The reader has closed the pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if "--debug" in arguments:
            raise
        if isinstance(error, InputError):
            message = str(error)
            is_weights = list(arguments[:1]) == ["weights"]
            report.print_error(message if is_weights else _with_option(message))
            return 2
        if isinstance(error, OSError) and error.filename and error.strerror:
            report.print_error(f"{error.filename}: {error.strerror}")
            return 2
        message = str(error).strip().partition("\n")[0]
        if isinstance(error, ResourceError):
            report.print_error(error)
        elif is_exhausted(error):  # while loading large files
            report.print_error("out of memory: close other programs, or use smaller files")
        elif processes.is_lost(error):
            processes.tell_lost(error)
        else:
            report.print_error(f"{type(error).__name__}: {message} (--debug shows where)")
        return 1


def _with_option(message: str) -> str:
    """Returns a message with the name of a setting at its beginning replaced by the option."""
    word = re.match(r"[a-z]\w*(?=[ :])", message)
    if word and word[0] in {*Recipe.__dataclass_fields__, "devices"}:
        return "--" + word[0].replace("_", "-") + message[word.end() :]
    return message
