"""Encoder files: HDF5 with a group per layer, checked whenever they are read.

File attributes: ``format``, ``format_version``, ``preprocessing``, ``pooling``, ``fingerprint``,
and free ones about the origin of the parameters. Datasets: ``convB_I/kernel`` ``[3, 3, in, out]``
and ``convB_I/bias`` ``[out]``, in float32, or in float16 and compressed. Depths and widths of the
network follow from the datasets.
"""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import h5py
import jax.numpy as jnp
import numpy as np

from jaxstyle.atomic import replacing
from jaxstyle.encoder.preprocessing import PREPROCESSINGS
from jaxstyle.encoder.vgg import LAYER, VGG
from jaxstyle.encoder.vgg_encoder import VGGEncoder
from jaxstyle.errors import InputError
from jaxstyle.ops.pooling import Pooling
from jaxstyle.pretrained import hdf5

FORMAT = "jaxstyle-encoder"
FORMAT_VERSION = 1

Attributes = Mapping[str, str | int | float]
Dtype = Literal["float16", "float32"]
Arrays = dict[str, dict[str, np.ndarray]]

_OURS = ("format", "format_version", "preprocessing", "pooling", "fingerprint")
_PACKED: dict[str, Any] = {"compression": "gzip", "compression_opts": 4, "shuffle": True}


def infer_network(params: Arrays, where: str, pooling: Pooling = "max") -> VGG:
    """Checks parameters, and returns the network that they belong to.

    Args:
        params: ``{layer: {"kernel": [3, 3, i, o], "bias": [o]}}``.
        where: The file, for error messages.
        pooling: Pooling between two blocks.

    Raises:
        InputError: A layer is missing or has a wrong name, a shape does not fit to the one
            before, or a number is not finite.
    """
    blocks = Counter()
    for name in params:
        match = LAYER.fullmatch(name)
        if match is None:
            raise InputError(f"{where}: {name!r} is not a layer of a VGG network, such as conv1_1")
        blocks[int(match[1])] += 1
    if not blocks:
        raise InputError(f"{where}: has no convolution layers; name a VGG network")
    depths = tuple(max(1, blocks[b]) for b in range(1, max(blocks) + 1))
    widths: list[int] = []
    incoming = 3
    for name in VGG(depths).layers:
        if name not in params:
            raise InputError(f"{where}: layer {name} is missing")
        outgoing = _check_layer(params[name], incoming, f"{where}: {name}")
        if name.endswith("_1"):
            widths.append(outgoing)
        elif outgoing != incoming:
            raise InputError(f"{where}: {name} has {outgoing} channels, its block {incoming}")
        incoming = outgoing
    return VGG(depths, tuple(widths), pooling)


def _check_layer(layer: dict[str, np.ndarray], incoming: int, where: str) -> int:
    for part in ("kernel", "bias"):
        if part not in layer:
            raise InputError(f"{where} has no {part}")
        if not np.isfinite(layer[part]).all():
            raise InputError(f"{where}/{part} has numbers that are not finite; get it again")
    shape = layer["kernel"].shape
    if len(shape) != 4 or shape[:3] != (3, 3, incoming) or not shape[3]:
        raise InputError(f"{where}/kernel has shape {shape}, not (3, 3, {incoming}, channels)")
    if layer["bias"].shape != shape[3:]:
        raise InputError(f"{where}/bias has shape {layer['bias'].shape}, not {shape[3:]}")
    return shape[3]


def make_encoder(params: Arrays, vgg: VGG, preprocessing: str) -> VGGEncoder:
    """Makes an encoder from NumPy parameters."""
    arrays = {
        layer: {part: jnp.asarray(value, jnp.float32) for part, value in parts.items()}
        for layer, parts in params.items()
    }
    return VGGEncoder(params=arrays, network=vgg, preprocessing=PREPROCESSINGS[preprocessing])


