"""Checkpoints: NumPy archives in a folder, of which the last two stay.

An archive of arrays (``.npz``) is written as a stream, without a second copy of the state, and has
a checksum for each array.
"""

import io
import os
import warnings
import zipfile
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np

from jaxstyle.atomic import remove_abandoned, replacing
from jaxstyle.errors import InputError, InputWarning
from jaxstyle.run.checkpoint import Checkpoint

_KEPT = 2
_PATTERN = "checkpoint-*.npz"
_TERM = "term-"
_NUMBERS = ("scale", "step", "evaluations")


def save_checkpoint(folder: str | os.PathLike[str], checkpoint: Checkpoint) -> Path:
    """Saves the state of a run, and removes all older checkpoints but the last.

    Args:
        folder: An existing folder.
        checkpoint: ``Progress.checkpoint``, while the callback runs.

    Returns:
        The file.

    Raises:
        OSError: The file cannot be written.

    Examples:
        >>> import jax.numpy as jnp, tempfile
        >>> image, terms = jnp.ones((2, 2, 3)), {"style": jnp.ones(7)}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = save_checkpoint(folder, Checkpoint(0, 7, 0, terms, image, [image]))
        ...     path.name, load_checkpoint(folder).step
        ('checkpoint-000000007.npz', 7)
    """
    steps = max(map(len, checkpoint.terms.values()))
    path = Path(folder) / f"checkpoint-{steps:09}.npz"
    numbers = {name: getattr(checkpoint, name) for name in _NUMBERS}
    numbers["leaves"] = len(checkpoint.leaves)
    arrays: dict[str, Any] = {"image": checkpoint.image}
    arrays |= {f"{_TERM}{name}": values for name, values in checkpoint.terms.items()}
    arrays |= {_leaf(i): leaf for i, leaf in enumerate(checkpoint.leaves)}
    named: dict[str, Any] = numbers | {name: _host(array) for name, array in arrays.items()}
    with replacing(path) as temporary, temporary.open("xb") as file:
        np.savez(file, **named)
        file.flush()
        os.fsync(file.fileno())
    for old in _newest_first(path.parent)[_KEPT:]:
        old.unlink(missing_ok=True)
    return path


def load_checkpoint(folder: str | os.PathLike[str]) -> Checkpoint | None:
    """Loads the newest checkpoint that is not damaged, or returns None if there is none.

    Args:
        folder: The folder that :func:`save_checkpoint` wrote to.

    Raises:
        InputError: There are checkpoints, and all of them are damaged.

    Warns:
        InputWarning: A newer checkpoint is damaged; it is removed.
    """
    paths = _newest_first(Path(folder))
    for number, path in enumerate(paths):
        try:
            checkpoint = _load(path)
        except Exception:  # Damage makes zipfile and NumPy raise anything.
            continue
        for damaged in paths[:number]:
            message = (
                f"{damaged}: is damaged; continuing from the checkpoint before it, {path.name}"
            )
            warnings.warn(message, InputWarning, stacklevel=2)
            damaged.unlink(missing_ok=True)
        return checkpoint
    if paths:
        raise InputError(f"{paths[0]}: is damaged, like all checkpoints there; start the run again")
    return None


def has_checkpoints(folder: str | os.PathLike[str]) -> bool:
    """Returns whether a folder has any checkpoint, whole or damaged."""
    return bool(_newest_first(Path(folder)))


def remove_checkpoints(folder: str | os.PathLike[str]) -> None:
    """Removes all checkpoints from a folder, and temporary files of processes that were killed."""
    remove_abandoned(Path(folder))
    for path in _newest_first(Path(folder)):
        path.unlink(missing_ok=True)


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob(_PATTERN), reverse=True)


def _leaf(number: int) -> str:
    return f"leaf-{number:03}"


def _load(path: Path) -> Checkpoint:
    with zipfile.ZipFile(path) as archive:
        # Whole members, because checksums are compared at the end of a member.
        members = {name: io.BytesIO(archive.read(name)) for name in archive.namelist()}
    arrays = {
        name.removesuffix(".npy"): np.lib.format.read_array(member, allow_pickle=False)
        for name, member in members.items()
    }
    numbers = {name: int(arrays[name]) for name in _NUMBERS}
    # By their count, because damage to the table of contents can hide members.
    leaves = [arrays[_leaf(i)] for i in range(int(arrays["leaves"]))]
    terms: Any = {
        n.removeprefix(_TERM): array for n, array in arrays.items() if n.startswith(_TERM)
    }
    return Checkpoint(**numbers, terms=terms, image=arrays["image"], leaves=leaves)


def _host(array: Any) -> np.ndarray:
    """Returns a NumPy array, on CPUs without a copy, which JAX would keep."""
    on_cpu = isinstance(array, jax.Array) and all(d.platform == "cpu" for d in array.devices())
    return np.from_dlpack(cast(Any, array)) if on_cpu else np.asarray(array)
