"""``jaxstyle texture``: a texture from paintings alone."""

import dataclasses
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, Suppress, arg

import jaxstyle as js
from jaxstyle import files, pretrained
from jaxstyle.cli import report, run
from jaxstyle.cli.checkpoints import Folder, Keeper, Run, Seconds, check_folder
from jaxstyle.cli.memory import demand_of
from jaxstyle.cli.options import (
    Cache,
    CompileCache,
    Config,
    Debug,
    Flag,
    Json,
    Overwrite,
    PresetName,
    Quiet,
)
from jaxstyle.cli.watch import UNWATCHED, Watching
from jaxstyle.errors import InputError
from jaxstyle.files.result import digests, save_result
from jaxstyle.ops import resize
from jaxstyle.recipes.paint import texture_shape, texture_side
from jaxstyle.recipes.recipe import Recipe
from jaxstyle.run.progress import Callback


@dataclasses.dataclass(frozen=True)
class Texture:
    """Make a texture from a painting."""

    styles: Annotated[
        Positional[tuple[Path, ...]], arg(metavar="STYLE [STYLE …]", help_behavior_hint="")
    ]
    """The painting."""
    output: Annotated[Path, arg(aliases=["-o"])]
    """The picture to write: .png, .jpg, .webp, or .tif with 16 bits."""
    recipe: Recipe
    seamless: Flag = False
    """Let opposite borders meet, so that copies side by side show no seam."""
    preset: PresetName = "texture"
    config: Config = None
    checkpoint: Folder = None
    checkpoint_every: Seconds = 60.0
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
            raise InputError("no painting: name one")
        overwrite = self.overwrite or self.replaces
        files.check_output(self.output, overwrite=overwrite)
        begun = check_folder(self.checkpoint, self.checkpoint_every)
        run.begin(self.cache, keep=self.compile_cache)
        recipe = self._recipe()
        shape = texture_shape(recipe)
        files.check_output(self.output, overwrite=overwrite, shape=shape)
        styles = [files.load_image(path) for path in self.styles]
        init = run.load_init(recipe)
        console = report.console(quiet=self.quiet)
        watchers, every = self.watching.make(
            self.output, recipe, shape, console, overwrite=self.overwrite, begun=begun
        )
        encoder = run.load_encoder(recipe, self.cache, console)
        fingerprint, sources = pretrained.fingerprint(encoder), self._sources(recipe)
        options = {"overwrite": self.overwrite, "watching": self.watching.to_table()}
        facts = sources, fingerprint, {"styles": self.styles}, options, self.output
        keeper = Keeper(self.checkpoint, self.checkpoint_every, Run("texture", recipe, *facts))

        def paint(recipe: Recipe, resume: js.Checkpoint | None, callback: Callback) -> js.Result:
            return js.paint(
                recipe,
                None,
                styles,
                encoder=encoder,
                init=init,
                callback=callback,
                callback_every=every,
                resume=resume,
            )

        def save(path: Path, recipe: Recipe, result: js.Result) -> Path:
            return save_result(
                path,
                result,
                recipe,
                fingerprint=fingerprint,
                sources=sources,
                overwrite=overwrite and path == self.output,
            )

        side = texture_side(recipe)
        seen = [side.style_shape_of(resize.shape_of(style), shape) for style in styles]
        demand = demand_of(encoder, recipe, shape, seen)
        return run.finish(paint, save, self.output, demand, console, watchers, keeper)

    def _sources(self, recipe: Recipe) -> dict[str, object]:
        return {
            "styles": [style.name for style in self.styles],
            "preset": self.preset,
            "sha256": digests(styles=self.styles, init=run.init_file(recipe)),
        }

    def _recipe(self) -> Recipe:
        """Returns the recipe as a texture takes it: without a photograph to keep or start from."""
        recipe = self.recipe.replace(content_layers={})
        if recipe.init in ("content", "matched"):
            recipe = recipe.replace(init="noise")
        return recipe.replace(padding="circular") if self.seamless else recipe
