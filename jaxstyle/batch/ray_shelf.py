"""What a cluster's workers share: paintings and encoders, in Ray's object store."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxstyle.batch.guest import Parcel
from jaxstyle.batch.jobs import Job, identity
from jaxstyle.batch.painter import load_warm, warm_key

_SHARED = 64  # paintings and encoders that stay in the object store


class Shelf:
    """What jobs share, in Ray's object store: a machine fetches it once for all of its workers."""

    def __init__(self, ray: Any, cache: Path | None) -> None:
        self._ray, self._cache = ray, cache
        self._refs = OrderedDict[str, Any]()

    def parcel(self, job: Job, digest: str) -> tuple[Parcel, dict[str, Any]]:
        """Returns a job to be sent, and references to what it shares with others."""
        encoder = self._put(repr(warm_key(job.recipe)), lambda: self._encoder(job))
        others = tuple(self._put(_key(path), path.read_bytes) for path in job.pictures[1:])
        shared = {key: self._refs[key] for key in (encoder, *others)}
        while len(self._refs) > max(_SHARED, len(shared)):
            self._refs.popitem(last=False)
        return Parcel(job, digest, job.content.read_bytes(), others, encoder), shared

    def _put(self, key: str, make: Callable[[], Any]) -> str:
        if key not in self._refs:
            self._refs[key] = self._ray.put(make())
        self._refs.move_to_end(key)
        return key

    def _encoder(self, job: Job) -> Any:
        warm = load_warm(job.recipe, self._cache)
        return warm._replace(encoder=jax.tree.map(np.asarray, warm.encoder))


def _key(path: Path) -> str:
    return hashlib.sha256(repr(identity(path)).encode()).hexdigest()[:32]
