"""Arrays and attributes of HDF5 files, which may be damaged or malicious.

A dataset can refer to any file on the machine, and libhdf5 crashes or hangs on some damaged files.
So links out of a file are refused before anything is read, and :func:`read_apart` reads in another
process with limits. That process runs this module as a script, which therefore imports nothing from
this package: JAX takes a second to start.
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
"""Limit for the number of elements in a file, three times that of VGG19."""

_MAX_OBJECTS = 20_000
_MAX_DEPTH = 32
_MEMORY_BYTES = 3 << 30
_CPU_S = 20
_WAIT_S = 60  # Longer than the processor time, because the machine may be busy.


class Refused(Exception):
    """Raised for a file that is not read, for the reason in the message."""


class Contents(NamedTuple):
    """The contents of a file.

    Attributes:
        attributes: Attributes of the file.
        names: The attribute ``name`` of groups with arrays, by path.
        arrays: Floating-point datasets with one or four axes, as float16 or float32, by path.
    """

    attributes: dict[str, Any]
    names: dict[str, str]
    arrays: dict[str, np.ndarray]


def read(path: str | os.PathLike[str], *, arrays: bool = True) -> Contents:
    """Reads a file in this process, which a damaged file can crash.

    Args:
        path: A regular file.
        arrays: Whether to read arrays besides the attributes of the file.

    Raises:
        Refused: The file is damaged, refers to other files, or is too large.
    """
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise Refused(
            "is cut off, or not an HDF5 file; get it again or, if it is another tool's, convert "
            "it: jaxstyle weights convert"
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
    # Damage makes h5py raise anything.
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise Refused(f"is damaged; get it again ({reason})") from error


def _plain(value: Any) -> str | int | float:
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if isinstance(value, str | int | float) else str(value)


def _find_arrays(file: h5py.File) -> Iterator[tuple[str, h5py.Dataset]]:
    """Yields the datasets that may be parameters, after checking all links that lead to them.

    Raises:
        Refused: A link or a dataset refers to another file, or the file is too large.
    """
    stack: list[tuple[str, Any]] = [("", file)]
    objects = numbers = 0
    while stack:
        path, item = stack.pop()
        objects += 1
        if objects > _MAX_OBJECTS or path.count("/") > _MAX_DEPTH:
            raise Refused("has more levels or objects than a network; save the network alone")
        if isinstance(item, h5py.Group):
            for name in item:
                inner = f"{path}/{name}".lstrip("/")
                hard = isinstance(item.get(name, getlink=True), h5py.HardLink)
                if "/" in str(name) or not hard:
                    raise Refused(f"{inner} is a link to another place; save it without links")
                stack.append((inner, item[name]))
        elif isinstance(item, h5py.Dataset):
            # Checked before the shape, which for a virtual dataset is in the other files.
            layout = item.id.get_create_plist()
            if layout.get_external_count() or layout.get_layout() == h5py.h5d.VIRTUAL:
                raise Refused(f"{path} is in another file; save it as one file")
            if _may_be_parameter(path, item):
                # A chunk is read as a whole, and can be larger than its dataset.
                numbers += max(math.prod(item.shape), math.prod(item.chunks or ()))
                if numbers > MAX_NUMBERS:
                    raise Refused(f"has over {MAX_NUMBERS} numbers, too many for a VGG network")
                yield path, item


def _may_be_parameter(path: str, dataset: h5py.Dataset) -> bool:
    # Momenta of an optimiser have the shapes and partly the names of parameters.
    floating = dataset.dtype.kind == "f" and dataset.dtype.itemsize <= 8
    return floating and dataset.ndim in (1, 4) and not path.startswith("optimizer")


def _read_array(dataset: h5py.Dataset) -> np.ndarray:
    return np.asarray(dataset, "<f2" if dataset.dtype.itemsize == 2 else "<f4")


def read_apart(path: str | os.PathLike[str]) -> Contents:
    """Reads a file in another process with limited memory and time; raises as :func:`read`.

    This takes a quarter of a second longer than :func:`read`.
    """
    command = [sys.executable, "-P", __file__, os.fspath(path)]
    # Threads of OpenBLAS would reserve memory that counts towards the limit.
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    try:
        done = subprocess.run(command, capture_output=True, timeout=_WAIT_S, env=environment)
    except subprocess.TimeoutExpired as error:
        raise Refused("is damaged: reading it takes too long; get it again") from error
    head, _, body = done.stdout.partition(b"\n")
    if done.returncode:
        raise Refused("is damaged: reading it fails; get it again")
    answer = json.loads(head)
    if "refused" in answer:
        raise Refused(answer["refused"])
    arrays, start = {}, 0
    for name, dtype, shape in answer["arrays"]:
        count = math.prod(shape)
        arrays[name] = np.frombuffer(body, dtype, count, start).reshape(shape)
        start += arrays[name].nbytes
    return Contents(answer["attributes"], answer["names"], arrays)


def _limit() -> None:
    try:
        import resource
    except ImportError:
        return  # On Windows only the time is limited, by the process that waits.
    limits = {
        resource.RLIMIT_AS: _MEMORY_BYTES,
        resource.RLIMIT_CPU: _CPU_S,
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in limits.items():
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(kind, (most, most))


def _serve(path: Path) -> None:
    """Writes the contents of a file to stdout: a line of JSON, then the arrays."""
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
