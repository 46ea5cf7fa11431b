"""``handling``: the processor time that a picture takes beside being painted."""

import dataclasses
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import jax

import jaxstyle as js
from jaxstyle import files
from jaxstyle.arrays import Image
from jaxstyle.ops import resize

from .options import Measurement, Numbers
from .outcome import Row
from .processes import ROOT

_PHOTOGRAPH = ROOT / "docs" / "examples" / "harbour.jpg"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Handling(Measurement):
    """Time reading, resizing and writing of pictures, on one thread's clock."""

    sizes: Numbers = (1155, 4000)
    """Longer sides of the photographs, in pixels."""
    result: int = 1155
    """Longer side of what they are resized to and of what is written."""
    rounds: int = 5
    """How often; medians count."""

    def measure(self, encoder: js.VGGEncoder) -> list[Row]:
        """Returns a row a size."""
        photograph = files.load_image(_PHOTOGRAPH)
        with tempfile.TemporaryDirectory() as folder:
            return [self._row(photograph, size, Path(folder)) for size in self.sizes]

    def _row(self, photograph: Image, size: int, folder: Path) -> Row:
        shape = resize.fit(resize.shape_of(photograph), size)
        source = files.save_image(folder / f"{size}.jpg", resize.resize(photograph, shape))
        image = files.load_image(source)
        small = resize.fit(shape, self.result)
        result = resize.resize(image, small)
        row: Row = {
            "size": size,
            "decode [s]": self._time(lambda: jax.block_until_ready(files.load_image(source))),
            "resize [s]": self._time(lambda: jax.block_until_ready(resize.resize(image, small))),
        }
        for suffix in (".png", ".jpg"):
            path = folder / f"result{suffix}"
            name = suffix[1:].upper()
            row[f"encode {name} [s]"] = self._time(
                lambda path=path: files.save_image(path, result, overwrite=True)
            )
            row[f"{name} [MB]"] = path.stat().st_size / 1e6
        return row

    def _time(self, run: Callable[[], object]) -> float:
        """Returns the median of the process's time: what the clock says, others use, too."""
        run()
        times = []
        for _ in range(self.rounds):
            began = time.process_time()
            run()
            times.append(time.process_time() - began)
        return median(times)
