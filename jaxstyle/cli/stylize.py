"""``jaxstyle stylize``: paints a photograph in the style of paintings."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import jax
from tyro.conf import Positional, Suppress, arg

from jaxstyle import files
from jaxstyle.cli import processes
from jaxstyle.cli.options import (
    Cache,
    CheckpointEvery,
    CheckpointFolder,
    CompileCache,
    Config,
    ContentMask,
    Debug,
    Json,
    Overwrite,
    PresetName,
    Quiet,
    Strip,
    StyleMask,
)
from jaxstyle.cli.run import check_devices, check_masks, run_job
from jaxstyle.cli.streams import lenient_stderr
from jaxstyle.cli.watch import UNWATCHED, Watching
from jaxstyle.errors import InputError
from jaxstyle.jobs import Job
from jaxstyle.jobs.provenance import STRIP
from jaxstyle.recipes.recipe import Recipe


@dataclasses.dataclass(frozen=True)
class Stylize:
    """Paint a photograph in the style of one or more paintings."""

    content: Annotated[Positional[Path], arg(metavar="CONTENT")]
    """The photograph, or the name of one in the gallery; see `jaxstyle styles`."""
    styles: Annotated[
        Positional[tuple[Path, ...]], arg(metavar="STYLE [STYLE …]", help_behavior_hint="")
    ]
    """The painting, or the name of one in the gallery, such as starry-night."""
    output: Annotated[Path, arg(aliases=["-o"])]
    """Picture to write: .png, .jpg, .webp, or .tif with 16 bits."""
    recipe: Recipe
    blend: str | None = None
    """Weights of several paintings, as in 3,7; by default, equal weights."""
    content_mask: ContentMask = None
    style_mask: StyleMask = ()
    devices: Annotated[str | None, arg(metavar="N|all")] = None
    """Number of devices that share the picture; by default, the first device only."""
    coordinator: Annotated[str | None, arg(metavar="HOST:PORT")] = None
    """Address of process 0, if several processes share the picture without a launcher."""
    process_id: int | None = None
    """Index of this process, from 0; process 0 writes the picture."""
    num_processes: int | None = None
    """Number of processes."""
    preset: PresetName = "default"
    config: Config = None
    checkpoint: CheckpointFolder = None
    checkpoint_every: CheckpointEvery = 60.0
    strip: Strip = False
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
        check_masks(self.content_mask, self.style_mask)
        job = self.job()
        processes.join(self)
        files.check_output(self.output, overwrite=self.overwrite or self.replaces)
        check_devices()
        mesh, writes = processes.mesh_of(self), jax.process_index() == 0
        options = {"blend": self.blend, "devices": self.devices, "strip": self.strip}
        with lenient_stderr():
            return run_job(self, "stylize", job, options=options, mesh=mesh, writes=writes)

    def job(self) -> Job:
        """Returns the job to paint."""
        return Job(
            recipe=self.recipe,
            content=self.content,
            styles=self.styles,
            output=str(self.output),
            blend=parse_blend(self.blend, self.styles),
            content_mask=self.content_mask,
            style_masks=self.style_mask,
            facts={"preset": self.preset} | ({STRIP: True} if self.strip else {}),
        )


def parse_blend(text: str | None, styles: Sequence[Path]) -> tuple[float, ...] | None:
    """Returns the weights of paintings; None for equal weights.

    Raises:
        InputError: There is no painting, or not one number per painting.
    """
    if not styles:
        raise InputError("no painting: give one after the photograph")
    if text is None:
        return None
    try:
        weights = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--blend {text}: not weights; give numbers, as in 3,7") from None
    if len(weights) != len(styles):
        count = f"{len(weights)} numbers for {len(styles)} paintings"
        raise InputError(f"--blend {text}: {count}; give one number per painting")
    return weights
