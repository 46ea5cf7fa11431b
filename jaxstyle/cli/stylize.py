"""``jaxstyle stylize``: from a photograph and paintings to a picture."""

import dataclasses
from pathlib import Path
from typing import Annotated

import jax
from tyro.conf import Positional, Suppress, arg

import jaxstyle as js
from jaxstyle import files, pretrained
from jaxstyle.cli import processes, report, run
from jaxstyle.cli.checkpoints import Folder, Keeper, Run, Seconds, check_folder
from jaxstyle.cli.memory import demand_of
from jaxstyle.cli.options import (
    Cache,
    CompileCache,
    Config,
    Debug,
    Files,
    Json,
    Overwrite,
    PresetName,
    Quiet,
)
from jaxstyle.cli.watch import UNWATCHED, Watching
from jaxstyle.errors import InputError
from jaxstyle.files.result import digests, opacity_of, save_result
from jaxstyle.ops import resize
from jaxstyle.recipes.paint import shared
from jaxstyle.recipes.recipe import Recipe
from jaxstyle.run.progress import Callback

_PICTURES = ("content", "styles", "content_mask", "style_mask")


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
    checkpoint: Folder = None
    checkpoint_every: Seconds = 60.0
    strip: bool = False
    """Leave out the photograph's date, artist, copyright and resolution."""
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
        blend = self._blend()
        processes.join(self)
        overwrite = self.overwrite or self.replaces
        files.check_output(self.output, overwrite=overwrite)
        begun = check_folder(self.checkpoint, self.checkpoint_every)
        run.begin(self.cache, keep=self.compile_cache)
        mesh, writes = processes.mesh_of(self), jax.process_index() == 0
        recipe = self.recipe if mesh is None else shared(self.recipe)
        content = files.load_picture(self.content)
        content = content._replace(info=files.PhotoInfo()) if self.strip else content
        shape = self.recipe.shape_of(resize.shape_of(content.image))
        files.check_output(self.output, overwrite=overwrite, shape=shape)
        styles = [files.load_image(path) for path in self.styles]
        # Refused before there is an encoder to wait for.
        seen = [self.recipe.style_shape_of(resize.shape_of(style), shape) for style in styles]
        masks = run.load_masks(self.content_mask, self.style_mask, self.content, self.styles)
        init = run.load_init(self.recipe)
        console = report.console(quiet=self.quiet or not writes)
        watchers, every = self.watching.make(
            self.output,
            recipe,
            shape,
            console,
            overwrite=self.overwrite,
            begun=begun,
            writes=writes,
            alpha=lambda image: opacity_of(content, image),
        )
        encoder = run.load_encoder(self.recipe, self.cache, console)
        fingerprint, sources = pretrained.fingerprint(encoder), self._sources()
        keeper = Keeper(self.checkpoint, self.checkpoint_every, self._run(sources, fingerprint))

        def paint(recipe: Recipe, resume: js.Checkpoint | None, callback: Callback) -> js.Result:
            return js.paint(
                recipe,
                content.image,
                styles,
                encoder=encoder,
                init=init,
                blend=blend,
                content_masks=masks and masks.content,
                style_masks=masks and masks.styles,
                callback=callback,
                callback_every=every,
                resume=resume,
                scratch=files.scratch,
                mesh=mesh,
            )

        def save(path: Path, recipe: Recipe, result: js.Result) -> Path:
            return save_result(
                path,
                result,
                recipe,
                fingerprint=fingerprint,
                sources=sources if mesh is None else {**sources, "devices": len(mesh)},
                content=content,
                overwrite=overwrite and path == self.output,
            )

        demand = demand_of(
            encoder,
            recipe,
            shape,
            seen,
            devices=processes.memories_of(mesh),
            shared=mesh is not None,
            masks=masks,
        )
        return run.finish(
            paint, save, self.output, demand, console, watchers, keeper, writes=writes
        )

    def _run(self, sources: dict[str, object], fingerprint: str) -> Run:
        pictures = {name: getattr(self, name) for name in _PICTURES}
        options = {"blend": self.blend, "overwrite": self.overwrite, "devices": self.devices}
        options |= {"watching": self.watching.to_table(), "strip": self.strip}
        facts = sources, fingerprint, pictures, options, self.output
        return Run("stylize", self.recipe, *facts)

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
        if self.strip:
            sources["strip"] = True
        if self.blend is not None:
            sources["blend"] = self.blend
        if self.content_mask is not None:
            sources["content_mask"] = self.content_mask.name
            sources["style_masks"] = [path.name for path in self.style_mask]
        sources["sha256"] = digests(
            content=self.content,
            styles=self.styles,
            content_mask=self.content_mask,
            style_masks=self.style_mask,
            init=run.init_file(self.recipe),
        )
        return sources
