"""``jaxstyle presets``: lists and prints presets."""

import dataclasses
from typing import Annotated

import tomli_w
from tyro.conf import Positional, arg, subcommand

from jaxstyle.cli import report
from jaxstyle.cli.options import Debug, Json
from jaxstyle.recipes import presets


@dataclasses.dataclass(frozen=True)
class List:
    """List all presets and their sources."""

    json: Json = False
    debug: Debug = False

    def run(self) -> int:
        """Runs the command and returns its exit code."""
        rows = [(name, preset.source) for name, preset in presets.PRESETS.items()]
        report.print_table(rows, ("name", "source"))
        return 0


@dataclasses.dataclass(frozen=True)
class Show:
    """Print a preset as TOML, to edit and to pass to --config."""

    name: Annotated[Positional[str], arg(metavar="NAME")]
    """Name of a preset; see `jaxstyle presets`."""
    debug: Debug = False

    def run(self) -> int:
        """Runs the command and returns its exit code."""
        recipe = presets.preset(self.name)
        print(f"# {presets.PRESETS[self.name].source}")
        print(tomli_w.dumps(recipe.to_table()), end="")
        return 0


@dataclasses.dataclass(frozen=True)
class Presets:
    """List the presets, or print one as TOML."""

    command: Annotated[List, subcommand("list")] | Annotated[Show, subcommand("show")] = (
        dataclasses.field(default_factory=List)
    )

    def run(self) -> int:
        """Runs the command and returns its exit code."""
        return self.command.run()
