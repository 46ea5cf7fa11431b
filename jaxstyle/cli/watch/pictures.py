"""Pictures of a run on its way, in files: a preview, and numbered ones."""

from pathlib import Path

import jaxstyle as js
from jaxstyle import files
from jaxstyle.cli.watch.watcher import Moment, Pace


class Preview:
    """A file that always holds a whole picture of the present state."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pace = Pace()

    def __enter__(self) -> "Preview":
        return self

    def __exit__(self, *raised: object) -> None:
        pass

    def see(self, moment: Moment) -> None:
        """Refreshes it, as often as that costs little."""
        self._pace(lambda: _save(self._path, moment))

    def end(self, moment: Moment, result: js.Result) -> None:
        """Saves the last state."""
        _save(self._path, moment)


class Numbered:
    """A picture beside the output every so many iterations."""

    def __init__(self, output: Path, every: int, steps: int) -> None:
        self._output = output
        self._every = every
        self._digits = len(str(steps))

    def __enter__(self) -> "Numbered":
        return self

    def __exit__(self, *raised: object) -> None:
        pass

    def see(self, moment: Moment) -> None:
        """Saves a picture if it is its turn."""
        step = moment.progress.step
        if step % self._every == 0:
            _save(numbered(self._output, step, self._digits), moment)

    def end(self, moment: Moment, result: js.Result) -> None:
        """Does nothing: the last one is the output."""


def numbered(output: Path, step: int, digits: int) -> Path:
    """Returns the name of the picture after some iterations.

    Examples:
        >>> numbered(Path("out.png"), 50, 3).name
        'out-050.png'
    """
    return output.with_name(f"{output.stem}-{step:0{digits}}{output.suffix}")


def _save(path: Path, moment: Moment) -> None:
    image = moment.image()
    # Checked before the run.
    files.save_image(path, image, alpha=moment.alpha(image), overwrite=True)
