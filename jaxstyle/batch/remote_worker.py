"""Painting on a machine that has neither the pictures nor the parameters.

A job arrives as a :class:`RemoteJob`: its photograph as the bytes of the file, and keys of what it
shares with other jobs (paintings, encoders), which a :class:`RemoteWorker` fetches once. The bytes
of the painted file are returned. How they are transported is not known here.
"""

import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxstyle import pretrained
from jaxstyle.atomic import name_temporary, remove_abandoned
from jaxstyle.batch.records import Record, save
from jaxstyle.jobs import Inputs, Job, LoadedEncoder, Painter
from jaxstyle.jobs.lru import LruCache

Fetch = Callable[[str], Any]
"""Returns the object with a key: the bytes of a file, or a :class:`LoadedEncoder` in NumPy."""

_PREFIX = "jaxstyle-worker-"
_PICTURES, _ENCODERS = 16, 4  # sizes of the caches


class RemoteJob(NamedTuple):
    """A job that is sent to another machine.

    Attributes:
        job: The job, with the paths of the sending machine.
        content: The bytes of the photograph.
        others: Keys of the files of its other pictures.
        encoder: Key of the encoder.
    """

    job: Job
    content: bytes
    others: tuple[str, ...]
    encoder: str


class RemoteWorker:
    """A painter beside a device, with a temporary folder of its own."""

    def __init__(self, *, store_programs: bool) -> None:
        """Makes a worker.

        Args:
            store_programs: Whether compiled programs are stored in this machine's cache folder.
        """
        remove_abandoned(Path(tempfile.gettempdir()), _PREFIX)
        self._folder = Path(tempfile.gettempdir()) / name_temporary(_PREFIX)
        self._folder.mkdir(mode=0o700)
        self._pictures = LruCache[Path](_PICTURES, lambda path: shutil.rmtree(path.parent, True))
        self._encoders = LruCache[LoadedEncoder](_ENCODERS)
        self._painter = Painter()
        # While one group is painted, another one is loaded, and a third one is saved.
        self._loading, self._device = threading.Lock(), threading.Lock()
        if store_programs:
            pretrained.keep_programs()

    def __call__(self, jobs: Sequence[RemoteJob], fetch: Fetch) -> list[tuple[Record, bytes]]:
        """Paints jobs, at once if they are similar.

        Args:
            jobs: The jobs.
            fetch: Returns the object with a key.

        Returns:
            For each job its record, without a digest, and the bytes of the picture.
        """
        with self._loading:
            loaded = [self._load(job, fetch) for job in jobs]
        with self._device:
            inputs = [each for each in loaded if isinstance(each, Inputs)]
            painted = iter(self._painter.paint_all(inputs))
        ends = [next(painted) if isinstance(each, Inputs) else each for each in loaded]
        return [self._save(remote.job, end) for remote, end in zip(jobs, ends, strict=True)]

    def close(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _load(self, remote: RemoteJob, fetch: Fetch) -> Inputs | Exception:
        job, key = remote.job, remote.encoder
        assert job.content is not None
        content = self._folder / "in" / job.content.name
        try:
            encoder = self._encoders.get(key, lambda: _on_device(fetch(key)))
            pairs = list(zip(job.pictures[1:], remote.others, strict=True))
            others = {path: self._picture(path.name, key, fetch) for path, key in pairs}
            _write(content, remote.content)
            return self._painter.load(job.moved(content, others), encoder)
        except Exception as error:
            return error
        finally:
            content.unlink(missing_ok=True)

    def _picture(self, name: str, key: str, fetch: Fetch) -> Path:
        def make() -> Path:
            path = self._folder / key / name
            _write(path, fetch(key))
            return path

        return self._pictures.get(key, make)

    def _save(self, job: Job, end: Any) -> tuple[Record, bytes]:
        record, data = save(self._painter, job, "", end, self._folder / "out"), b""
        if record.status == "done":
            path = self._folder / "out" / record.output
            data = path.read_bytes()
            path.unlink()
        return record._replace(reason=_with_own_paths(record.reason, self._folder, job)), data


def _with_own_paths(reason: str, folder: Path, job: Job) -> str:
    """Returns a reason that names the job's files by their paths on the sending machine."""
    for path in job.pictures:
        here = rf"{re.escape(str(folder))}/\w+/{re.escape(path.name)}"
        reason = re.sub(here, lambda _, path=path: str(path), reason)
    return reason


def _on_device(loaded: LoadedEncoder) -> LoadedEncoder:
    return loaded._replace(encoder=jax.tree.map(jnp.asarray, loaded.encoder))


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
