"""``jaxstyle video``: paints a film, steady from frame to frame, with its sound."""

import contextlib
import dataclasses
import json
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

import jaxstyle as js
from jaxstyle import files
from jaxstyle.arrays import Image
from jaxstyle.cli import report
from jaxstyle.cli.interruption import Interruption
from jaxstyle.cli.options import (
    Cache,
    CompileCache,
    Config,
    Debug,
    Json,
    Overwrite,
    PresetName,
    Quiet,
)
from jaxstyle.cli.run import begin
from jaxstyle.cli.shard import parse_shard
from jaxstyle.cli.streams import lenient_stderr, print_to_stdout
from jaxstyle.cli.stylize import parse_blend
from jaxstyle.cli.watch.watcher import Pace
from jaxstyle.errors import InputError
from jaxstyle.files.result import portable
from jaxstyle.jobs import Inputs, Job, Painter, check_inputs_kept
from jaxstyle.jobs.painter import plan_of
from jaxstyle.recipes.fitting import choose, reporting_exhaustion
from jaxstyle.recipes.recipe import Recipe
from jaxstyle.version import __version__
from jaxstyle.video.folder import FrameFolder
from jaxstyle.video.motion import dis_flow
from jaxstyle.video.paint import FrameSettings, PaintedFrame, as_image, paint_frames
from jaxstyle.video.reading import Clip, Source, open_source, parse_time
from jaxstyle.video.writing import check_film, write_film

_KEPT = "the film so far will be written; the same command continues it"
_FRAMES = FrameSettings()
_LINES = 10  # without a progress bar


@dataclasses.dataclass(frozen=True)
class Video:
    """Paint a film in the style of one or more paintings, steady and with its sound.

    Painted frames are kept beside the film until it is complete, so the same command continues
    after any interruption.
    """

    film: Annotated[Positional[Path], arg(metavar="FILM")]
    """The film, or a folder of frames."""
    styles: Annotated[
        Positional[tuple[Path, ...]], arg(metavar="STYLE [STYLE …]", help_behavior_hint="")
    ]
    """The painting, or the name of one in the gallery; see `jaxstyle styles`."""
    output: Annotated[Path, arg(aliases=["-o"])]
    """Film to write: .mp4, .mov, .mkv, .webm, .gif or .webp; or a folder for PNG files."""
    recipe: Recipe
    frames: FrameSettings = _FRAMES
    start: Annotated[str | None, arg(name="from", metavar="TIME")] = None
    """Where to start, in seconds or as in 1:30; by default, at the beginning."""
    end: Annotated[str | None, arg(name="to", metavar="TIME")] = None
    """Where to end; by default, at the end."""
    fps: float | None = None
    """Frames per second at most, by leaving out frames; of a folder, its rate (25)."""
    every: int = 1
    """Paint every nth frame only; each is shown n times as long."""
    blend: str | None = None
    """Weights of several paintings, as in 3,7; by default, equal weights."""
    shard: str | None = None
    """Paint only share I of N of the shots, from 0; the same command without --shard joins them."""
    preset: PresetName = "default"
    config: Config = None
    preview: Path | None = None
    """Picture that always shows the latest painted frame."""
    cache: Cache = None
    compile_cache: CompileCache = True
    overwrite: Overwrite = False
    json: Json = False
    quiet: Quiet = False
    debug: Debug = False

    def run(self) -> int:
        """Runs the command and returns its exit code."""
        share = (0, 1) if self.shard is None else parse_shard(self.shard)
        source = open_source(self.film, self._clip())
        folder = FrameFolder(self.output)
        check_film(self.output, overwrite=self.overwrite or folder.wrote_film)
        if self.preview is not None:
            files.check_output(self.preview, overwrite=True)
        dis_flow()
        begin(self.cache, keep=self.compile_cache)
        with lenient_stderr():
            return _Run(self, source, folder, share).paint()

    def job(self, content: Path) -> Job:
        """Returns the job that paints a frame.

        Args:
            content: The frame.
        """
        return Job(
            recipe=self.recipe,
            content=content,
            styles=self.styles,
            output=str(self.output),
            blend=parse_blend(self.blend, self.styles),
            facts={"preset": self.preset},
            names={content: self.film.name},
        )

    def _clip(self) -> Clip:
        if self.fps is not None and not 0 < self.fps < 1000:
            raise InputError(f"--fps {self.fps:g}: out of range; give a number above 0")
        return Clip(
            start=parse_time("--from", self.start) or Fraction(0),
            end=parse_time("--to", self.end),
            every=self.every,
            rate=None if self.fps is None else Fraction(self.fps).limit_denominator(1001),
        )


