"""Pictures that a run saves on its way: a preview, and numbered pictures."""

from pathlib import Path

import jaxstyle as js
from jaxstyle import files
from jaxstyle.cli.watch.watcher import Pace, Snapshot, Watcher


class Preview(Watcher):
    """A file that always holds the whole current picture."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pace = Pace()

    def see(self, progress: js.Progress, snapshot: Snapshot) -> None:
        """Saves the picture, as often as that costs little."""
        self._pace(lambda: _save(self._path, snapshot))

    def end(self, step: int, snapshot: Snapshot) -> None:
        """Saves the result."""
        _save(self._path, snapshot)


class Numbered(Watcher):
    """A picture next to the output after every ``every`` iterations."""

    def __init__(self, output: Path, every: int, steps: int) -> None:
        self._output = output
        self._every = every
        self._digits = len(str(steps))

    def see(self, progress: js.Progress, snapshot: Snapshot) -> None:
        """Saves the picture after the iterations that are asked for."""
        if progress.step % self._every == 0:
            _save(numbered(self._output, progress.step, self._digits), snapshot)


def numbered(output: Path, step: int, digits: int) -> Path:
    """Returns the path of the picture after some iterations.

    Examples:
        >>> numbered(Path("out.png"), 50, 3).name
        'out-050.png'
    """
    return output.with_name(f"{output.stem}-{step:0{digits}}{output.suffix}")


def _save(path: Path, snapshot: Snapshot) -> None:
    image = snapshot.image()
    # The files were checked before the run.
    files.save_image(path, image, alpha=snapshot.alpha(image), overwrite=True)
