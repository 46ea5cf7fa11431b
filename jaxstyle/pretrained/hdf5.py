"""Arrays and attributes of HDF5 files, which may be damaged or malicious.

A dataset can refer to any file on the machine, so links out of a file are refused before anything
is read.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from jaxstyle.errors import InputError

_MAX_NUMBERS = 1 << 26  # In a file; three times those of VGG19.
_MAX_DEPTH = 32


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


def check_file(path: Path) -> None:
    """Refuses paths that are not regular files, because reading a pipe could wait for ever.

    Raises:
        InputError: The path is missing, a folder, a pipe or a device.
    """
    if not path.is_file():
        wrong = "is a folder, pipe or device, not a file" if path.exists() else "no such file"
        raise InputError(f"{path}: {wrong}")


def read(path: str | os.PathLike[str], *, arrays: bool = True) -> Contents:
    """Reads a file.

    Args:
        path: The file.
        arrays: Whether to read arrays besides the attributes of the file.

    Raises:
        InputError: There is no such file, or it is damaged, refers to other files or is too large.
    """
    check_file(Path(path))
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InputError(
            f"{path}: is cut off, or not an HDF5 file; get it again or, if it is another tool's, "
            "convert it: jaxstyle weights convert"
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
                {
                    name: np.asarray(data, "<f2" if data.dtype.itemsize == 2 else "<f4")
                    for name, data in found.items()
                },
            )
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    # Damage makes h5py raise anything.
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path}: is damaged; get it again ({reason})") from error


def _plain(value: Any) -> str | int | float:
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if isinstance(value, str | int | float) else str(value)


def _find_arrays(file: h5py.File) -> Iterator[tuple[str, h5py.Dataset]]:
    """Yields the datasets that may be parameters, after checking all links that lead to them.

    Raises:
        InputError: A link or a dataset refers to another file, or the file is too large.
    """
    stack: list[tuple[str, Any]] = [("", file)]
    numbers = 0
    while stack:
        path, item = stack.pop()
        if path.count("/") > _MAX_DEPTH:
            raise InputError("has more levels than a network; save the network alone")
        if isinstance(item, h5py.Group):
            for name in item:
                inner = f"{path}/{name}".lstrip("/")
                hard = isinstance(item.get(name, getlink=True), h5py.HardLink)
                if "/" in str(name) or not hard:
                    raise InputError(f"{inner} is a link to another place; save it without links")
                stack.append((inner, item[name]))
        elif isinstance(item, h5py.Dataset):
            # Checked before the shape, which for a virtual dataset is in the other files.
            layout = item.id.get_create_plist()
            if layout.get_external_count() or layout.get_layout() == h5py.h5d.VIRTUAL:
                raise InputError(f"{path} is in another file; save it as one file")
            if _may_be_parameter(path, item):
                numbers += math.prod(item.shape)
                if numbers > _MAX_NUMBERS:
                    raise InputError(f"has over {_MAX_NUMBERS} numbers, too many for a VGG network")
                yield path, item


def _may_be_parameter(path: str, dataset: h5py.Dataset) -> bool:
    # Momenta of an optimiser have the shapes and partly the names of parameters.
    floating = dataset.dtype.kind == "f" and dataset.dtype.itemsize <= 8
    return floating and dataset.ndim in (1, 4) and not path.startswith("optimizer")
