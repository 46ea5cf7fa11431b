"""``jaxstyle completion``: a script that lets a shell complete subcommands and options."""

import dataclasses
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from jaxstyle.cli.options import Debug


@dataclasses.dataclass(frozen=True)
class Completion:
    """Print a completion script: eval "$(jaxstyle completion bash)", or source it from a file."""

    shell: Annotated[Positional[Literal["bash", "zsh", "fish"]], arg(metavar="SHELL")]
    """bash, zsh or fish."""
    debug: Debug = False

    def run(self) -> int:
        """Runs the command and returns its exit code."""
        from jaxstyle.cli import print_completion  # The script tells of all subcommands.

        print_completion(self.shell)
        return 0
