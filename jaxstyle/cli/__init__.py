"""The command. Thin: it reads options, calls the library and tells what happened.

Options are generated from dataclasses, a module a subcommand, whose defaults are the library's own.
Results go to stdout, everything else to stderr. Exit codes: 0 done, 1 a fault of ours, 2 bad input,
130 Ctrl-C.
"""

import contextlib
import io
import itertools
import os
import sys
from collections.abc import Sequence
from typing import Annotated, TypeAlias

import tyro
from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, OmitSubcommandPrefixes, subcommand

import jaxstyle as js
from jaxstyle.cli.stylize import Stylize
from jaxstyle.cli.weights import Weights
from jaxstyle.errors import InputError

_Command: TypeAlias = (
    Annotated[Stylize, subcommand("stylize")] | Annotated[Weights, subcommand("weights")]
)


def _parse(arguments: Sequence[str]) -> Stylize | Weights:
    """Parses the arguments; a mistake in them is one line instead of tyro's box."""
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            return tyro.cli(
                _Command,  # pyright: ignore[reportArgumentType]
                prog="jaxstyle",
                description=js.__doc__,
                args=arguments,
                config=(OmitArgPrefixes, OmitSubcommandPrefixes, FlagCreatePairsOff),
            )
    except SystemExit as error:
        if error.code != 2:
            raise
        rows = [
            line.removeprefix("│ ").removesuffix("│") for line in box.getvalue().splitlines()[1:]
        ]
        rows = itertools.takewhile(lambda row: not row.startswith(("─", "╰")), rows)
        # The deeply indented rows repeat the help of an option.
        told = " ".join(row.strip() for row in rows if not row.startswith(" " * 8))
        raise InputError(f"{told.rstrip('.')}; see jaxstyle --help") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code.

    Args:
        arguments: Without the program's name; those of the process if None.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
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
            print(f"jaxstyle: {error}", file=sys.stderr)
            return 2
        told = str(error).strip().partition("\n")[0]
        if "RESOURCE_EXHAUSTED" in told or isinstance(error, MemoryError):
            print("jaxstyle: out of memory; try a smaller --size", file=sys.stderr)
        else:
            kind = type(error).__name__
            print(f"jaxstyle: {kind}: {told} (--debug shows where)", file=sys.stderr)
        return 1
