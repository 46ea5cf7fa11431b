"""``batch``: the rate of many jobs, from file to file, beside one job's own loop."""

import dataclasses
import subprocess
import sys
import tempfile
from pathlib import Path

import jaxstyle as js

from .options import Measurement
from .outcome import Row
from .problem import paint_again
from .timing import ROOT, compare, seconds

_EXAMPLES = ROOT / "docs" / "examples"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batch(Measurement):
    """Time `jaxstyle batch`, half of the jobs with one painting and half with another."""

    sizes: tuple[str, ...] = ("128",)
    """Values of the command's --size."""
    jobs: int = 200
    """Number of jobs."""
    iterations: int = 50
    """Number of iterations of each job."""

    def row(self, size: str) -> Row:
        """Measures one size."""
        recipe = js.Recipe(size=int(size), iterations=self.iterations, encoder=self.encoder)
        with tempfile.TemporaryDirectory() as folder:
            job = self._job(recipe, Path(folder))
        run = paint_again(recipe, _EXAMPLES / "harbour.jpg", _EXAMPLES / "painting.jpg")
        loop = compare({"loop": lambda: seconds(run)}, self.rounds, [])
        row: Row = {"size": size, "jobs": self.jobs, "job [s]": job}
        return row | loop | {"rate / rate of the loop": loop["loop [s]"] / job}

    def _job(self, recipe: js.Recipe, folder: Path) -> float:
        """Returns the seconds between two pictures; the first one, which compiles, is left out."""
        photograph, contents = js.load_image(_EXAMPLES / "harbour.jpg"), folder / "contents"
        contents.mkdir()
        for number in range(self.jobs // 2):
            dark = photograph * (1 - number / self.jobs / 2)
            js.save_image(contents / f"{number}.jpg", dark)
        styles = [str(_EXAMPLES / name) for name in ("painting.jpg", "window.jpg")]
        options = ["--size", str(recipe.size), "--iterations", str(recipe.iterations), "--quiet"]
        options += ["--encoder", self.encoder]
        command = [sys.executable, "-m", "jaxstyle", "batch", str(contents), "--styles", *styles]
        out = folder / "out"
        subprocess.run([*command, "-o", str(out), *options], stdout=subprocess.DEVNULL, check=True)
        times = sorted(path.stat().st_mtime for path in out.glob("*.png"))
        return (times[-1] - times[0]) / (len(times) - 1)
