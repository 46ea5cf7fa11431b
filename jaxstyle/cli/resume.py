"""``jaxstyle resume``: continues an interrupted run from its last checkpoint."""

import contextlib
import dataclasses
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from jaxstyle import files
from jaxstyle.cli.options import (
    Cache,
    CheckpointEvery,
    CompileCache,
    Debug,
    Json,
    Overwrite,
    Quiet,
)
from jaxstyle.cli.stylize import Stylize
from jaxstyle.cli.texture import Texture
from jaxstyle.cli.watch import UNWATCHED, Watching
from jaxstyle.errors import InputError
from jaxstyle.jobs.checkpoints import read_run
from jaxstyle.recipes.recipe import Recipe

_COMMANDS = {"stylize": Stylize, "texture": Texture}

# The free memory decides the other two.
_DECIDED = {field.name for field in dataclasses.fields(Recipe)} - {"memory", "history"}


@dataclasses.dataclass(frozen=True)
class Resume:
    """Continue a run that was started with --checkpoint, to the same result."""

    folder: Annotated[Positional[Path], arg(metavar="DIR")]
    """The folder given to --checkpoint."""
    output: Annotated[Path | None, arg(aliases=["-o"], help_behavior_hint="")] = None
    """Picture to write; by default, the output of the run."""
    checkpoint_every: CheckpointEvery = 60.0
    cache: Cache = None
    compile_cache: CompileCache = True
    overwrite: Overwrite = False
    watching: Watching = UNWATCHED
    json: Json = False
    quiet: Quiet = False
    debug: Debug = False

    def run(self) -> int:
        """Runs the command and returns its exit code."""
        saved = read_run(self.folder)
        output = self.output or Path(saved["output"])
        try:
            command = self._command(saved, output)
        except (KeyError, TypeError, AttributeError):
            raise InputError(
                f"{self.folder / 'run.json'}: is damaged, or from another version of jaxstyle; "
                "use that version, or start a new run in another folder"
            ) from None
        return command.run()

    def _command(self, saved: dict[str, Any], output: Path) -> Stylize | Texture:
        run = saved["run"]
        copies = {name: self._copies(paths) for name, paths in saved["files"].items()}
        settings = {name: str(copies.pop(name)) for name in ("init", "encoder") if name in copies}
        options = saved["options"] | copies
        # The run's own output may be replaced if that was allowed, or if this run has written it.
        allowed = bool(options.pop("overwrite", False)) and output == Path(saved["output"])
        return _COMMANDS[run["command"]](
            output=output,
            recipe=Recipe().updated(saved["recipe"] | settings),
            preset=run["sources"]["preset"],
            checkpoint=self.folder,
            checkpoint_every=self.checkpoint_every,
            cache=self.cache,
            compile_cache=self.compile_cache,
            overwrite=self.overwrite,
            replaces=allowed or _is_picture_of(output, run),
            watching=self.watching.over(options.pop("watching", {})),
            quiet=self.quiet,
            debug=self.debug,
            **options,
        )

    def _copies(self, paths: Any) -> Any:
        if isinstance(paths, str):
            return self.folder / paths
        return tuple(self.folder / path for path in paths)


def _is_picture_of(path: Path, run: dict[str, Any]) -> bool:
    """Returns whether a picture records that it was painted by a run."""
    with contextlib.suppress(InputError):
        settings, provenance = files.load_metadata(path)
        recorded = run["sources"] | {"encoder_sha256": run["encoder_sha256"]}
        same = all(settings.get(name) == run["settings"].get(name) for name in _DECIDED)
        return same and recorded.items() <= provenance.items()
    return False
