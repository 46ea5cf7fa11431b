"""Tensors from small files of ``torch.save``, without PyTorch and without running their code.

The published calibrations have the layout of PyTorch before 1.6: pickles, then the numbers. The
unpickler can make dense float32 tensors, and refuses everything else.
"""

import io
import math
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxstyle.errors import InputError

_MAGIC = 0x1950A86A20F9469CFC6C
_MOST_BYTES = 1 << 20


def _rebuild(
    storage: str, offset: int, shape: tuple[int, ...], strides: Any, *_: object
) -> Callable[[Mapping[str, np.ndarray]], np.ndarray]:
    """Returns a function that makes a tensor from the storages, which follow after the pickles."""
    dense = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
    if any(n > 1 and stride != own for n, stride, own in zip(shape, strides, dense, strict=True)):
        raise pickle.UnpicklingError("a tensor that is not dense")
    end = offset + math.prod(shape)
    return lambda storages: storages[storage][offset:end].reshape(shape)


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

    def persistent_load(self, pid: Any) -> str:
        """Returns the key of a storage."""
        kind, dtype, key = pid[:3]
        if (kind, dtype) != ("storage", "float32"):
            raise pickle.UnpicklingError(f"{kind} of {dtype}")
        return str(key)


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """Reads a dictionary of tensors from a file of ``torch.save`` before PyTorch 1.6.

    Raises:
        InputError: The file is missing, damaged, over 1 MB, or has other objects than float32
            tensors.
    """
    try:
        file = io.BytesIO(path.read_bytes() if path.stat().st_size <= _MOST_BYTES else b"")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        if _Unpickler(file).load() != _MAGIC:
            raise pickle.UnpicklingError("not a file of torch.save")
        _version, _system, state, keys = (_Unpickler(file).load() for _ in range(4))
        storages = {}
        for key in keys:
            size = int.from_bytes(file.read(8), "little")
            storages[str(key)] = np.frombuffer(file.read(4 * size), "<f4", size)
        return {str(name): make(storages) for name, make in state.items()}
    # A damaged or malicious file makes the unpickler raise anything.
    except Exception as error:
        raise InputError(
            f"{path}: is damaged or contains other objects than float32 tensors; get the authors' "
            f"file ({type(error).__name__})"
        ) from error
