"""``end-to-end``: the whole command, with an empty and with a full cache."""

import dataclasses
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from .options import Measurement
from .outcome import Row
from .timing import ROOT, seconds


@dataclasses.dataclass(frozen=True, kw_only=True)
class EndToEnd(Measurement):
    """Time the whole command, from its start to the written picture."""

    sizes: tuple[str, ...] = ("512",)
    """Values of the command's --size."""
    rounds: int = 3
    """Number of runs with a full cache."""
    command: str = "stylize docs/examples/harbour.jpg docs/examples/painting.jpg"
    """Arguments of jaxstyle, relative to the repository, without output, encoder and size."""

    def row(self, size: str) -> Row:
        """Measures one size."""
        with tempfile.TemporaryDirectory() as folder:
            options = ["-o", str(Path(folder, "picture.png")), "--overwrite", "--quiet"]
            options += ["--size", size, "--cache", str(Path(folder, "cache"))]
            options += ["--encoder", self.encoder]
            words = [sys.executable, "-m", "jaxstyle", *shlex.split(self.command), *options]

            def run() -> None:
                subprocess.run(words, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)

            empty = seconds(run)
            full = median(seconds(run) for _ in range(self.rounds))
        return {"size": size, "empty cache [s]": empty, "full cache [s]": full}
