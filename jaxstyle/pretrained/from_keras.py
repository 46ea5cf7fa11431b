"""Parameters out of the HDF5 files that Keras writes.

Three generations of layouts, all with kernels in HWIO:

- up to Keras 2, and whole models to this day: a group a layer, ``block1_conv1/…/kernel:0``, also
  without ``:0``, also ``block1_conv1_W_1:0``, in whole models below ``model_weights``;
- Keras 3: ``layers/conv2d_1/vars/0`` and ``…/1``, numbered in the order of the layers; the later
  versions note the layer's own name as an attribute of ``vars``;
- the last Keras 2: the same below ``_layer_checkpoint_dependencies``, with backslashes at times.

So a kernel is what has four axes, a bias what has one, and the layer is found by name or, failing
that, by number.
"""

import re
from collections import defaultdict
from pathlib import Path

import h5py
import numpy as np

from jaxstyle.encoder.vgg import VGG16, VGG19
from jaxstyle.errors import InputError
from jaxstyle.pretrained.store import Arrays, open_hdf5

_NAMED = re.compile(r"block(\d)_conv(\d+)")
_NUMBERED = re.compile(r"(?:^|/)conv2d(?:_(\d+))?/vars$")


def _read_groups(file: h5py.File) -> Arrays:
    """Returns kernel and bias of every group that holds a kernel, by path and noted name."""
    groups: Arrays = defaultdict(dict)

    def visit(path: str, item: h5py.Group | h5py.Dataset) -> None:
        # The optimiser's momenta have the shapes, and in part the names, of what they belong to.
        if not isinstance(item, h5py.Dataset) or path.startswith("optimizer"):
            return
        part = {4: "kernel", 1: "bias"}.get(item.ndim)
        if part is not None:
            groups[path.rpartition("/")[0]][part] = np.asarray(item, np.float32)

    file.visititems(visit)
    return {
        f"{path}/{file[path].attrs.get('name', '')}".replace("\\", "/").rstrip("/"): parts
        for path, parts in groups.items()
        if "kernel" in parts
    }


def _number(groups: Arrays, where: str) -> Arrays:
    numbered = {
        int(match[1] or 0): parts
        for path, parts in groups.items()
        if (match := _NUMBERED.search(path))
    }
    for vgg in (VGG16, VGG19):
        if sorted(numbered) == list(range(len(vgg.layers))):
            return {name: numbered[i] for i, name in enumerate(vgg.layers)}
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
    with open_hdf5(path) as file:
        try:
            groups = _read_groups(file)
        except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise InputError(f"{path}: is damaged; get it again ({error})") from error
    params: Arrays = {}
    for group, parts in groups.items():
        if match := _NAMED.search(group):
            name = f"conv{match[1]}_{match[2]}"
            if name in params:
                raise InputError(f"{path}: holds {match[0]} twice; save the VGG network alone")
            params[name] = parts
    return params or _number(groups, str(path))
