"""Tensors from small files of ``torch.save``, without PyTorch and without running their code.

Both layouts are supported: zip files, and those of PyTorch before 1.6. The unpickler can make dense
float32 tensors, and refuses everything else.
"""

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from jaxstyle.errors import InputError

_MAGIC = 0x1950A86A20F9469CFC6C
_MOST_BYTES = 1 << 20

_Load = Callable[[str, int], np.ndarray]


class _Lazy:
    """A tensor whose numbers follow after the pickle."""

    def __init__(self, storage: tuple[str, int], offset: int, shape: tuple[int, ...]) -> None:
        self.storage, self.offset, self.shape = storage, offset, shape

    def read(self, load: _Load) -> np.ndarray:
        flat = load(*self.storage)[self.offset : self.offset + math.prod(self.shape)]
        return flat.reshape(self.shape)


def _rebuild(storage: tuple[str, int], offset: int, shape: Any, strides: Any, *_: object) -> _Lazy:
    dense = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
    if any(n > 1 and stride != own for n, stride, own in zip(shape, strides, dense, strict=True)):
        raise pickle.UnpicklingError("a tensor that is not dense")
    return _Lazy(storage, int(offset), tuple(map(int, shape)))


_KNOWN: dict[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
    ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
    ("torch", "FloatStorage"): "float32",
    ("collections", "OrderedDict"): OrderedDict,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Returns a substitute for an object of PyTorch."""
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return _KNOWN[module, name]

    def persistent_load(self, pid: Any) -> tuple[str, int]:
        """Returns the key and the length of a storage."""
        kind, dtype, key, _, size = pid[:5]
        if (kind, dtype) != ("storage", "float32"):
            raise pickle.UnpicklingError(f"{kind} of {dtype}")
        return str(key), int(size)


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """Reads a dictionary of tensors from a file of ``torch.save``.

    Raises:
        InputError: The file is missing, damaged, over 1 MB, or has other objects than float32
            tensors.
    """
    try:
        content = path.read_bytes() if path.stat().st_size <= _MOST_BYTES else b""
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    file = io.BytesIO(content)
    try:
        read = _read_zip if zipfile.is_zipfile(file) else _read_legacy
        state, load = read(file)
        return {str(name): tensor.read(load) for name, tensor in state.items()}
    # A damaged or malicious file makes the unpickler raise anything.
    except Exception as error:
        raise InputError(
            f"{path}: is damaged or contains other objects than float32 tensors; get it again "
            f"({type(error).__name__})"
        ) from error


def _read_zip(file: io.BytesIO) -> tuple[dict[str, _Lazy], _Load]:
    archive = zipfile.ZipFile(file)
    (name,) = (n for n in archive.namelist() if n.endswith("/data.pkl"))
    if sum(entry.file_size for entry in archive.infolist()) > _MOST_BYTES:
        raise pickle.UnpicklingError("too large")

    def load(key: str, size: int) -> np.ndarray:
        return np.frombuffer(archive.read(f"{name.removesuffix('.pkl')}/{key}"), "<f4", size)

    return _Unpickler(io.BytesIO(archive.read(name))).load(), load


def _read_legacy(file: io.BytesIO) -> tuple[dict[str, _Lazy], _Load]:
    file.seek(0)
    if _Unpickler(file).load() != _MAGIC:
        raise pickle.UnpicklingError("not a file of torch.save")
    _version, _system, state, keys = (_Unpickler(file).load() for _ in range(4))
    storages = {}
    for key in keys:
        size = int.from_bytes(file.read(8), "little")
        storages[key] = np.frombuffer(file.read(4 * size), "<f4", size)
    return state, lambda key, size: storages[key][:size]
