"""``whole``: a run from coarse to fine up to print size, told and saved on its way."""

import dataclasses
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import jaxstyle as js
from jaxstyle import files
from jaxstyle.ops import resize

from .memory import resident
from .options import Measurement
from .outcome import Row
from .processes import ROOT

_SAVED_EVERY = 600.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Whole(Measurement):
    """Paint one large picture by the recipe ``print``; tell time and memory on the way."""

    network: ClassVar[dict[str, Any]] = {}
    content: Path = ROOT / "docs/examples/harbour.jpg"
    """The photograph."""
    style: Path = ROOT / "docs/examples/painting.jpg"
    """The painting."""
    output: Path = Path("whole.png")
    """The picture; every ten minutes it is written as it is."""
    size: int = 4096
    """Longer side of the result, in pixels."""
    set: tuple[str, ...] = ()
    """Other settings, as in ``iterations=2``."""
    encoder: str = "vgg16"
    """As of jaxstyle."""

    def measure(self, encoder: js.VGGEncoder) -> list[Row]:
        """Returns one row."""
        changes: dict[str, Any] = {"memory": "tiles"} if self.memory == "high" else {}
        for setting in self.set:
            name, _, value = setting.partition("=")
            changes[name] = float(value) if "." in value else int(value)
        recipe = js.preset("print").replace(size=self.size, encoder=self.encoder, **changes)
        content, style = (files.load_image(path) for path in (self.content, self.style))
        shape = recipe.shape_of(resize.shape_of(content))
        started = saved = time.monotonic()
        before, _ = resident()

        def show(progress: js.Progress) -> None:
            nonlocal saved
            now = time.monotonic()
            print(
                f"{now - started:7.0f} s  {progress.step}/{progress.steps} at {progress.shape}  "
                f"loss {float(progress.terms.loss):.4f}  peak {resident()[1] / 1e9:.2f} GB",
                file=sys.stderr,
                flush=True,
            )
            if now - saved > _SAVED_EVERY:
                files.save_image(self.output, progress.image.clip(0, 1), overwrite=True)
                saved = now

        result = js.paint(
            recipe, content, style, encoder=encoder, callback=show, scratch=files.scratch
        )
        files.save_image(self.output, result.image, overwrite=True)
        peak, megapixels = resident()[1], shape[0] * shape[1] / 1e6
        row: Row = {
            "height": shape[0],
            "width": shape[1],
            "all [s]": time.monotonic() - started,
            "peak [GB]": peak / 1e9,
            "added per megapixel [GB]": (peak - before) / 1e9 / megapixels,
            "evaluations": result.evaluations,
            "loss": float(result.terms.loss[-1]),
        }
        return [row]
