"""Checkpoints in a folder: each a file of NumPy's, whole or not there, of which two are kept.

An archive of plain arrays (``.npz``) is written as a stream, without a second copy of the state,
and has a checksum for every array; one file that is renamed is whole at every moment.
"""

import os
import zipfile
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np

from jaxstyle.atomic import remove_abandoned, replacing
from jaxstyle.errors import InputError
from jaxstyle.run.checkpoint import Checkpoint

_KEPT = 2
_PATTERN = "checkpoint-*.npz"
_NUMBERS = ("scale", "step", "evaluations")


def save_checkpoint(folder: str | os.PathLike[str], checkpoint: Checkpoint) -> Path:
    """Saves where a run stands; of older checkpoints the last one stays.

    Args:
        folder: Is there.
        checkpoint: From ``Progress.checkpoint``, while the callback runs.

    Returns:
        The file.

    Raises:
        OSError: It cannot be written.

    Examples:
        >>> import jax.numpy as jnp, tempfile
        >>> image, terms = jnp.ones((2, 2, 3)), jnp.ones((7, 4))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = save_checkpoint(folder, Checkpoint(0, 7, 0, terms, image, [image]))
        ...     path.name, load_checkpoint(folder).step
        ('checkpoint-000000007.npz', 7)
    """
    path = Path(folder) / f"checkpoint-{len(checkpoint.terms):09}.npz"
    numbers = {name: getattr(checkpoint, name) for name in _NUMBERS}
    arrays = {"terms": checkpoint.terms, "image": checkpoint.image}
    arrays |= {f"leaf-{i:03}": leaf for i, leaf in enumerate(checkpoint.leaves)}
    named: dict[str, Any] = numbers | {name: _host(array) for name, array in arrays.items()}
    with replacing(path) as temporary, temporary.open("xb") as file:
        np.savez(file, **named)
        file.flush()
        os.fsync(file.fileno())
    for old in _newest_first(path.parent)[_KEPT:]:
        old.unlink(missing_ok=True)
    return path


def load_checkpoint(folder: str | os.PathLike[str]) -> Checkpoint | None:
    """Loads the last checkpoint that is whole; None if there is none.

    Args:
        folder: That :func:`save_checkpoint` wrote to.

    Raises:
        InputError: There are some, and all of them are damaged.
    """
    paths = _newest_first(Path(folder))
    for path in paths:
        try:
            return _load(path)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            continue
    if paths:
        raise InputError(f"{paths[0]}: is damaged, as are all checkpoints there; begin anew")
    return None


def has_checkpoints(folder: str | os.PathLike[str]) -> bool:
    """Returns whether a folder has any checkpoint, whole or damaged."""
    return bool(_newest_first(Path(folder)))


def remove_checkpoints(folder: str | os.PathLike[str]) -> None:
    """Removes all checkpoints of a folder, and what killed processes have begun to write there."""
    remove_abandoned(Path(folder))
    for path in _newest_first(Path(folder)):
        path.unlink(missing_ok=True)


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob(_PATTERN), reverse=True)


def _load(path: Path) -> Checkpoint:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
        numbers = {name: int(found[name]) for name in _NUMBERS}
        leaves = [found[name] for name in sorted(found.files) if name.startswith("leaf-")]
        return Checkpoint(**numbers, terms=found["terms"], image=found["image"], leaves=leaves)


def _host(array: Any) -> np.ndarray:
    """Returns an array for a moment: on CPUs without a copy that JAX would keep."""
    on_cpu = isinstance(array, jax.Array) and all(d.platform == "cpu" for d in array.devices())
    return np.from_dlpack(cast(Any, array)) if on_cpu else np.asarray(array)
