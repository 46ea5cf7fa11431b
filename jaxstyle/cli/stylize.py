"""``jaxstyle stylize``: from a photograph and paintings to a picture."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

import jaxstyle as js
from jaxstyle import files, pretrained
from jaxstyle.cli import report, run
from jaxstyle.cli.memory import demand_of
from jaxstyle.cli.options import (
    Cache,
    CompileCache,
    Config,
    Debug,
    Files,
    Overwrite,
    PresetName,
    Quiet,
)
from jaxstyle.errors import InputError
from jaxstyle.files.result import save_result
from jaxstyle.ops import resize
from jaxstyle.recipes.recipe import Recipe


@dataclasses.dataclass(frozen=True)
class Stylize:
    """Paint a photograph in the manner of a painting, or of several."""

    content: Annotated[Positional[Path], arg(metavar="CONTENT")]
    """The photograph."""
    styles: Annotated[
        Positional[tuple[Path, ...]], arg(metavar="STYLE [STYLE …]", help_behavior_hint="")
    ]
    """The painting."""
    output: Annotated[Path, arg(aliases=["-o"])]
    """The picture to write: .png, .jpg, .webp, or .tif with 16 bits."""
    recipe: Recipe
    blend: str | None = None
    """How much each of several paintings counts, as in 3,7; all alike if left out."""
    content_mask: Path | None = None
    """A picture that paints the photograph's regions in flat colours, for --style-mask to match."""
    style_mask: Files = ()
    """The same for the painting; for several, once for each in their order."""
    preset: PresetName = "default"
    config: Config = None
    cache: Cache = None
    compile_cache: CompileCache = True
    overwrite: Overwrite = False
    quiet: Quiet = False
    debug: Debug = False

    def run(self) -> int:
        """Runs the command and returns its exit code."""
        blend = self._blend()
        files.check_output(self.output, overwrite=self.overwrite)
        run.begin(self.cache, keep=self.compile_cache)
        content = files.load_picture(self.content)
        shape = self.recipe.shape_of(resize.shape_of(content.image))
        files.check_output(self.output, overwrite=self.overwrite, shape=shape)
        styles = [files.load_image(path) for path in self.styles]
        # Refused before there is an encoder to wait for.
        seen = [self.recipe.style_shape_of(resize.shape_of(style), shape) for style in styles]
        masks = run.load_masks(self.content_mask, self.style_mask, self.content, self.styles)
        init = run.load_init(self.recipe)
        console = report.console(quiet=self.quiet)
        encoder = run.load_encoder(self.recipe, self.cache, console)

        def paint(callback: Callable[[js.Progress], bool]) -> js.Result:
            return js.paint(
                self.recipe,
                content.image,
                styles,
                encoder=encoder,
                init=init,
                blend=blend,
                content_masks=masks and masks.content,
                style_masks=masks and masks.styles,
                callback=callback,
            )

        def save(path: Path, result: js.Result) -> Path:
            return save_result(
                path,
                result,
                self.recipe,
                fingerprint=pretrained.fingerprint(encoder),
                sources=self._sources(),
                content=content,
                overwrite=self.overwrite and path == self.output,
            )

        demand = demand_of(encoder, self.recipe, shape, seen)
        return run.finish(paint, save, self.output, demand, console)

    def _blend(self) -> list[float] | None:
        if not self.styles:
            raise InputError("no painting: name one after the photograph")
        if self.blend is None:
            return None
        try:
            shares = [float(part) for part in self.blend.split(",")]
        except ValueError:
            raise InputError(f"--blend {self.blend}: no shares; give numbers as in 3,7") from None
        if len(shares) != len(self.styles):
            count = f"{len(shares)} numbers for {len(self.styles)} paintings"
            raise InputError(f"--blend {self.blend}: {count}; give as many")
        return shares

    def _sources(self) -> dict[str, object]:
        sources: dict[str, object] = {
            "content": self.content.name,
            "styles": [path.name for path in self.styles],
            "preset": self.preset,
        }
        if self.blend is not None:
            sources["blend"] = self.blend
        if self.content_mask is not None:
            sources["content_mask"] = self.content_mask.name
            sources["style_masks"] = [path.name for path in self.style_mask]
        return sources
