"""Encoders as files: HDF5, one group a layer, checked whenever they are read.

File attributes: ``format``, ``format_version``, ``preprocessing``, ``pooling``, ``fingerprint``,
and freely chosen ones that say where the parameters come from. Datasets: ``convB_I/kernel``
``[3, 3, in, out]`` and ``convB_I/bias`` ``[out]``, in float32, or in float16 and compressed. The
network's depths and widths are not written down: they are read off the datasets, so that they
cannot contradict them.
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
    """Returns the network that parameters belong to, once every one of them has passed its check.

    Args:
        params: ``{layer: {"kernel": [3, 3, i, o], "bias": [o]}}``.
        where: The file, for the messages.
        pooling: What stands between two blocks.

    Raises:
        InputError: A layer is missing or misnamed, a shape does not follow from the one before, or
            a number is not finite.
    """
    blocks = Counter()
    for name in params:
        match = LAYER.fullmatch(name)
        if match is None:
            raise InputError(f"{where}: {name!r} is no layer of a VGG network, as conv1_1 is")
        blocks[int(match[1])] += 1
    if not blocks:
        raise InputError(f"{where}: holds no convolution layers")
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
            raise InputError(f"{where}/{part} holds numbers that are not finite")
    shape = layer["kernel"].shape
    if len(shape) != 4 or shape[:3] != (3, 3, incoming) or not shape[3]:
        raise InputError(f"{where}/kernel has shape {shape}, not (3, 3, {incoming}, channels)")
    if layer["bias"].shape != shape[3:]:
        raise InputError(f"{where}/bias has shape {layer['bias'].shape}, not {shape[3:]}")
    return shape[3]


def make_encoder(params: Arrays, vgg: VGG, preprocessing: str) -> VGGEncoder:
    """Returns an encoder of NumPy parameters, which become float32 arrays of JAX."""
    arrays = {
        layer: {part: jnp.asarray(value, jnp.float32) for part, value in parts.items()}
        for layer, parts in params.items()
    }
    return VGGEncoder(params=arrays, network=vgg, preprocessing=PREPROCESSINGS[preprocessing])


def fingerprint(encoder: VGGEncoder) -> str:
    """Returns the SHA-256 of the parameters, whichever file they came from.

    It runs over every layer from shallow to deep, kernel before bias: name, shape, and the numbers
    as little-endian float32. Preprocessing and pooling do not enter.

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
    """Returns the parameters as a file of that type holds them."""
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
    """Writes an encoder; the file appears whole or not at all. The same arguments, the same bytes.

    Args:
        path: The file to write; one of that name is replaced.
        encoder: What to write.
        attributes: Where the parameters come from: source, licence, checksum, …
        dtype: ``float16`` rounds the parameters to 11 bits and compresses them: less than half.

    Raises:
        InputError: The file cannot be written, or a number does not fit into ``dtype``.
        ValueError: An attribute has a name that the format keeps for itself.
    """
    path = Path(path)
    if taken := set(_OURS) & set(attributes or {}):
        raise ValueError(f"attributes {sorted(taken)} are the format's own")
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
                    # A float32's last bits are noise, which no compression makes shorter.
                    packed = _PACKED | {"chunks": value.shape} if dtype == "float16" else {}
                    file.create_dataset(f"{layer}/{part}", data=value, track_times=False, **packed)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        raise InputError(f"{path}: cannot be written ({reason})") from error


def check_file(path: Path) -> None:
    """Refuses what is no file to be read: a pipe would keep us waiting for ever.

    Raises:
        InputError: It is missing, a folder, a pipe or a device.
    """
    if not path.is_file():
        wrong = "is no file, but a folder, pipe or device" if path.exists() else "no such file"
        raise InputError(f"{path}: {wrong}")


def read_hdf5(path: Path, *, apart: bool, arrays: bool = True) -> hdf5.Contents:
    """Reads what an HDF5 file holds.

    Args:
        path: The file.
        apart: Whether the file is a stranger's: see :func:`jaxstyle.pretrained.hdf5.read_apart`.
        arrays: Whether to read more than attributes.

    Raises:
        InputError: There is no such file, it is damaged, or it leads to others.
    """
    check_file(path)
    try:
        return hdf5.read_apart(path) if apart else hdf5.read(path, arrays=arrays)
    except hdf5.Refused as error:
        raise InputError(f"{path}: {error}") from error


def _check_attributes(attributes: Mapping[str, Any], path: Path) -> None:
    if attributes.get("format") != FORMAT:
        raise InputError(
            f"{path}: is no encoder of jaxstyle; make it one with: jaxstyle weights convert"
        )
    if attributes.get("format_version") != FORMAT_VERSION:
        raise InputError(
            f"{path}: is of format version {attributes.get('format_version')}, "
            f"this jaxstyle reads version {FORMAT_VERSION}; update jaxstyle or convert anew"
        )
    for name, choices in (("preprocessing", PREPROCESSINGS), ("pooling", get_args(Pooling))):
        if attributes.get(name) not in choices:
            raise InputError(
                f"{path}: {name} is {attributes.get(name)!r}; must be {' or '.join(choices)}"
            )


def read_attributes(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns what a file of ours says about itself: the format's attributes and the free ones.

    Raises:
        InputError: The file is none of ours.
    """
    attributes = read_hdf5(Path(path), apart=False, arrays=False).attributes
    _check_attributes(attributes, Path(path))
    return attributes


class Stored(NamedTuple):
    """A file of ours.

    Attributes:
        encoder: With its own pooling and zero padding, parameters as float32.
        dtype: What the file holds them in.
        attributes: All that the file says about itself.
    """

    encoder: VGGEncoder
    dtype: Dtype
    attributes: dict[str, Any]


def read_stored(path: str | os.PathLike[str], *, apart: bool = False) -> Stored:
    """Reads a file of ours and checks all of it; arguments and errors as for `read_encoder`."""
    path = Path(path)
    found = read_hdf5(path, apart=apart)
    _check_attributes(found.attributes, path)
    params: Arrays = defaultdict(dict)
    for name, value in found.arrays.items():
        layer, _, part = name.partition("/")
        params[layer][part] = value.astype(np.float32)
    vgg = infer_network(params, str(path), found.attributes["pooling"])
    encoder = make_encoder(params, vgg, found.attributes["preprocessing"])
    expected = found.attributes.get("fingerprint")
    if expected is not None and expected != fingerprint(encoder):
        raise InputError(f"{path}: is damaged: its parameters have changed since; get it again")
    half = found.arrays["conv1_1/kernel"].dtype == np.float16
    return Stored(encoder, "float16" if half else "float32", found.attributes)


def read_encoder(path: str | os.PathLike[str], *, apart: bool = False) -> VGGEncoder:
    """Reads an encoder, with its own pooling and zero padding, parameters as float32.

    Args:
        path: A file of ours.
        apart: Whether to read in a process of its own, as for a stranger's file; what this library
            wrote itself is not worth the quarter of a second.

    Raises:
        InputError: The file is missing, cut off, damaged, or none of ours.
    """
    return read_stored(path, apart=apart).encoder
