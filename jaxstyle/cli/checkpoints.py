"""A run's folder of checkpoints: where it stands, and all that it takes to go on from there.

``run.json`` says which run it is and what the memory decided of it, and is written last; ``inputs``
has copies of its pictures, so that they may move meanwhile. When the picture is saved, all of it
goes.
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
from jaxstyle.atomic import remove_abandoned, replacing
from jaxstyle.cli import report
from jaxstyle.cli.memory import Demand
from jaxstyle.errors import InputError
from jaxstyle.files.result import portable
from jaxstyle.paths import existing
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
_FACTS = ("run", "recipe", "options", "files", "output", "chosen")
# Of the time that a run takes, the part that writing may take.
_SHARE = 0.1
_FILES = ("init", "encoder")
# What the free memory decides, so that it may be otherwise when the run goes on.
_CHOSEN = ("memory", "history")

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
    """Saves checkpoints of a run now and then."""

    def __init__(self, folder: Path | None, every: float, run: Run) -> None:
        """Looks at what the folder has.

        Raises:
            InputError: It has another run's checkpoints, or its own are damaged.
        """
        self._folder, self._every, self._pause = folder, every, every
        self._last = time.monotonic()
        self._run = run
        self._facts: dict[str, Any] | None = None
        self._found: js.Checkpoint | None = None
        if folder is None or not (folder / _RUN).exists():
            return
        facts = _read(folder)
        if facts["run"] == run.identity:
            self._facts, self._found = facts, files.load_checkpoint(folder)
        elif files.has_checkpoints(folder) or _reads_from(folder, run):
            raise InputError(
                f"{folder}: has checkpoints of another run; go on with it by jaxstyle "
                f"resume {folder}, or choose another folder"
            )

    def pin(self, demand: Demand) -> Demand:
        """Returns a demand as the run began, where it goes on: otherwise are other bytes."""
        if self._found is None or self._facts is None:
            return demand
        return demand.pinned_to(self._facts["chosen"])

    def begin(self, recipe: Recipe) -> js.Checkpoint | None:
        """Notes how the run is painted; returns what to go on from, or None to begin anew.

        Args:
            recipe: With what the memory has decided.

        Raises:
            InputError: The folder cannot be written to.
        """
        found, self._found = self._found, None
        if self._folder is None or found is not None:
            return found
        try:
            # An attempt that the memory did not suffice for may have left some.
            files.remove_checkpoints(self._folder)
            facts = self._facts or _make(self._folder, self._run)
            self._facts = facts | {"chosen": {name: getattr(recipe, name) for name in _CHOSEN}}
            _write(self._folder, self._facts)
        except OSError as error:
            raise InputError(f"{self._folder}: cannot be written ({error.strerror})") from None
        return None

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


def check_folder(folder: Path | None, every: float) -> dict[str, Any] | None:
    """Refuses a folder that is not for checkpoints; meant for before there is anything to wait for.

    Returns:
        Output and watching of the run that it has; None if it has none.

    Raises:
        InputError: The folder has something else, or the interval is none.
    """
    if not 0 <= every < math.inf:
        raise InputError(f"--checkpoint-every {every}: no time; give seconds, 0 or more")
    if folder is None or not os.path.lexists(folder):
        return None
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder; name one for this run's checkpoints")
    # What is left of a process that was killed while it wrote or copied is ours.
    remove_abandoned(folder)
    others = [path.name for path in folder.iterdir() if path.name != _INPUTS]
    begun = (folder / _RUN).exists()
    if others and not begun:
        raise InputError(f"{folder}: is not empty; name a folder for this run alone")
    if not begun:
        return None
    facts = _read(folder)
    return {"output": facts["output"], "watching": facts["options"].get("watching", {})}


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
        return {name: found[name] for name in _FACTS}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError(f"{folder / _RUN}: is damaged; begin anew in another folder") from None


def _reads_from(folder: Path, run: Run) -> bool:
    """Tells whether a run reads the copies that a folder has, which another would replace."""
    given = (paths if isinstance(paths, tuple) else [paths] for paths in run.files().values())
    parents = (path.resolve().parents for paths in given for path in paths if path)
    return any((folder / _INPUTS).resolve() in above for above in parents)


def _make(folder: Path, run: Run) -> dict[str, Any]:
    """Makes a folder with all that the run takes, but for encoders that have a name."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _RUN).unlink(missing_ok=True)  # First: half of its copies are no run.
    shutil.rmtree(folder / _INPUTS, ignore_errors=True)
    copied = {name: _copied(folder, name, paths) for name, paths in run.files().items() if paths}
    return {
        "run": run.identity,
        "recipe": run.recipe.to_table(),
        "options": dict(run.options),
        "files": copied,
        "output": os.path.abspath(run.output),
    }


def _write(folder: Path, facts: Mapping[str, Any]) -> None:
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
    shutil.copyfile(existing(paths), folder / to / paths.name)
    return str(to / paths.name)
