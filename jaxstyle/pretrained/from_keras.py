"""Parameters out of the files that Keras writes: HDF5, or a zip with such a file in it.

Three generations of layouts, all with kernels in HWIO:

- up to Keras 2, and whole models to this day: a group a layer, ``block1_conv1/…/kernel:0``, also
  without ``:0``, also ``block1_conv1_W_1:0``, in whole models below ``model_weights``;
- Keras 3: ``layers/conv2d_1/vars/0`` and ``…/1``, numbered in the order of the layers; the later
  versions note the layer's own name as an attribute of ``vars``;
- the last Keras 2: the same below ``_layer_checkpoint_dependencies``, with backslashes at times.

So a kernel is what has four axes, a bias what has one, and the layer is found by name or, failing
that, by the order of the numbers in the names that Keras gives itself. A ``.keras`` file is a zip
with the second layout in it.
"""

import re
import shutil
import tempfile
import zipfile
from collections import defaultdict
from pathlib import Path

import numpy as np

from jaxstyle.encoder.vgg import VGG16, VGG19
from jaxstyle.errors import InputError
from jaxstyle.pretrained.store import FORMAT, Arrays, read_hdf5

WEIGHTS_MEMBER = "model.weights.h5"

_NAMED = re.compile(r"block(\d)_conv(\d+)")
_NUMBERED = re.compile(r"(?:^|/)conv2d(?:_(\d+))?(?=/)")
_MAX_MEMBER_BYTES = 1 << 31


def _number(groups: Arrays, where: str) -> Arrays:
    numbered: dict[int, dict[str, np.ndarray]] = {}
    for path, parts in groups.items():
        if match := _NUMBERED.search(path):
            number = int(match[1] or 0)
            if number in numbered:
                raise InputError(
                    f"{where}: holds {match[0].strip('/')} twice; save the VGG network alone"
                )
            numbered[number] = parts
    # Whatever the process had numbered before, later layers have higher numbers.
    for vgg in (VGG16, VGG19):
        if len(numbered) == len(vgg.layers):
            return {name: numbered[i] for name, i in zip(vgg.layers, sorted(numbered))}
    raise InputError(
        f"{where}: holds {len(groups)} convolutions without names known here; "
        f"VGG16 has {len(VGG16.layers)}, VGG19 {len(VGG19.layers)}"
    )


def read_keras(path: Path) -> Arrays:
    """Reads the convolution layers of a VGG network in any of Keras' HDF5 layouts.

    Returns:
        ``{layer: {"kernel": f32[3, 3, i, o], "bias": f32[o]}}``, shapes not yet checked.

    Raises:
        InputError: The file is damaged, or its layers are not those of a VGG network.
    """
    found = read_hdf5(path, apart=True)
    if found.attributes.get("format") == FORMAT:
        raise InputError(f"{path}: is an encoder of jaxstyle already")
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
                raise InputError(f"{path}: holds {match[0]} twice; save the VGG network alone")
            params[name] = parts
    return params or _number(groups, str(path))


def read_keras_zip(path: Path) -> Arrays:
    """Reads the convolution layers of a VGG network from a ``.keras`` file.

    Returns and raises as :func:`read_keras`.
    """
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder, WEIGHTS_MEMBER)
        try:
            with zipfile.ZipFile(path) as archive:
                if archive.getinfo(WEIGHTS_MEMBER).file_size > _MAX_MEMBER_BYTES:
                    raise InputError(f"{path}: holds over 2 GB; save the VGG network alone")
                with archive.open(WEIGHTS_MEMBER) as packed, weights.open("xb") as file:
                    shutil.copyfileobj(packed, file)
            return read_keras(weights)
        except InputError as error:
            told = str(error).replace(str(weights), f"{path}/{WEIGHTS_MEMBER}")
            raise InputError(told) from error
        # What zipfile raises over damage depends on where in the file that lies.
        except Exception as error:
            raise InputError(f"{path}: is damaged; get it again ({error})") from error
