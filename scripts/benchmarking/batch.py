"""``batch``: the rate of many jobs from file to file, beside that of one job's own loop."""

import dataclasses
import resource
import tempfile
import time
from pathlib import Path
from statistics import median

import jaxstyle as js
from jaxstyle import files
from jaxstyle.batch.jobs import in_order
from jaxstyle.batch.lists import make_jobs
from jaxstyle.batch.manifest import Manifest
from jaxstyle.batch.painter import Painter
from jaxstyle.batch.steps import Record
from jaxstyle.batch.work import run_jobs
from jaxstyle.ops import resize
from jaxstyle.recipes.paint import encoder_of, prepare_styles
from jaxstyle.run.loop import make_program

from .options import Measurement, Numbers
from .outcome import Row
from .processes import ROOT, in_own_process
from .rounds import seconds

_EXAMPLES = ROOT / "docs" / "examples"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batch(Measurement):
    """Time many jobs, half of them with one painting and half with another, beside the loop."""

    sizes: Numbers = (128,)
    """Longer sides of the results, in pixels."""
    encoder: str = "vgg16"
    """Of the default recipe."""
    jobs: int = 200
    """How many."""
    iterations: int = 50
    """Of each."""
    lanes: int = 1
    """How many at once."""
    rounds: int = 5
    """How often the loop is timed."""

    def measure(self, encoder: js.VGGEncoder) -> list[Row]:
        """Returns a row for every size."""
        return [in_own_process(self._row, size) for size in self.sizes]

    def _row(self, size: int) -> Row:
        recipe = js.Recipe(
            size=size, iterations=self.iterations, encoder=self.encoder, memory=self.memory
        )
        with tempfile.TemporaryDirectory() as folder:
            told = self._batch(recipe, Path(folder))
        loop = self._loop(recipe)
        times = [at for at, _ in told]
        rate = (len(times) - 1) / (times[-1] - times[0])  # Behind the first, which compiles.
        return {
            "size": size,
            "jobs": self.jobs,
            "lanes": self.lanes,
            "loop [s]": loop,
            "job [s]": 1 / rate,
            "rate / loop's": rate * loop,
            "peak at half [MB]": told[len(told) // 2][1],
            "peak at end [MB]": told[-1][1],
        }

    def _batch(self, recipe: js.Recipe, folder: Path) -> list[tuple[float, float]]:
        """Returns when each job ended, and the peak of memory by then in megabytes."""
        photograph = js.load_image(_EXAMPLES / "harbour.jpg")
        contents = [folder / f"{i}.jpg" for i in range(self.jobs // 2)]
        for i, path in enumerate(contents):
            files.save_image(path, photograph * (1 - i / self.jobs / 2))
        styles = [_EXAMPLES / "painting.jpg", _EXAMPLES / "window.jpg"]
        jobs = in_order(make_jobs(contents, styles, recipe, "{content}_{style}.png", pairs=False))
        out, told = folder / "out", []
        out.mkdir()

        def hear(record: Record) -> None:
            if record.status != "done":
                raise RuntimeError(record.reason)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
            told.append((time.perf_counter(), peak))

        run_jobs(jobs, Painter(out, lanes=self.lanes), Manifest(out), hear, lambda _: None)
        return told

    def _loop(self, recipe: js.Recipe) -> float:
        """Returns the seconds of a job whose pictures, targets and programs are all there."""
        content, style = (js.load_image(_EXAMPLES / f"{n}.jpg") for n in ("harbour", "painting"))
        program = make_program(recipe.make_objective(), recipe.make_solver(), recipe.variable)
        encoder = program.prepare(encoder_of(recipe))
        shape = recipe.shape_of(resize.shape_of(content))
        targets = prepare_styles(recipe, [style], shape, encoder)

        def run() -> None:
            painted = js.paint(recipe, content, style, encoder=encoder, style_targets=targets)
            painted.image.block_until_ready()

        run()
        return median(seconds(run) for _ in range(self.rounds))
