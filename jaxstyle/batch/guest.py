"""Painting on another machine, which has neither the pictures nor the parameters.

A job travels as a :class:`Parcel`: its photograph as the bytes of the file, what others need too
(paintings, encoders) as keys. A :class:`Guest` asks for what is behind a key once, and hands the
painted file's bytes back. It knows nothing of what carries them.
"""

import re
import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxstyle import pretrained
from jaxstyle.atomic import name_temporary, remove_abandoned
from jaxstyle.batch.jobs import Job
from jaxstyle.batch.kept import Kept
from jaxstyle.batch.painter import Painter
from jaxstyle.batch.steps import Guard, Loaded, Record, Warm, failure

Fetch = Callable[[str], Any]
"""Returns what is behind a key: the bytes of a file, or a :class:`Warm` with arrays of NumPy's."""

_KIND = "jaxstyle-guest-"
_PICTURES = 16  # whose files are kept
_ENCODERS = 4


class Parcel(NamedTuple):
    """A job on its way.

    Attributes:
        job: Which, with the paths of where it comes from.
        digest: Of the job there.
        content: The photograph's file.
        others: Under what keys the files of its other pictures are found.
        encoder: Under what key the encoder is found.
    """

    job: Job
    digest: str
    content: bytes
    others: tuple[str, ...]
    encoder: str


class Guest:
    """What a device keeps warm: a painter, in a folder of its own that goes with it."""

    def __init__(
        self, *, sources: Mapping[str, Any], keep: bool, guard: Guard | None = None
    ) -> None:
        """Makes a guest.

        Args:
            sources: What every picture tells of where it comes from.
            keep: Whether compiled programs are kept in this machine's cache folder.
            guard: As for :class:`Painter`.
        """
        remove_abandoned(Path(tempfile.gettempdir()), _KIND)
        self._folder = Path(tempfile.gettempdir()) / name_temporary(_KIND)
        self._folder.mkdir(mode=0o700)
        self._pictures = OrderedDict[str, Path]()
        self._encoders = Kept[Warm](_ENCODERS)
        self._painter = Painter(self._folder / "out", sources=sources, guard=guard)
        # While one job is painted another is loaded, and a third is saved.
        self._loading, self._device = threading.Lock(), threading.Lock()
        if keep:
            pretrained.keep_programs()

    def __call__(self, parcels: Sequence[Parcel], fetch: Fetch) -> list[tuple[Record, bytes]]:
        """Paints jobs, at once if they are alike.

        Args:
            parcels: The jobs.
            fetch: Returns what is behind a key.

        Returns:
            What has become of each, and the picture's file.
        """
        with self._loading:
            steps = [self._load(parcel, fetch) for parcel in parcels]
        with self._device:
            painted = iter(self._painter.paint([s for s in steps if isinstance(s, Loaded)]))
        ended = [step if isinstance(step, Record) else next(painted) for step in steps]
        return [
            self._hand_back(self._painter.save(step), parcel)
            for step, parcel in zip(ended, parcels, strict=True)
        ]

    def close(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _load(self, parcel: Parcel, fetch: Fetch) -> Loaded | Record:
        job = parcel.job
        content = self._folder / "in" / job.content.name
        try:
            encoder = parcel.encoder
            warm = self._encoders.get(encoder, lambda: _on_device(fetch(encoder)))
            pairs = zip(job.pictures[1:], parcel.others, strict=True)
            here = {path: self._kept(path.name, key, fetch) for path, key in pairs}
            _write(content, parcel.content)
            return self._painter.load(job.moved(content, here), warm)
        except Exception as error:
            return failure(job, parcel.digest, error)
        finally:
            content.unlink(missing_ok=True)
            while len(self._pictures) > _PICTURES:
                shutil.rmtree(self._pictures.popitem(last=False)[1].parent, ignore_errors=True)

    def _kept(self, name: str, key: str, fetch: Fetch) -> Path:
        if key not in self._pictures:
            path = self._folder / key / name
            _write(path, fetch(key))
            self._pictures[key] = path
        self._pictures.move_to_end(key)
        return self._pictures[key]

    def _hand_back(self, record: Record, parcel: Parcel) -> tuple[Record, bytes]:
        path, data = self._folder / "out" / record.output, b""
        if record.status == "done":
            data = path.read_bytes()
            path.unlink()
        reason = _as_there(record.reason, self._folder, parcel.job)
        return record._replace(digest=parcel.digest, reason=reason), data


def _as_there(reason: str, folder: Path, job: Job) -> str:
    """Returns a reason that names the files that a job came from, not their copies here."""
    for path in job.pictures:
        here = rf"{re.escape(str(folder))}/\w+/{re.escape(path.name)}"
        reason = re.sub(here, lambda _, path=path: str(path), reason)
    return reason


def _on_device(warm: Warm) -> Warm:
    return warm._replace(encoder=jax.tree.map(jnp.asarray, warm.encoder))


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
