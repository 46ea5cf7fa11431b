"""The folder of painted frames, from which an interrupted film continues.

``film.json`` describes the film; each frame is a PNG file, and so is what the next frame starts
from, if that is something else. The folder is removed when the film is complete.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from jaxstyle.atomic import replacing
from jaxstyle.errors import InputError, ResourceError
from jaxstyle.video.paint import PaintedFrame, Pixels, as_pixels

_FILM = "film.json"


class FrameFolder:
    """Painted frames as files beside the film."""

    def __init__(self, output: Path) -> None:
        """Makes an object; nothing is read or written yet.

        Args:
            output: The film to write.
        """
        self.path = output.with_name(f"{output.name}.frames")
        self._output = output
        self._facts: dict[str, Any] = {}

    @property
    def wrote_film(self) -> bool:
        """Whether the output is an unfinished film that a run with this folder wrote."""
        written = self._saved().get("film")
        return written is not None and written == _stamp(self._output)

    def begin(self, identity: Mapping[str, Any], *, overwrite: bool) -> dict[str, Any] | None:
        """Makes the folder, or finds that of the same film.

        Args:
            identity: Everything that determines the pixels, as JSON has it.
            overwrite: Whether to begin anew if the folder belongs to another film.

        Returns:
            What was recorded by :meth:`record` before; None for a new film.

        Raises:
            InputError: The folder belongs to another film.
        """
        identity, saved = json.loads(json.dumps(identity)), self._saved()
        if saved.get("identity") == identity:
            self._facts = saved
            return saved.get("chosen")
        if self.path.exists() and not overwrite:
            before = saved.get("identity", {})
            changed = [name for name in identity if before.get(name) != identity[name]]
            raise InputError(
                f"{self.path}: has frames of a film with other settings ({', '.join(changed)}); "
                "repeat the old command to finish it, give --overwrite to begin anew, or choose "
                "another output"
            )
        with self._writing():
            if self.path.exists():
                shutil.rmtree(self.path)
            self.path.mkdir()
        self._facts = {"identity": identity}
        return None

    def record(self, **facts: Any) -> None:
        """Records facts beside the identity."""
        self._facts |= facts
        with self._writing(), replacing(self.path / _FILM) as temporary:
            temporary.write_text(json.dumps(self._facts, indent=1), encoding="utf-8")

    def record_film(self) -> None:
        """Records that the output is the film so far, which the next run may replace."""
        self.record(film=_stamp(self._output))

    def picture(self, index: int) -> Path:
        """Returns the path of a painted frame."""
        return self.path / f"{index:06}.png"

    def recall(self, index: int) -> Pixels | None:
        """Returns what the frame after a painted one starts from; None if it is not painted."""
        for path in (self._canvas(index), self.picture(index)):
            if path.exists():
                with PillowImage.open(path, formats=["PNG"]) as image:
                    return np.array(image)
        return None

    def keep(self, painted: PaintedFrame) -> None:
        """Saves a painted frame.

        Raises:
            ResourceError: The disk is full.
        """
        pixels = as_pixels(painted.image)
        with self._writing():
            _save(self.picture(painted.number), pixels)
            if not np.array_equal(pixels, painted.canvas):
                _save(self._canvas(painted.number), painted.canvas)

    def remove(self) -> None:
        """Removes the folder, because the film is complete."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _canvas(self, index: int) -> Path:
        return self.path / f"{index:06}-canvas.png"

    def _saved(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            saved = json.loads((self.path / _FILM).read_text(encoding="utf-8"))
            if isinstance(saved, dict):
                return saved
        return {}

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or error
            raise ResourceError(
                f"{self.path}: cannot be written ({reason}); the frames so far are kept; free some "
                "space and run the same command again"
            ) from error


def _save(path: Path, pixels: Pixels) -> None:
    with replacing(path) as temporary, open(temporary, "xb") as file:
        PillowImage.fromarray(pixels).save(file, "PNG", compress_level=1)
        file.flush()
        os.fsync(file.fileno())


def _stamp(path: Path) -> list[int] | None:
    with contextlib.suppress(OSError):
        status = path.stat()
        return [status.st_size, status.st_mtime_ns]
    return None
