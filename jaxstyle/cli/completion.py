"""``jaxstyle completion``: prints a script that completes subcommands, options and files."""

import argparse
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import shtab
from tyro.conf import Positional, arg

from jaxstyle import pretrained
from jaxstyle.cli import usage
from jaxstyle.cli.options import Debug
from jaxstyle.recipes.presets import PRESETS


@dataclasses.dataclass(frozen=True)
class Completion:
    """Print a completion script; load it with eval "$(jaxstyle completion bash)"."""

    shell: Annotated[Positional[Literal["bash", "zsh", "fish"]], arg(metavar="SHELL")]
    """bash, zsh or fish."""
    debug: Debug = False

    def run(self) -> int:
        """Runs the command and returns its exit code."""
        from jaxstyle.cli import COMMANDS  # this module is one of them

        parser = argparse.ArgumentParser("jaxstyle")
        parser.add_argument("--version", action="store_true", help="Print the version.")
        _add_subcommands(parser, COMMANDS)
        print(shtab.complete(parser, self.shell))
        return 0


def _add_subcommands(parser: argparse.ArgumentParser, commands: Mapping[str, type]) -> None:
    subparsers = parser.add_subparsers()
    for word, command in commands.items():
        summary = (command.__doc__ or "").partition("\n")[0]
        added = subparsers.add_parser(word, help=_escaped(summary))
        for option in usage.options_of(command):
            _add(added, option)
        if nested := usage.subcommands_of(command):
            _add_subcommands(added, nested)


def _add(parser: argparse.ArgumentParser, option: usage.Option) -> None:
    """Adds an option, and what completes its value."""
    names = [option.name] if Positional in option.metadata else option.flags
    settings: dict[str, Any] = {"help": _escaped(option.help)}
    if option.kind is bool:
        parser.add_argument(*names, action="store_true", **settings)
        return
    if get_args(option.kind)[1:] == (...,):
        settings["nargs"] = "*"
    choices = option.choices or _names(option.name)
    action: Any = parser.add_argument(*names, choices=choices or None, **settings)
    if Path in _kinds(option.kind):
        action.complete = shtab.FILE


def _kinds(kind: Any) -> Iterator[Any]:
    yield kind
    for inner in get_args(kind):
        yield from _kinds(inner)


def _names(option: str) -> list[str]:
    """Returns the names that an option accepts."""
    if option == "preset":
        return list(PRESETS)
    if option == "encoder":
        return [encoder.name for encoder in pretrained.available(None)]
    return []


def _escaped(text: str) -> str:
    return text.replace("%", "%%")
