"""``jaxstyle stylize``: from a photograph and paintings to a picture."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import jax
from tyro.conf import Positional, arg

import jaxstyle as js
from jaxstyle import files
from jaxstyle.cli import processes, report, run
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
    devices: Annotated[str | None, arg(metavar="N|all")] = None
    """How many devices share the picture's rows; JAX's first one has it all if left out."""
    coordinator: Annotated[str | None, arg(metavar="HOST:PORT")] = None
    """Where process 0 listens, if several processes share the picture and no launcher tells."""
    process_id: int | None = None
    """Which of them this is, from 0; process 0 writes the picture."""
    num_processes: int | None = None
    """How many there are."""
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
        processes.join(self)
        files.check_output(self.output, overwrite=self.overwrite)
        run.begin(self.cache, keep=self.compile_cache)
        mesh, writes = processes.mesh_of(self), jax.process_index() == 0
        content = files.load_picture(self.content)
        shape = self.recipe.shape_of(resize.shape_of(content.image))
        files.check_output(self.output, overwrite=self.overwrite, shape=shape)
        styles = [files.load_image(path) for path in self.styles]
        # Refused before there is an encoder to wait for.
        seen = [self.recipe.style_shape_of(resize.shape_of(style), shape) for style in styles]
        masks = self._load_masks()
        init = run.load_init(self.recipe)
        console = report.console(quiet=self.quiet or not writes)
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
                mesh=mesh,
            )

        def save(path: Path, result: js.Result) -> Path:
            return files.save_image(
                path,
                result.image,
                alpha=run.alpha_of(content, result),
                metadata=run.portable(self.recipe).to_table(),
                provenance=run.provenance(encoder, result, self._sources()),
                overwrite=self.overwrite and path == self.output,
            )

        demand = demand_of(encoder, self.recipe, shape, seen)
        return run.finish(paint, save, self.output, demand, console, writes=writes)

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

    def _load_masks(self) -> files.Masks | None:
        if self.content_mask is None and not self.style_mask:
            return None
        if self.content_mask is None or not self.style_mask:
            lacking = "--style-mask" if self.content_mask else "--content-mask"
            raise InputError(f"{lacking}: missing; masks come for the photograph and the painting")
        masks = files.load_masks(
            self.content_mask, self.style_mask, content=self.content, styles=self.styles
        )
        for line in masks.remarks:  # Said even if quiet: not all that was painted counts.
            report.console().print(report.plain(line))
        return masks

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
