"""Options that several subcommands share."""

from pathlib import Path
from typing import Annotated, TypeAlias

from tyro.conf import arg

Cache: TypeAlias = Annotated[
    Path | None,
    arg(
        help="Folder of the downloaded parameters.",
        help_behavior_hint="(default: JAXSTYLE_CACHE, or the user's cache folder)",
    ),
]
Debug: TypeAlias = Annotated[bool, arg(help="Show the traceback of an error.")]
Overwrite: TypeAlias = Annotated[bool, arg(help="Replace the output if it exists.")]
Quiet: TypeAlias = Annotated[bool, arg(help="Print the path of the result only.")]
