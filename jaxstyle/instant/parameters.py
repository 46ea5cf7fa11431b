"""The parameters of the networks: a safetensors file in the folder ``weights/``."""

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax.traverse_util import unflatten_dict
from safetensors.numpy import load_file

from jaxstyle.errors import InputError
from jaxstyle.pretrained.registry import weights_folder

FILE = "instant.safetensors"


class InstantParams(NamedTuple):
    """The pretrained parameters, a pytree.

    Attributes:
        style: Of the network that computes style vectors.
        transformer: Of the network that paints.
    """

    style: Any
    transformer: Any


def instant_file() -> Path:
    """Returns the file of the parameters."""
    return weights_folder() / FILE


@cache
def load_instant() -> InstantParams:
    """Loads the parameters, which are part of the package.

    Raises:
        InputError: The file is missing or damaged.

    Examples:
        >>> load_instant().transformer["contract1"]["kernel"].shape
        (9, 9, 3, 8)
    """
    path = instant_file()
    try:
        arrays = load_file(path)
    # The reader raises errors of its own besides those of files.
    except Exception as error:
        raise InputError(f"{path}: cannot be read ({error}); install jaxstyle again") from error
    # Without rounding: an 8-bit number times the scale of its output channel.
    flat = {
        name: value * arrays[f"{name}_scale"] if value.dtype == np.int8 else value
        for name, value in arrays.items()
        if not name.endswith("_scale")
    }
    tree = unflatten_dict({name: jnp.asarray(value) for name, value in flat.items()}, sep="/")
    return InstantParams(tree["style"], tree["transformer"])
