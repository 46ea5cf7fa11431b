"""Parameters from files of Keras: HDF5, or a zip file that contains HDF5.

There are three layouts, all with kernels in HWIO:

- Keras 1 and 2, and whole models of any version: one group per layer,
  ``block1_conv1/…/kernel:0``, ``…/kernel`` or ``…/block1_conv1_W_1:0``; in whole models below
  ``model_weights``;
- Keras 3: ``layers/conv2d_1/vars/0`` and ``…/1``, numbered in the order of the layers; later
  versions have the layer's name as an attribute of ``vars``;
- the last versions of Keras 2: the same below ``_layer_checkpoint_dependencies``, sometimes with
  backslashes.

A kernel has four axes and a bias one. The layer is identified by its name or, if Keras chose the
name, by the order of the numbers. A ``.keras`` file is a zip file with the second layout.
"""

import re
import tempfile
import zipfile
from collections import defaultdict
from pathlib import Path

import numpy as np

from jaxstyle.encoder.vgg import VGG16, VGG19
from jaxstyle.errors import InputError
from jaxstyle.pretrained import hdf5
from jaxstyle.pretrained.store import FORMAT, Arrays

WEIGHTS_MEMBER = "model.weights.h5"

_NAMED = re.compile(r"block(\d)_conv(\d+)")
_NUMBERED = re.compile(r"(?:^|/)conv2d(?:_(\d+))?(?=/)")


def _number(groups: Arrays, where: str) -> Arrays:
    numbered: dict[int, dict[str, np.ndarray]] = {}
    for path, parts in groups.items():
        if match := _NUMBERED.search(path):
            number = int(match[1] or 0)
            if number in numbered:
                raise InputError(
                    f"{where}: contains {match[0].strip('/')} twice; save the VGG network alone"
                )
            numbered[number] = parts
    # Numbers need not start at 0, but they increase from layer to layer.
    for vgg in (VGG16, VGG19):
        if len(numbered) == len(vgg.layers):
            return {name: numbered[i] for name, i in zip(vgg.layers, sorted(numbered))}
    raise InputError(
        f"{where}: contains {len(groups)} convolutions with unknown names; "
        f"VGG16 has {len(VGG16.layers)}, VGG19 {len(VGG19.layers)}"
    )


def read_keras(path: Path) -> Arrays:
    """Reads the convolution layers of a VGG network in any of Keras' HDF5 layouts.

    Returns:
        ``{layer: {"kernel": f32[3, 3, i, o], "bias": f32[o]}}``, with unchecked shapes.

    Raises:
        InputError: The file is damaged, or its layers are not those of a VGG network.
    """
    found = hdf5.read(path)
    if found.attributes.get("format") == FORMAT:
        raise InputError(f"{path}: is an encoder of jaxstyle already; use it as it is")
    groups: Arrays = defaultdict(dict)
    for name, value in found.arrays.items():
        group = name.rpartition("/")[0]
        noted = f"{group}/{found.names.get(group, '')}".replace("\\", "/")
        groups[noted]["kernel" if value.ndim == 4 else "bias"] = value.astype(np.float32)
    groups = {group: parts for group, parts in groups.items() if "kernel" in parts}
    params: Arrays = {}
    for group, parts in groups.items():
        if match := _NAMED.search(group):
            name = f"conv{match[1]}_{match[2]}"
            if name in params:
                raise InputError(f"{path}: contains {match[0]} twice; save the VGG network alone")
            params[name] = parts
    return params or _number(groups, str(path))


def read_keras_zip(path: Path) -> Arrays:
    """Reads the convolution layers of a VGG network from a ``.keras`` file.

    Returns and errors as for :func:`read_keras`.
    """
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder, WEIGHTS_MEMBER)
        try:
            with zipfile.ZipFile(path) as archive:
                archive.extract(WEIGHTS_MEMBER, folder)
            return read_keras(weights)
        except InputError as error:
            message = str(error).replace(str(weights), f"{path}/{WEIGHTS_MEMBER}")
            raise InputError(message) from error
        # Damage makes zipfile raise anything.
        except Exception as error:
            raise InputError(f"{path}: is damaged; get it again ({error})") from error
