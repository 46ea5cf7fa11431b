"""The folder from which an interrupted run continues: checkpoints, settings, copies of its files.

``run.json`` describes the run and is written last; ``inputs`` has copies of its files, which may
therefore change or move meanwhile. Once the picture is saved, all of it is removed.
"""

import contextlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxstyle import files
from jaxstyle.atomic import remove_abandoned, replacing
from jaxstyle.errors import InputError
from jaxstyle.files.result import portable
from jaxstyle.jobs.loading import Inputs
from jaxstyle.paths import existing
from jaxstyle.recipes.recipe import Recipe
from jaxstyle.run.checkpoint import Checkpoint
from jaxstyle.run.progress import Callback, Progress

_RUN, _INPUTS = "run.json", "inputs"
_FIELDS = {"run": dict, "recipe": dict, "options": dict, "files": dict, "output": str}
_FIELDS |= {"chosen": dict}
_MAX_SHARE = 0.1  # of a run's time that may be spent on checkpoints
# What the free memory decides, so that it may differ when the run continues.
_CHOSEN = ("memory", "history")


class Command(NamedTuple):
    """The command that started a run, so that ``jaxstyle resume`` can repeat it.

    Attributes:
        name: The subcommand.
        options: Other options, as JSON has them.
        output: Where the picture goes.
    """

    name: str
    options: Mapping[str, Any]
    output: Path


