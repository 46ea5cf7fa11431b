"""Arrays and attributes out of HDF5 files, which may come from anywhere.

What a dataset of HDF5 holds may lie in any other file of this machine, and libhdf5 crashes on some
damaged files and loops on others. So whatever leads out of a file is refused before anything is
read, and :func:`read_apart` reads in a process of its own, with limits. That process runs this
module as a script, which therefore imports nothing of this package: JAX takes a second to start.
"""

import contextlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

MAX_NUMBERS = 1 << 26
"""How many numbers one file's arrays may have together: three times those of VGG19."""

_MAX_OBJECTS = 20_000
_MAX_DEPTH = 32
_MEMORY_BYTES = 3 << 30
_CPU_S = 20
_WAIT_S = 60  # On a busy machine processor time is not all that passes.


class Refused(Exception):
    """A file that is not read; the message says why."""


class Contents(NamedTuple):
    """What a file holds.

    Attributes:
        attributes: Of the file as a whole.
        names: The attribute ``name`` of groups that hold arrays, by path.
        arrays: Floating-point datasets of one axis or four, as float16 or float32, by path.
    """

    attributes: dict[str, Any]
    names: dict[str, str]
    arrays: dict[str, np.ndarray]


def read(path: str | os.PathLike[str], *, arrays: bool = True) -> Contents:
    """Reads a file in this process, which a damaged one may take down.

    Args:
        path: A regular file.
        arrays: Whether to read more than the file's attributes.

    Raises:
        Refused: The file is damaged, leads out of itself, or holds too much.
    """
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise Refused(
            "is cut off, or no HDF5 file; get it again, or, if it is another tool's, turn it into "
            "ours: jaxstyle weights convert"
        ) from error
    try:
        with file:
            attributes = {name: _plain(value) for name, value in file.attrs.items()}
            found = dict(_find_arrays(file)) if arrays else {}
            parents = {name.rpartition("/")[0] for name in found}
            names = {p: file[p].attrs["name"] for p in parents if p and "name" in file[p].attrs}
            return Contents(
                attributes,
                {group: str(_plain(name)) for group, name in names.items()},
                {name: _read_array(dataset) for name, dataset in found.items()},
            )
    except Refused:
        raise
    # What h5py raises over damage depends on where in the file that lies.
    except Exception as error:
        told = str(error).partition("\n")[0]
        raise Refused(f"is damaged; get it again ({told})") from error


def _plain(value: Any) -> str | int | float:
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if isinstance(value, str | int | float) else str(value)


def _find_arrays(file: h5py.File) -> Iterator[tuple[str, h5py.Dataset]]:
    """Yields the datasets that may be parameters, once all links up to them are known to be hard.

    Raises:
        Refused: A link or a dataset leads out of the file, or there is too much.
    """
    stack: list[tuple[str, Any]] = [("", file)]
    objects = numbers = 0
    while stack:
        path, item = stack.pop()
        objects += 1
        if objects > _MAX_OBJECTS or path.count("/") > _MAX_DEPTH:
            raise Refused("nests or holds more than a network does; save the network alone")
        if isinstance(item, h5py.Group):
            for name in item:
                inner = f"{path}/{name}".lstrip("/")
                hard = isinstance(item.get(name, getlink=True), h5py.HardLink)
                if "/" in str(name) or not hard:
                    raise Refused(f"{inner} is a link to another place; save it without links")
                stack.append((inner, item[name]))
        elif isinstance(item, h5py.Dataset):
            # Before its shape is asked for, which of a virtual dataset the other files know.
            layout = item.id.get_create_plist()
            if layout.get_external_count() or layout.get_layout() == h5py.h5d.VIRTUAL:
                raise Refused(f"{path} lies in another file; save it as one file")
            if _may_be_parameter(path, item):
                # A chunk is read as a whole, and may be larger than what it is a chunk of.
                numbers += max(math.prod(item.shape), math.prod(item.chunks or ()))
                if numbers > MAX_NUMBERS:
                    raise Refused(f"holds over {MAX_NUMBERS} numbers, too many for a VGG network")
                yield path, item


def _may_be_parameter(path: str, dataset: h5py.Dataset) -> bool:
    # The optimiser's momenta have the shapes, and in part the names, of what they belong to.
    floating = dataset.dtype.kind == "f" and dataset.dtype.itemsize <= 8
    return floating and dataset.ndim in (1, 4) and not path.startswith("optimizer")


def _read_array(dataset: h5py.Dataset) -> np.ndarray:
    return np.asarray(dataset, "<f2" if dataset.dtype.itemsize == 2 else "<f4")


def read_apart(path: str | os.PathLike[str]) -> Contents:
    """Reads a file in a process of its own, of limited memory and time.

    That takes a quarter of a second longer than :func:`read`, and what it raises is the same.
    """
    command = [sys.executable, "-P", __file__, os.fspath(path)]
    # Threads of NumPy's library would reserve memory that the limit counts.
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    try:
        told = subprocess.run(command, capture_output=True, timeout=_WAIT_S, env=environment)
    except subprocess.TimeoutExpired as error:
        raise Refused("is damaged: reading it takes for ever; get it again") from error
    head, _, body = told.stdout.partition(b"\n")
    if told.returncode:
        raise Refused("is damaged: reading it fails; get it again")
    said = json.loads(head)
    if "refused" in said:
        raise Refused(said["refused"])
    arrays, start = {}, 0
    for name, dtype, shape in said["arrays"]:
        count = math.prod(shape)
        arrays[name] = np.frombuffer(body, dtype, count, start).reshape(shape)
        start += arrays[name].nbytes
    return Contents(said["attributes"], said["names"], arrays)


def _limit() -> None:
    try:
        import resource
    except ImportError:
        return  # Windows has none; there the time is limited by who waits.
    limits = {
        resource.RLIMIT_AS: _MEMORY_BYTES,
        resource.RLIMIT_CPU: _CPU_S,
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in limits.items():
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(kind, (most, most))


def _serve(path: Path) -> None:
    """Writes what :func:`read_apart` expects to stdout: a line of JSON, then the arrays."""
    _limit()
    out = sys.stdout.buffer
    try:
        found = read(path)
    except Refused as error:
        out.write(json.dumps({"refused": str(error)}).encode() + b"\n")
        return
    arrays = [(name, array.dtype.str, array.shape) for name, array in found.arrays.items()]
    head = {"attributes": found.attributes, "names": found.names, "arrays": arrays}
    out.write(json.dumps(head).encode() + b"\n")
    for array in found.arrays.values():
        out.write(np.ascontiguousarray(array).data)
    out.flush()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
