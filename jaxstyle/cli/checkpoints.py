"""A run's folder of checkpoints: where it stands, and all that it takes to go on from there.

``run.json`` says which run it is and is written last; ``inputs`` has copies of its pictures, so
that they may move meanwhile. When the picture is saved, all of it goes.
"""

import contextlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeAlias

from tyro.conf import arg

import jaxstyle as js
from jaxstyle import files
from jaxstyle.atomic import replacing
from jaxstyle.cli import report
from jaxstyle.errors import InputError
from jaxstyle.files.result import portable
from jaxstyle.recipes.recipe import Recipe

Folder: TypeAlias = Annotated[
    Path | None,
    arg(
        help="Folder to keep the run's state in, for `jaxstyle resume` to go on with.",
        help_behavior_hint="",
    ),
]
Seconds: TypeAlias = Annotated[float, arg(help="Seconds between two checkpoints.")]

_RUN, _INPUTS = "run.json", "inputs"
# Of the time that a run takes, the part that writing may take.
_SHARE = 0.1
_FILES = ("init", "encoder")

Paths: TypeAlias = Mapping[str, Path | tuple[Path, ...] | None]
"""Options of a command and the pictures that they name."""


class Run(NamedTuple):
    """A run, so that it can be told from others and begun again elsewhere.

    Attributes:
        command: The subcommand.
        recipe: How it paints.
        sources: What a picture tells of what it was made from.
        fingerprint: Of the encoder's parameters.
        pictures: What it is painted from.
        options: Other options, as JSON has them.
        output: Where the picture goes.
    """

    command: str
    recipe: Recipe
    sources: Mapping[str, Any]
    fingerprint: str
    pictures: Paths
    options: Mapping[str, Any]
    output: Path

    @property
    def identity(self) -> dict[str, Any]:
        """What makes it this run and no other."""
        facts = {"command": self.command, "settings": portable(self.recipe).to_table()}
        facts |= {"sources": dict(self.sources), "encoder_sha256": self.fingerprint}
        return json.loads(json.dumps(facts))

    def files(self) -> dict[str, Any]:
        """Returns all files that it reads, by option."""
        named = {name: Path(getattr(self.recipe, name)) for name in _FILES}
        return {**self.pictures, **{name: path for name, path in named.items() if path.is_file()}}


class Keeper:
    """Saves checkpoints of a run now and then.

    Attributes:
        resume: What to go on from; None to begin anew.
    """

    def __init__(self, folder: Path | None, every: float, run: Run) -> None:
        """Makes the folder ready.

        Raises:
            InputError: The folder has another run's, or cannot be written to.
        """
        self.resume: js.Checkpoint | None = None
        self._folder, self._every, self._pause = folder, every, every
        self._last = time.monotonic()
        if folder is None:
            return
        try:
            if (folder / _RUN).exists():
                if _read(folder)["run"] != run.identity:
                    raise InputError(
                        f"{folder}: has checkpoints of another run; go on with it by jaxstyle "
                        f"resume {folder}, or choose another folder"
                    )
                self.resume = files.load_checkpoint(folder)
            else:
                _make(folder, run)
        except OSError as error:
            raise InputError(f"{folder}: cannot be written ({error.strerror})") from None

    def heard_by(
        self, callback: Callable[[js.Progress], bool | None]
    ) -> Callable[[js.Progress], bool | None]:
        """Returns a callback that saves a checkpoint where one is due, and when the run stops."""
        if self._folder is None:
            return callback

        def hear(progress: js.Progress) -> bool | None:
            stop = callback(progress)
            if stop or time.monotonic() - self._last >= self._pause:
                self._save(progress)
            return stop

        return hear

    def _save(self, progress: js.Progress) -> None:
        if progress.checkpoint is None or self._folder is None:
            return
        began = time.monotonic()
        try:
            files.save_checkpoint(self._folder, progress.checkpoint)
        except OSError as error:  # Said even if quiet; the picture is what counts.
            report.print_error(f"{self._folder}: no checkpoint was saved ({error.strerror})")
        self._last = time.monotonic()
        self._pause = max(self._every, (self._last - began) / _SHARE)

    def ended(self, code: int) -> int:
        """Returns the command's exit code; with a picture where it should be, nothing is kept."""
        if code == 0 and self._folder is not None:
            with contextlib.suppress(OSError):
                (self._folder / _RUN).unlink(missing_ok=True)  # First: half a folder is no run.
                files.remove_checkpoints(self._folder)
                shutil.rmtree(self._folder / _INPUTS, ignore_errors=True)
                self._folder.rmdir()
        return code


def check_folder(folder: Path | None, every: float) -> bool:
    """Refuses a folder that is not for checkpoints; meant for before there is anything to wait for.

    Returns:
        Whether it has a run to go on with.

    Raises:
        InputError: The folder has something else, or the interval is none.
    """
    if not 0 <= every < math.inf:
        raise InputError(f"--checkpoint-every {every}: no time; give seconds, 0 or more")
    if folder is None or not os.path.lexists(folder):
        return False
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder; name one for this run's checkpoints")
    # What is left of a process that was killed while it copied is ours.
    others = [path.name for path in folder.iterdir() if path.name != _INPUTS]
    begun = (folder / _RUN).exists()
    if others and not begun:
        raise InputError(f"{folder}: is not empty; name a folder for this run alone")
    return begun


def read_run(folder: Path) -> dict[str, Any]:
    """Reads which run a folder has: its identity, options and files.

    Raises:
        InputError: It has none.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; name one that --checkpoint was given")
    if not (folder / _RUN).exists():
        raise InputError(f"{folder}: has no run to go on with; it is finished, or never began")
    return _read(folder)


def _read(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / _RUN).read_text(encoding="utf-8"))
        return {name: found[name] for name in ("run", "options", "files", "output", "recipe")}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError(f"{folder / _RUN}: is damaged; begin anew in another folder") from None


def _make(folder: Path, run: Run) -> None:
    """Makes a folder with all that the run takes, but for encoders that have a name."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / _INPUTS, ignore_errors=True)
    copied = {name: _copied(folder, name, paths) for name, paths in run.files().items() if paths}
    facts = {
        "run": run.identity,
        "recipe": run.recipe.to_table(),
        "options": dict(run.options),
        "files": copied,
        "output": os.path.abspath(run.output),
    }
    with replacing(folder / _RUN) as temporary, temporary.open("x", encoding="utf-8") as file:
        json.dump(facts, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def _copied(folder: Path, name: str, paths: Any) -> Any:
    """Copies an option's files under their own names; returns where, as the option takes them."""
    if not isinstance(paths, Path):
        return [_copied(folder, f"{name}-{i}", path) for i, path in enumerate(paths)]
    to = Path(_INPUTS) / name
    (folder / to).mkdir(parents=True)
    shutil.copyfile(paths, folder / to / paths.name)
    return str(to / paths.name)
