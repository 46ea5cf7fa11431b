"""``jaxstyle sweep``: one or two options in several values each, and a sheet of all of them."""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from tyro.conf import Positional, Suppress, arg

import jaxstyle as js
from jaxstyle import files, pretrained
from jaxstyle.arrays import Image
from jaxstyle.cli import report, run
from jaxstyle.cli.axes import Axis
from jaxstyle.cli.contact_sheet import make_sheet
from jaxstyle.cli.fitting import choose, told_of, watching
from jaxstyle.cli.interruption import Interruption
from jaxstyle.cli.memory import Demand, demand_of
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
from jaxstyle.cli.saving import write_table
from jaxstyle.encoder.base import check_layers
from jaxstyle.errors import InputError
from jaxstyle.files.result import digests, portable, save_result
from jaxstyle.ops import resize
from jaxstyle.recipes.paint import encoder_key, load_named
from jaxstyle.recipes.recipe import Recipe
from jaxstyle.recipes.sweeps import NUMBERS, program_of
from jaxstyle.recipes.words import parse_setting


class _Picture(NamedTuple):
    """One of the sheet's."""

    name: str
    recipe: Recipe
    encoder: js.VGGEncoder
    result: js.Result


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Paint a photograph with one or two options in several values, as in --style-weight 1,3,10."""

    content: Annotated[Positional[Path], arg(metavar="CONTENT")]
    """The photograph."""
    styles: Annotated[
        Positional[tuple[Path, ...]], arg(metavar="STYLE [STYLE …]", help_behavior_hint="")
    ]
    """The painting; several are mixed."""
    output: Annotated[Path, arg(aliases=["-o"])]
    """The sheet to write (.png, .jpg, .webp), or a folder for it, every picture and a table."""
    recipe: Recipe
    axes: Suppress[tuple[Axis, ...]] = ()
    content_mask: Path | None = None
    """A picture that paints the photograph's regions in flat colours, for --style-mask to match."""
    style_mask: Files = ()
    """The same for the painting; for several, once for each in their order."""
    lanes: int | None = None
    """How many pictures at once; all that share a program if left out."""
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
            raise InputError("no painting: name one after the photograph")
        if not self.axes:
            raise InputError("nothing varies: give an option several values, --style-weight 1,3,10")
        if self.lanes is not None and self.lanes < 1:
            raise InputError(f"--lanes {self.lanes}: too few; give at least 1")
        recipes = [self.recipe.updated(change) for change in self._changes()]
        names = [self._name(words) for words in self._words()]
        folder = None if self.output.suffix else self.output
        sheet = self.output if folder is None else folder / "sheet.png"
        if folder is not None:
            folder.mkdir(exist_ok=True)
        for path in (sheet, *(folder / name for name in names if folder is not None)):
            files.check_output(path, overwrite=self.overwrite)
        run.begin(self.cache, keep=self.compile_cache)
        content = files.load_picture(self.content)
        styles = [files.load_image(path) for path in self.styles]
        # Refused before there is an encoder to wait for.
        shapes = [recipe.shape_of(resize.shape_of(content.image)) for recipe in recipes]
        masks = run.load_masks(self.content_mask, self.style_mask, self.content, self.styles)
        init = None
        if "init" not in {axis.name for axis in self.axes}:
            init = run.load_init(self.recipe)
        console = report.console(quiet=self.quiet)
        encoders = self._encoders(recipes)
        told = " × ".join(f"{len(axis.words)} {axis.name}" for axis in self.axes)
        console.print(report.plain(f"{len(recipes)} pictures: {told}"))
        demands = [
            self._demand(encoder, recipe, shape, styles, masks)
            for encoder, recipe, shape in zip(encoders, recipes, shapes, strict=True)
        ]
        chosen = _chosen(demands)
        recipes = [demand.recipe for demand in chosen]
        most, asked = max(zip(chosen, demands, strict=True), key=lambda pair: pair[0].resident)
        console.print(told_of(most, asked.recipe.history))
        with Interruption(console) as interruption:
            with watching(most), report.Bar(console) as bar:

                def show(fraction: float) -> bool:
                    bar.show(fraction)
                    return interruption.number is not None

                results = js.paint_all(
                    recipes,
                    content.image,
                    styles,
                    encoder=encoders,
                    init=init,
                    content_masks=masks and masks.content,
                    style_masks=masks and masks.styles,
                    lanes=self.lanes,
                    callback=show,
                )
            painted = [
                _Picture(*picture)
                for picture in zip(names, recipes, encoders, results, strict=False)
            ]
            in_place = folder is None or self._keep_all(folder, painted, content)
            path, sheet_in_place = run.keep(partial(self._save_sheet, painted), sheet)
        table = list(self._table(results))
        if not self.quiet:
            report.print_table(table[1:], table[0])
        report.print_path(path)
        unpainted = any(r.status == "non-finite" and not len(r.terms.style) for r in results)
        return interruption.exit_code if in_place and sheet_in_place and not unpainted else 1

    def _encoders(self, recipes: Sequence[Recipe]) -> list[js.VGGEncoder]:
        """Returns the encoder of each recipe, each loaded once."""
        kept: dict[Any, js.VGGEncoder] = {}
        for recipe in recipes:
            if (key := encoder_key(recipe)) not in kept:
                kept[key] = load_named(recipe, self.cache)
            check_layers(kept[key], recipe.make_objective().layers)
        return [kept[encoder_key(recipe)] for recipe in recipes]

    def _demand(
        self,
        encoder: js.VGGEncoder,
        recipe: Recipe,
        shape: tuple[int, int],
        styles: Sequence[Image],
        masks: files.Masks | None,
    ) -> Demand:
        seen = [recipe.style_shape_of(resize.shape_of(style), shape) for style in styles]
        count = math.prod(len(axis.words) for axis in self.axes if axis.name in NUMBERS)
        lanes = min(self.lanes or count, count)
        return demand_of(encoder, recipe, shape, seen, lanes=lanes, masks=masks)

    def _keep_all(
        self, folder: Path, painted: Sequence["_Picture"], content: files.Picture
    ) -> bool:
        """Saves every picture and the table, and tells whether all are where they should be."""
        prints: dict[int, str] = {}
        in_place = True
        for name, recipe, encoder, result in painted:
            if id(encoder) not in prints:
                prints[id(encoder)] = pretrained.fingerprint(encoder)
            save = partial(
                save_result,
                result=result,
                recipe=recipe,
                fingerprint=prints[id(encoder)],
                sources=self._sources(),
                content=content,
                overwrite=self.overwrite,
            )
            in_place &= run.keep(save, folder / name)[1]
        write_table(folder / "table.csv", list(self._table([p.result for p in painted])))
        return in_place

    def _save_sheet(self, painted: Sequence["_Picture"], path: Path) -> Path:
        results = [picture.result for picture in painted]
        title = f"{self.content.name} by {', '.join(path.name for path in self.styles)}"
        labels = [[self._label(axis, word) for word in axis.words] for axis in self.axes]
        captions = [_caption(row) for row in list(self._table(results))[1:]]
        return files.save_image(
            path,
            make_sheet([r.image for r in results], captions, title, labels),
            metadata=portable(self.recipe).to_table(),
            provenance=self._sources() | {"version": js.__version__},
            overwrite=self.overwrite,
        )

    def _words(self) -> Iterator[tuple[str, ...]]:
        """Yields what was typed for each picture, a word an axis."""
        return itertools.product(*(axis.words for axis in self.axes))

    def _changes(self) -> Iterator[dict[str, Any]]:
        for words in self._words():
            pairs = zip(self.axes, words, strict=True)
            yield {axis.name: parse_setting(axis.name, word) for axis, word in pairs}

    def _name(self, words: Sequence[str]) -> str:
        told = (f"{axis.name}={word}" for axis, word in zip(self.axes, words, strict=True))
        return "_".join(told).replace("/", "-").replace(" ", "") + ".png"

    @staticmethod
    def _label(axis: Axis, word: str) -> str:
        return f"{axis.name.replace('_', ' ')} {word}"

    def _sources(self) -> dict[str, Any]:
        sources: dict[str, Any] = {
            "content": self.content.name,
            "styles": [path.name for path in self.styles],
            "preset": self.preset,
            "varied": {axis.name: list(axis.words) for axis in self.axes},
        }
        pictures: dict[str, Any] = {"content": self.content, "styles": self.styles}
        if self.content_mask is not None:
            sources["content_mask"] = self.content_mask.name
            sources["style_masks"] = [path.name for path in self.style_mask]
            pictures |= {"content_mask": self.content_mask, "style_masks": self.style_mask}
        return {**sources, "sha256": digests(**pictures)}

    def _table(self, results: Sequence[js.Result]) -> Iterator[tuple[str, ...]]:
        names = tuple(axis.name for axis in self.axes)
        yield (*names, "content", "style", "tv", "loss", "evaluations", "status")
        for settings, result in zip(self._words(), results, strict=False):
            content, style, tv, _ = terms = [float(t[-1]) if len(t) else 0.0 for t in result.terms]
            numbers = (f"{x:.4g}" for x in (content, style, tv, sum(terms)))
            yield (*settings, *numbers, str(result.evaluations), result.status)


def _chosen(demands: Sequence[Demand]) -> list[Demand]:
    """Returns how each is painted in the memory that there is: those of one program alike.

    Raises:
        ResourceError: One does not fit in any way.
    """
    ways: dict[str, Recipe] = {}
    chosen = []
    for demand in demands:
        if (program := program_of(demand.recipe)) not in ways:
            ways[program] = choose(demand)[0].settled.recipe
        way = ways[program]
        chosen.append(demand.with_recipe(memory=way.memory, history=way.history))
    return chosen


def _caption(row: Sequence[str]) -> list[str]:
    content, style, tv = row[-6:-3]
    return [f"content {content}", f"style {style}", f"tv {tv}"]
