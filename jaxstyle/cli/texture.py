"""``jaxstyle texture``: a texture from paintings alone."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

import jaxstyle as js
from jaxstyle import files, report, resize
from jaxstyle.cli import run
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
from jaxstyle.recipe import Recipe


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
        run.check_devices()
        if self.compile_cache:
            run.keep_programs(self.cache)
        recipe = dataclasses.replace(self.recipe, content_layers={})
        if self.seamless:
            recipe = dataclasses.replace(recipe, padding="circular")
        if recipe.size == "original":
            raise InputError("size original: a texture has no photograph; give WIDTHxHEIGHT")
        shape = recipe.shape_of((1, 1))
        files.check_output(self.output, overwrite=self.overwrite, shape=shape)
        # The painting keeps its own proportions: its strokes are what counts.
        free = dataclasses.replace(recipe, size=max(shape), side="longer")
        styles = [run.load_style(path, free, shape) for path in self.styles]
        init = run.load_init(recipe.init)
        console = report.console(quiet=self.quiet)
        encoder = run.load_encoder(recipe, self.cache, console)

        def texture(callback: Callable[[js.Progress], bool]) -> js.Result:
            return js.texture(
                encoder,
                styles,
                shape,
                **recipe.make_options(),
                init="noise" if init in ("content", "matched") else init,
                callback=callback,
            )

        def save(path: Path, result: js.Result) -> Path:
            sources = {"styles": [path.name for path in self.styles], "preset": self.preset}
            return files.save_image(
                path,
                result.image,
                metadata=run.settings(recipe, encoder, result, sources),
                overwrite=self.overwrite and path == self.output,
            )

        demand = demand_of(encoder, recipe, shape, [resize.shape_of(s) for s in styles])
        return run.finish(texture, save, self.output, demand, console)
