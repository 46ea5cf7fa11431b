"""Paintings and encoders that the workers of a cluster share, in Ray's object store."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxstyle.batch.remote_worker import RemoteJob
from jaxstyle.jobs import Job
from jaxstyle.jobs.job import identity
from jaxstyle.jobs.loading import load_encoder, loaded_key
from jaxstyle.jobs.lru import LruCache

_SHARED = 64  # paintings and encoders


class ObjectStore:
    """Puts shared files into Ray's object store, from which a machine fetches each once."""

    def __init__(self, ray: Any, cache: Path | None) -> None:
        self._ray, self._cache = ray, cache
        self._references = LruCache[Any](_SHARED)

    def pack(self, job: Job) -> tuple[RemoteJob, dict[str, Any]]:
        """Returns a job to be sent, and references to what it shares with other jobs."""
        assert job.content is not None
        encoder = repr(loaded_key(job.recipe))
        shared = {encoder: self._put(encoder, lambda: self._encoder(job))}
        others = [(_key(path), path) for path in job.pictures[1:]]
        shared |= {key: self._put(key, path.read_bytes) for key, path in others}
        keys = tuple(key for key, _ in others)
        return RemoteJob(job, job.content.read_bytes(), keys, encoder), shared

    def _put(self, key: str, make: Callable[[], Any]) -> Any:
        return self._references.get(key, lambda: self._ray.put(make()))

    def _encoder(self, job: Job) -> Any:
        loaded = load_encoder(job.recipe, self._cache)
        return loaded._replace(encoder=jax.tree.map(np.asarray, loaded.encoder))


def _key(path: Path) -> str:
    return hashlib.sha256(repr(identity(path)).encode()).hexdigest()[:32]