class RunFolder:
    """Saves checkpoints of a run from time to time, and finds those of the same run before."""

    def __init__(
        self,
        folder: Path | None,
        every: float,
        command: Command,
        inputs: Inputs,
        warn: Callable[[str], None],
    ) -> None:
        """Looks into the folder.

        Args:
            folder: The folder; None if no checkpoints are wanted.
            every: Seconds between two checkpoints.
            command: What started the run.
            inputs: What is painted.
            warn: Receives a line if a checkpoint cannot be saved.

        Raises:
            InputError: It has checkpoints of another run, or its own are damaged.
        """
        self._folder, self._every, self._pause = folder, every, every
        self._command, self._inputs, self._warn = command, inputs, warn
        self._last = time.monotonic()
        self._facts: dict[str, Any] | None = None
        self._checkpoint: Checkpoint | None = None
        if folder is None or not (folder / _RUN).exists():
            return
        facts = read_run(folder)
        if facts["run"] == self._identity():
            self._facts, self._checkpoint = facts, files.load_checkpoint(folder)
        elif self._reads_copies(folder):
            raise InputError(
                f"{folder}: the inputs or options of the run have changed; start a new "
                "run with another --checkpoint folder"
            )
        elif files.has_checkpoints(folder):
            raise InputError(
                f"{folder}: has checkpoints of another run; continue that one with jaxstyle "
                f"resume {folder}, or choose another folder"
            )

    @property
    def pinned(self) -> dict[str, Any] | None:
        """The settings that a continued run must keep, for the same result; None for a new run."""
        if self._checkpoint is None or self._facts is None:
            return None
        return self._facts["chosen"]

    def begin(self, recipe: Recipe) -> Checkpoint | None:
        """Records how the run is painted; returns the checkpoint to continue from, if any.

        Args:
            recipe: The recipe with its memory plan.

        Raises:
            InputError: The folder cannot be written to.
        """
        checkpoint, self._checkpoint = self._checkpoint, None
        if self._folder is None or checkpoint is not None:
            return checkpoint
        try:
            # An attempt for which the memory was too small may have left some.
            files.remove_checkpoints(self._folder)
            facts = self._facts or self._make(self._folder)
            self._facts = facts | {"chosen": {name: getattr(recipe, name) for name in _CHOSEN}}
            _write(self._folder, self._facts)
        except OSError as error:
            raise InputError(f"{self._folder}: cannot be written ({error.strerror})") from None
        return None

    def saving(self, callback: Callback) -> Callback:
        """Returns a callback that also saves a checkpoint when one is due or the run stops."""
        if self._folder is None:
            return callback

        def save(progress: Progress) -> bool | None:
            stop = callback(progress)
            if stop or time.monotonic() - self._last >= self._pause:
                self._save(progress)
            return stop

        return save

    def end(self) -> None:
        """Removes the folder, because the picture is saved."""
        if self._folder is not None:
            with contextlib.suppress(OSError):
                (self._folder / _RUN).unlink(missing_ok=True)  # First: half a folder is no run.
                files.remove_checkpoints(self._folder)
                shutil.rmtree(self._folder / _INPUTS, ignore_errors=True)
                self._folder.rmdir()

    def _save(self, progress: Progress) -> None:
        if progress.checkpoint is None or self._folder is None:
            return
        began = time.monotonic()
        try:
            files.save_checkpoint(self._folder, progress.checkpoint)
        except OSError as error:
            self._warn(f"{self._folder}: no checkpoint was saved ({error.strerror})")
        self._last = time.monotonic()
        self._pause = max(self._every, (self._last - began) / _MAX_SHARE)

    def _identity(self) -> dict[str, Any]:
        """Returns what distinguishes this run from others, as JSON has it."""
        facts = {
            "command": self._command.name,
            "settings": portable(self._inputs.job.recipe).to_table(),
            "sources": dict(self._inputs.sources),
            "encoder_sha256": self._inputs.encoder.fingerprint,
        }
        return json.loads(json.dumps(facts))

    def _files(self) -> dict[str, Any]:
        """Returns all files that the run reads, by option."""
        job = self._inputs.job
        return {
            "content": job.content,
            "styles": job.styles,
            "content_mask": job.content_mask,
            "style_mask": job.style_masks,
            "init": job.init,
            "encoder": job.encoder,
        }

    def _reads_copies(self, folder: Path) -> bool:
        """Returns whether the run reads the copies in a folder, which a new run would replace."""
        given = (value if isinstance(value, tuple) else [value] for value in self._files().values())
        parents = (path.resolve().parents for paths in given for path in paths if path)
        return any((folder / _INPUTS).resolve() in above for above in parents)

    def _make(self, folder: Path) -> dict[str, Any]:
        """Makes the folder with a copy of every file, but not of encoders known by name."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _RUN).unlink(missing_ok=True)  # First: half of the copies are no run.
        shutil.rmtree(folder / _INPUTS, ignore_errors=True)
        copied = {name: _copy(folder, name, v) for name, v in self._files().items() if v}
        return {
            "run": self._identity(),
            "recipe": self._inputs.job.recipe.to_table(),
            "options": dict(self._command.options),
            "files": copied,
            "output": os.path.abspath(self._command.output),
        }


def check_folder(folder: Path | None, every: float) -> dict[str, Any] | None:
    """Refuses a folder that is not for checkpoints, before anything is loaded.

    Returns:
        What :func:`read_run` returns; None if the folder has no run.

    Raises:
        InputError: The folder has other files, or the interval is not a time.
    """
    if not 0 <= every < math.inf:
        raise InputError(f"--checkpoint-every {every}: out of range; give at least 0 seconds")
    if folder is None or not os.path.lexists(folder):
        return None
    if not folder.is_dir():
        raise InputError(f"{folder}: is not a folder; give a folder for the checkpoints")
    # A process that was killed while it wrote or copied may have left some.
    remove_abandoned(folder)
    if (folder / _RUN).exists():
        return read_run(folder)
    if any(path.name != _INPUTS for path in folder.iterdir()):
        raise InputError(f"{folder}: is not empty; give an empty folder")
    return None


def read_run(folder: Path) -> dict[str, Any]:
    """Reads which run a folder has: its identity, recipe, options, files, output and plan.

    Raises:
        InputError: It has none, or the description is damaged.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the folder of --checkpoint")
    if not (folder / _RUN).exists():
        raise InputError(f"{folder}: has no unfinished run; it may have finished already")
    with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
        saved = json.loads((folder / _RUN).read_text(encoding="utf-8"))
        if all(isinstance(saved[name], kind) for name, kind in _FIELDS.items()):
            return {name: saved[name] for name in _FIELDS}
    raise InputError(f"{folder / _RUN}: is damaged; start a new run in another folder")


def _write(folder: Path, facts: Mapping[str, Any]) -> None:
    with replacing(folder / _RUN) as temporary, temporary.open("x", encoding="utf-8") as file:
        json.dump(facts, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def _copy(folder: Path, name: str, paths: Any) -> Any:
    """Copies an option's files under their own names; returns where, as the option has them."""
    if not isinstance(paths, Path):
        return [_copy(folder, f"{name}-{i}", path) for i, path in enumerate(paths)]
    to = Path(_INPUTS) / name
    (folder / to).mkdir(parents=True)
    shutil.copyfile(existing(paths), folder / to / paths.name)
    return str(to / paths.name)
