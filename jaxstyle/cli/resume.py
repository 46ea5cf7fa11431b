"""``jaxstyle resume``: go on with a run that was killed, from its last checkpoint."""

import contextlib
import dataclasses
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from jaxstyle import files
from jaxstyle.cli import checkpoints
from jaxstyle.cli.options import Cache, CompileCache, Debug, Json, Overwrite, Quiet
from jaxstyle.cli.stylize import Stylize
from jaxstyle.cli.texture import Texture
from jaxstyle.cli.watch import UNWATCHED, Watching
from jaxstyle.errors import InputError
from jaxstyle.recipes.recipe import Recipe

_COMMANDS = {"stylize": Stylize, "texture": Texture}

# All but what the memory of a machine decides.
_DECIDED = {field.name for field in dataclasses.fields(Recipe)} - {"memory", "history"}


@dataclasses.dataclass(frozen=True)
class Resume:
    """Go on with a run that --checkpoint has kept: to the picture that it would have become."""

    folder: Annotated[Positional[Path], arg(metavar="DIR")]
    """What --checkpoint was given."""
    output: Annotated[Path | None, arg(aliases=["-o"], help_behavior_hint="")] = None
    """The picture to write; what the run was told if left out."""
    checkpoint_every: checkpoints.Seconds = 60.0
    cache: Cache = None
    compile_cache: CompileCache = True
    overwrite: Overwrite = False
    watching: Watching = UNWATCHED
    json: Json = False
    quiet: Quiet = False
    debug: Debug = False

    def run(self) -> int:
        """Runs the command and returns its exit code."""
        found = checkpoints.read_run(self.folder)
        run, output = found["run"], self.output or Path(found["output"])
        here = {name: self._here(paths) for name, paths in found["files"].items()}
        own = {name: str(here.pop(name)) for name in ("init", "encoder") if name in here}
        options = found["options"] | here
        # Its own output, as it was told, or what this very run has left there, stopped or not.
        told = bool(options.pop("overwrite", False)) and output == Path(found["output"])
        try:
            watching = self.watching.over(options.pop("watching", {}))
            command = _COMMANDS[run["command"]](
                output=output,
                recipe=Recipe().updated(found["recipe"] | own),
                preset=run["sources"]["preset"],
                checkpoint=self.folder,
                checkpoint_every=self.checkpoint_every,
                cache=self.cache,
                compile_cache=self.compile_cache,
                overwrite=self.overwrite,
                replaces=told or _is_picture_of(output, run),
                watching=watching,
                quiet=self.quiet,
                debug=self.debug,
                **options,
            )
        except (KeyError, TypeError):
            raise InputError(f"{self.folder}: of another version of jaxstyle; use that") from None
        return command.run()

    def _here(self, paths: Any) -> Any:
        if isinstance(paths, str):
            return self.folder / paths
        return tuple(self.folder / path for path in paths)


def _is_picture_of(path: Path, run: dict[str, Any]) -> bool:
    """Tells whether a picture says that a run has made it."""
    with contextlib.suppress(InputError):
        settings, provenance = files.load_metadata(path)
        told = run["sources"] | {"encoder_sha256": run["encoder_sha256"]}
        same = all(settings.get(name) == run["settings"].get(name) for name in _DECIDED)
        return same and told.items() <= provenance.items()
    return False
