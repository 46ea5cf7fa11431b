"""``jaxstyle texture``: a texture from paintings alone."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

import jaxstyle as js
from jaxstyle import files
from jaxstyle.cli import report, run
from jaxstyle.cli.memory import demand_of
from jaxstyle.cli.options import (
    Cache,
    CompileCache,
    Config,
    Debug,
    Flag,
    Overwrite,
    PresetName,
    Quiet,
)
from jaxstyle.errors import InputError
from jaxstyle.ops import resize
from jaxstyle.recipes.paint import texture_shape
from jaxstyle.recipes.recipe import Recipe


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
    cache: Cache = None
    compile_cache: CompileCache = True
    overwrite: Overwrite = False
    quiet: Quiet = False
    debug: Debug = False

    def run(self) -> int:
        """Runs the command and returns its exit code."""
        if not self.styles:
            raise InputError("no painting: name one")
        files.check_output(self.output, overwrite=self.overwrite)
        run.begin(self.cache, keep=self.compile_cache)
        recipe = self._recipe()
        shape = texture_shape(recipe)
        files.check_output(self.output, overwrite=self.overwrite, shape=shape)
        styles = [files.load_image(path) for path in self.styles]
        init = run.load_init(recipe)
        console = report.console(quiet=self.quiet)
        encoder = run.load_encoder(recipe, self.cache, console)

        def paint(recipe: Recipe, callback: Callable[[js.Progress], bool]) -> js.Result:
            return js.paint(recipe, None, styles, encoder=encoder, init=init, callback=callback)

        def save(path: Path, recipe: Recipe, result: js.Result) -> Path:
            sources = {"styles": [style.name for style in self.styles], "preset": self.preset}
            return files.save_image(
                path,
                result.image,
                metadata=run.portable(recipe).to_table(),
                provenance=run.provenance(encoder, result, sources),
                overwrite=self.overwrite and path == self.output,
            )

        demand = demand_of(encoder, recipe, shape, [resize.shape_of(s) for s in styles])
        return run.finish(paint, save, self.output, demand, console)

    def _recipe(self) -> Recipe:
        """Returns the recipe as a texture takes it: without a photograph to keep or start from."""
        recipe = self.recipe.replace(content_layers={})
        if recipe.init in ("content", "matched"):
            recipe = recipe.replace(init="noise")
        return recipe.replace(padding="circular") if self.seamless else recipe
