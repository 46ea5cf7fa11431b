"""``jaxstyle sweep``: one or two options with several values each, and a sheet of the results."""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, Suppress, arg

import jaxstyle as js
from jaxstyle import files
from jaxstyle.cli import report, run
from jaxstyle.cli.axes import Axis
from jaxstyle.cli.contact_sheet import make_sheet
from jaxstyle.cli.interruption import Interruption
from jaxstyle.cli.options import (
    Cache,
    CompileCache,
    Config,
    ContentMask,
    Debug,
    Flag,
    Json,
    Overwrite,
    PresetName,
    Quiet,
    StyleMask,
)
from jaxstyle.cli.saving import write_table
from jaxstyle.cli.streams import lenient_stderr
from jaxstyle.errors import InputError
from jaxstyle.files.result import portable
from jaxstyle.jobs import Inputs, Job, Painter, Painting, check_inputs_kept, last_terms
from jaxstyle.jobs.sweeps import paint_sweep
from jaxstyle.recipes.recipe import Recipe
from jaxstyle.recipes.sweeps import NUMBERS
from jaxstyle.recipes.words import parse_setting


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Paint with several values of one or two options, such as --style-weight 6,60,600."""

    content: Annotated[Positional[Path], arg(metavar="CONTENT")]
    """The photograph, or the name of one in the gallery; see `jaxstyle styles`."""
    styles: Annotated[
        Positional[tuple[Path, ...]], arg(metavar="STYLE [STYLE …]", help_behavior_hint="")
    ]
    """The painting, or the name of one in the gallery; several are mixed."""
    output: Annotated[Path, arg(aliases=["-o"])]
    """Sheet to write (.png, .jpg or .webp), or a folder for the sheet, all pictures and a table."""
    recipe: Recipe
    axes: Suppress[tuple[Axis, ...]] = ()
    numbers: Flag = False
    """Print the final loss terms under the pictures of the sheet."""
    content_mask: ContentMask = None
    style_mask: StyleMask = ()
    lanes: int | None = None
    """Number of pictures painted at once; by default, all that share a program."""
    preset: PresetName = "default"
    config: Config = None
    cache: Cache = None
    compile_cache: CompileCache = True
    overwrite: Overwrite = False
    json: Json = False
    quiet: Quiet = False
    debug: Debug = False

    def run(self) -> int:
        """Runs the command and returns its exit code."""
        if not self.styles:
            raise InputError("no painting: give one after the photograph")
        if not self.axes:
            raise InputError("nothing varies: give several values, as in --style-weight 1,3,10")
        if self.lanes is not None and self.lanes < 1:
            raise InputError(f"--lanes {self.lanes}: too few; give at least 1")
        run.check_masks(self.content_mask, self.style_mask)
        jobs = [
            self._job(self.recipe.updated(change), self._name(words))
            for change, words in zip(self._changes(), self._words(), strict=True)
        ]
        folder = None if self.output.suffix else self.output
        sheet = self.output if folder is None else folder / "sheet.png"
        outputs = [] if folder is None else [folder / job.output for job in jobs]
        if folder is not None:
            folder.mkdir(exist_ok=True)
        for path in (sheet, *outputs):
            files.check_output(path, overwrite=self.overwrite)
        check_inputs_kept([sheet, *outputs], jobs, "choose another name")
        run.begin(self.cache, keep=self.compile_cache)
        with lenient_stderr():
            return self._paint(jobs, sheet, outputs)

    def _paint(self, jobs: Sequence[Job], sheet: Path, outputs: Sequence[Path]) -> int:
        console = report.console(quiet=self.quiet)
        run.print_hidden_works(jobs, console)
        painter = Painter(cache=self.cache, notice=console.print)
        inputs = list(self._load(painter, jobs))
        run.print_remarks(inputs[0])
        varied = " × ".join(f"{len(axis.words)} {axis.name}" for axis in self.axes)
        console.print(report.plain(f"{len(jobs)} pictures: {varied}"))
        with Interruption(console) as interruption:
            with report.Bar(console) as bar:

                def show(fraction: float) -> bool:
                    bar.show(fraction)
                    return interruption.number is not None

                paintings = paint_sweep(painter, inputs, lanes=self._lanes(), callback=show)
            in_place = True
            for painting, output in zip(paintings, outputs, strict=False):
                save = partial(painter.save, painting, overwrite=self.overwrite)
                in_place &= run.save_or_explain(save, output)[1]
            table = list(self._table([painting.result for painting in paintings]))
            if outputs:
                write_table(sheet.parent / "table.csv", table)
            save = partial(self._save_sheet, paintings, table)
            path, sheet_in_place = run.save_or_explain(save, sheet)
        if not self.quiet:
            report.print_table(table[1:], table[0])
        report.print_path(path)
        painted = all(painting.is_painted for painting in paintings)
        return interruption.exit_code if in_place and sheet_in_place and painted else 1

    def _job(self, recipe: Recipe, name: str) -> Job:
        varied = {axis.name: list(axis.words) for axis in self.axes}
        return Job(
            recipe=recipe,
            content=self.content,
            styles=self.styles,
            output=name,
            content_mask=self.content_mask,
            style_masks=self.style_mask,
            facts={"preset": self.preset, "varied": varied},
        )

    def _load(self, painter: Painter, jobs: Sequence[Job]) -> Iterator[Inputs]:
        """Loads the pictures once, and the encoder of each job."""
        first = painter.load(jobs[0])
        yield first
        for job in jobs[1:]:
            inputs = first._replace(job=job, encoder=painter.encoder(job.recipe))
            _ = inputs.shapes  # Rejects a size before anything is painted.
            yield inputs

    def _lanes(self) -> int:
        count = math.prod(len(axis.words) for axis in self.axes if axis.name in NUMBERS)
        return min(self.lanes or count, count)

    def _save_sheet(
        self, paintings: Sequence[Painting], table: Sequence[Sequence[str]], path: Path
    ) -> Path:
        styles = " and ".join(path.stem for path in self.styles)
        title = f"{self.content.stem}, in the style of {styles}"
        labels = [[self._label(axis, word) for word in axis.words] for axis in self.axes]
        names = table[0][len(self.axes) : -3]
        captions = [
            [f"{name} {row[len(self.axes) + i]}" for i, name in enumerate(names)]
            for row in table[1:]
            if self.numbers
        ]
        images = [painting.result.image for painting in paintings]
        return files.save_image(
            path,
            make_sheet(images, captions, title, labels),
            metadata=portable(self.recipe).to_table(),
            provenance={**paintings[0].inputs.sources, "version": js.__version__},
            overwrite=self.overwrite,
        )

    def _words(self) -> Iterator[tuple[str, ...]]:
        """Yields the values of each picture as they were typed, one per axis."""
        return itertools.product(*(axis.words for axis in self.axes))

    def _changes(self) -> Iterator[dict[str, Any]]:
        for words in self._words():
            pairs = zip(self.axes, words, strict=True)
            yield {axis.name: parse_setting(axis.name, word) for axis, word in pairs}

    def _name(self, words: Sequence[str]) -> str:
        parts = (f"{axis.name}={word}" for axis, word in zip(self.axes, words, strict=True))
        return "_".join(parts).replace("/", "-").replace(" ", "") + ".png"

    @staticmethod
    def _label(axis: Axis, word: str) -> str:
        return f"{axis.name.replace('_', ' ')} {word}"

    def _table(self, results: Sequence[js.Result]) -> Iterator[tuple[str, ...]]:
        """Yields a header and one row per picture: settings, loss terms, their sum, and status."""
        terms = [last_terms(result) for result in results]
        every = dict.fromkeys(name for row in terms for name in row)
        names = [name for name in every if any(row.get(name) for row in terms)]
        yield (*(axis.name for axis in self.axes), *names, "loss", "evaluations", "status")
        for settings, row, result in zip(self._words(), terms, results, strict=False):
            numbers = [row.get(name, 0.0) for name in names] + [sum(row.values())]
            words = (f"{number:.4g}" for number in numbers)
            yield (*settings, *words, str(result.evaluations), result.status)
