"""Parameters from NumPy's ``.npz``, in which the names of the arrays identify the layers."""

import re
from collections import defaultdict
from pathlib import Path

import numpy as np

from jaxstyle.errors import InputError
from jaxstyle.pretrained.from_torch import Names, read_names
from jaxstyle.pretrained.store import Arrays

_NAMED = re.compile(r"(?:.*/)?(?:block|conv)(\d)_(?:conv)?(\d+)[_./](W|kernel|b|bias)")


def read_npz(path: Path) -> tuple[Arrays, Names]:
    """Reads the convolution layers of a VGG network from an ``.npz`` file.

    The names are ``conv1_1_W`` and ``conv1_1_b``, ``conv1_1/kernel`` and ``conv1_1/bias``, with
    kernels in HWIO, or those of a ``state_dict``, with kernels in OIHW. Pickled objects are never
    loaded.

    Returns:
        As :func:`jaxstyle.pretrained.from_torch.read_safetensors`.

    Raises:
        InputError: The file is damaged, or its layers are not those of a VGG network.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:

            def get(name: str) -> np.ndarray:
                return arrays[name].astype(np.float32)

            params: Arrays = defaultdict(dict)
            for name in arrays.files:
                if match := _NAMED.fullmatch(name):
                    part = "bias" if match[3].startswith("b") else "kernel"
                    params[f"conv{match[1]}_{match[2]}"][part] = get(name)
            return (params, "named") if params else read_names(arrays.files, get, str(path))
    except InputError:
        raise
    # Damage makes NumPy and zipfile raise anything.
    except Exception as error:
        raise InputError(f"{path}: is damaged; get it again ({error})") from error
