"""``jaxstyle texture``: makes a texture from paintings."""

import dataclasses
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, Suppress, arg

from jaxstyle.cli.options import (
    Cache,
    CheckpointEvery,
    CheckpointFolder,
    CompileCache,
    Config,
    Debug,
    Flag,
    Json,
    Overwrite,
    PresetName,
    Quiet,
)
from jaxstyle.cli.run import run_job
from jaxstyle.cli.streams import lenient_stderr
from jaxstyle.cli.watch import UNWATCHED, Watching
from jaxstyle.errors import InputError
from jaxstyle.jobs import Job
from jaxstyle.recipes.paint import named_init
from jaxstyle.recipes.recipe import INITS, Recipe


@dataclasses.dataclass(frozen=True)
class Texture:
    """Make a texture from a painting."""

    styles: Annotated[
        Positional[tuple[Path, ...]], arg(metavar="STYLE [STYLE …]", help_behavior_hint="")
    ]
    """The painting, or the name of one in the gallery; see `jaxstyle styles`."""
    output: Annotated[Path, arg(aliases=["-o"])]
    """Picture to write: .png, .jpg, .webp, or .tif with 16 bits."""
    recipe: Recipe
    seamless: Flag = False
    """Make opposite borders match, so that tiled copies show no seam."""
    preset: PresetName = "texture"
    config: Config = None
    checkpoint: CheckpointFolder = None
    checkpoint_every: CheckpointEvery = 60.0
    cache: Cache = None
    compile_cache: CompileCache = True
    overwrite: Overwrite = False
    replaces: Suppress[bool] = False
    watching: Watching = UNWATCHED
    json: Json = False
    quiet: Quiet = False
    debug: Debug = False

    def run(self) -> int:
        """Runs the command and returns its exit code."""
        if not self.styles:
            raise InputError("no painting: give one")
        with lenient_stderr():
            return run_job(self, "texture", self.job(), options={})

    def job(self) -> Job:
        """Returns the job to paint."""
        facts, recipe = {"preset": self.preset}, self._recipe()
        return Job(recipe=recipe, styles=self.styles, output=str(self.output), facts=facts)

    def _recipe(self) -> Recipe:
        """Returns the recipe without a photograph as content or initial image."""
        recipe = self.recipe.replace(content_layers={})
        if recipe.init in ("content", "matched"):
            recipe = recipe.replace(init="noise")
        if recipe.init in INITS:
            named_init(recipe.init)
        return recipe.replace(padding="circular") if self.seamless else recipe