class _Run:
    """One run of the command."""

    def __init__(
        self, command: Video, source: Source, folder: FrameFolder, share: tuple[int, int]
    ) -> None:
        self._command, self._source, self._folder = command, source, folder
        self._index, self._count = share
        self._console = report.console(quiet=command.quiet)
        self._times: list[Fraction] = []
        self._last, self._new = -1, 0  # the last frame, and how many were painted by this run

    def paint(self) -> int:
        """Paints the film and returns the exit code."""
        command, began = self._command, time.monotonic()
        inputs = self._load()
        recipe = self._begin(inputs)
        height, width = inputs.shapes[0]
        self._print(f"{self._source.count or 'unknown number of'} frames, size {width}×{height}")
        with Interruption(self._console, _KEPT) as interruption:
            whole = self._paint_frames(inputs, recipe, interruption)
            report.answer(
                size=[width, height],
                frames=len(self._times),
                painted=self._new,
                seconds=round(time.monotonic() - began, 3),
            )
            if command.shard is not None:
                self._print("the same command without --shard joins all shares")
                return interruption.exit_code
            self._write(inputs, recipe, whole)
            print_to_stdout(lambda: report.print_path(command.output))
        return interruption.exit_code

    def _load(self) -> Inputs:
        """Loads the paintings and the encoder as for a picture: the first frame."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "frame.png"
            files.save_image(path, as_image(self._source.first().pixels))
            job = self._command.job(path)
            painter = Painter(cache=self._command.cache, reuse=False, notice=self._print)
            outputs = [self._command.output, *filter(None, [self._command.preview])]
            reads = dataclasses.replace(job, content=self._command.film)
            check_inputs_kept(outputs, [job, reads], "choose another name")
            inputs = painter.load(job)
        self._demand = painter.demand(inputs)
        return inputs

    def _begin(self, inputs: Inputs) -> Recipe:
        """Returns the recipe with its memory plan, which a continued film keeps."""
        command = self._command
        identity = {
            "settings": portable(command.recipe).to_table(),
            "frames": dataclasses.asdict(command.frames),
            "film": self._source.stamps(),
            "clip": [str(value) for value in dataclasses.astuple(self._source.clip)],
            "sources": dict(inputs.sources),
            "encoder": inputs.encoder.fingerprint,
            "version": __version__,
        }
        chosen = self._folder.begin(identity, overwrite=command.overwrite)
        demand = self._demand if chosen is None else self._demand.pinned_to(chosen)
        recipe = choose(demand)[0].recipe
        if chosen is None:
            self._folder.record(chosen={"memory": recipe.memory, "history": recipe.history})
        else:
            self._print(f"continuing with the frames in {self._folder.path}")
        return recipe

    def _paint_frames(self, inputs: Inputs, recipe: Recipe, interruption: Interruption) -> bool:
        """Paints and keeps the frames; returns whether the film is complete."""
        preview = Pace()
        with report.Bar(self._console) as bar, reporting_exhaustion(self._demand):

            def show(index: int, text: str = "") -> None:
                total = max(self._source.count, index)
                bar.show(index / max(1, total), f"frame {index}/{total or '?'}{text}")

            def first(progress: js.Progress) -> bool:
                where = f", iteration {progress.step}/{progress.steps}"
                show(self._last + 1, where)
                return interruption.number is not None

            for painted in paint_frames(
                recipe,
                self._images(),
                inputs.painted_styles,
                encoder=inputs.encoder.encoder,
                settings=self._command.frames,
                init=inputs.init,
                plan=plan_of(recipe, None),
                recall=self._folder.recall,
                selects=lambda shot: shot % self._count == self._index,
                callback=first,
            ):
                if painted.is_new:
                    self._folder.keep(painted)
                    self._new += 1
                self._last = painted.number
                show(painted.number + 1)
                self._print_line(painted)
                if painted.is_new and self._command.preview is not None:
                    preview(lambda image=painted.image: self._show(image))
                if interruption.number is not None:
                    break
            else:
                return interruption.number is None  # else the first frame of a shot was stopped
        return False

    def _images(self) -> Iterator[Image]:
        for frame in self._source.frames(report.print_error):
            self._times.append(frame.time)
            yield as_image(frame.pixels)

    def _write(self, inputs: Inputs, recipe: Recipe, whole: bool) -> None:
        """Writes the film: all of it, or the frames that are painted so far."""
        pictures = [self._folder.picture(i) for i in range(len(self._times))]
        done = next((i for i, path in enumerate(pictures) if not path.exists()), len(pictures))
        if not done:
            return
        comment = {
            "settings": portable(recipe).to_table(),
            "frames": dataclasses.asdict(self._command.frames),
            **inputs.sources,
            "encoder_sha256": inputs.encoder.fingerprint,
            "jaxstyle": __version__,
        }
        write_film(
            self._command.output,
            pictures[:done],
            self._times[:done],
            self._source,
            comment=json.dumps(comment),
            notice=report.print_error,
        )
        if whole:
            self._folder.remove()
        else:
            self._folder.record_film()

    def _show(self, image: Image) -> None:
        assert self._command.preview is not None  # as its caller has checked
        with contextlib.suppress(OSError):  # A preview is not worth a film.
            files.save_image(self._command.preview, image, overwrite=True)

    def _print_line(self, painted: PaintedFrame) -> None:
        """Prints a line now and then if there is no bar."""
        total, done = self._source.count, painted.number + 1
        step = max(1, total // _LINES) if total else 25
        if painted.is_new and not self._console.is_terminal and done % step == 0:
            self._print(f"frame {done}/{total or '?'}, shot {painted.shot + 1}")

    def _print(self, line: str) -> None:
        self._console.print(report.plain(line))