def fingerprint(encoder: VGGEncoder) -> str:
    """Returns the SHA-256 of the parameters, which does not depend on the kind of file.

    It covers every layer from shallow to deep, kernel before bias: name, shape, and numbers as
    little-endian float32. Preprocessing and pooling are not included.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for layer in encoder.layers:
        for part in ("kernel", "bias"):
            value = np.ascontiguousarray(encoder.params[layer][part], dtype="<f4")
            digest.update(f"{layer}/{part} {value.shape}\n".encode())
            digest.update(value.data)
    return digest.hexdigest()


def round_params(encoder: VGGEncoder, dtype: Dtype) -> Arrays:
    """Returns the parameters in the precision of a file."""
    return {
        layer: {part: np.asarray(value).astype(dtype) for part, value in parts.items()}
        for layer, parts in encoder.params.items()
    }


def save_encoder(
    path: str | os.PathLike[str],
    encoder: VGGEncoder,
    attributes: Attributes | None = None,
    *,
    dtype: Dtype = "float32",
) -> None:
    """Saves an encoder, whole or not at all. The same arguments give the same bytes.

    Args:
        path: The file to write. An existing file is replaced.
        encoder: The encoder to save.
        attributes: Origin of the parameters: source, licence, checksum, …
        dtype: ``float16`` rounds to 11 bits and compresses: less than half the size.

    Raises:
        InputError: The file cannot be written, or a number is too large for ``dtype``.
        ValueError: The name of an attribute is reserved.
    """
    path = Path(path)
    if taken := set(_OURS) & set(attributes or {}):
        raise ValueError(f"attributes {sorted(taken)} are reserved")
    params = round_params(encoder, dtype)
    infer_network(params, str(path))
    rounded = make_encoder(params, encoder.network, encoder.preprocessing.name)
    ours = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "preprocessing": encoder.preprocessing.name,
        "pooling": encoder.network.pooling,
        "fingerprint": fingerprint(rounded),
    }
    try:
        with replacing(path) as temporary, h5py.File(temporary, "x") as file:
            file.attrs.update({**ours, **(attributes or {})})
            for layer, parts in params.items():
                for part, value in parts.items():
                    # The last bits of float32 are noise, which cannot be compressed.
                    packed = _PACKED | {"chunks": value.shape} if dtype == "float16" else {}
                    file.create_dataset(f"{layer}/{part}", data=value, track_times=False, **packed)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        raise InputError(f"{path}: cannot be written ({reason})") from error


def _check_attributes(attributes: Mapping[str, Any], path: Path) -> None:
    if attributes.get("format") != FORMAT:
        raise InputError(
            f"{path}: is not an encoder of jaxstyle; convert it with: jaxstyle weights convert"
        )
    if attributes.get("format_version") != FORMAT_VERSION:
        raise InputError(
            f"{path}: has format version {attributes.get('format_version')}, "
            f"this jaxstyle reads version {FORMAT_VERSION}; update jaxstyle, or convert it again"
        )
    for name, choices in (("preprocessing", PREPROCESSINGS), ("pooling", get_args(Pooling))):
        if attributes.get(name) not in choices:
            raise InputError(
                f"{path}: {name} is {attributes.get(name)!r}; must be {' or '.join(choices)}"
            )


def read_attributes(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns all attributes of a file in jaxstyle's format.

    Raises:
        InputError: The file has another format.
    """
    attributes = hdf5.read(path, arrays=False).attributes
    _check_attributes(attributes, Path(path))
    return attributes


class Stored(NamedTuple):
    """The contents of a file in jaxstyle's format.

    Attributes:
        encoder: The encoder, with its own pooling, zero padding, and parameters in float32.
        dtype: Type of the parameters in the file.
        attributes: All attributes of the file.
    """

    encoder: VGGEncoder
    dtype: Dtype
    attributes: dict[str, Any]


def read_stored(path: str | os.PathLike[str]) -> Stored:
    """Reads and checks a whole file; errors as for :func:`read_encoder`."""
    path = Path(path)
    found = hdf5.read(path)
    _check_attributes(found.attributes, path)
    params: Arrays = defaultdict(dict)
    for name, value in found.arrays.items():
        layer, _, part = name.partition("/")
        params[layer][part] = value.astype(np.float32)
    vgg = infer_network(params, str(path), found.attributes["pooling"])
    encoder = make_encoder(params, vgg, found.attributes["preprocessing"])
    expected = found.attributes.get("fingerprint")
    if expected is not None and expected != fingerprint(encoder):
        raise InputError(f"{path}: is damaged: its parameters have changed; get it again")
    half = found.arrays["conv1_1/kernel"].dtype == np.float16
    return Stored(encoder, "float16" if half else "float32", found.attributes)


def read_encoder(path: str | os.PathLike[str]) -> VGGEncoder:
    """Reads an encoder, with its own pooling, zero padding, and parameters in float32.

    Args:
        path: A file in jaxstyle's format.

    Raises:
        InputError: The file is missing, cut off, damaged, or has another format.
    """
    return read_stored(path).encoder
