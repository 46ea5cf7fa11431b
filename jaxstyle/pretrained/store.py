"""Encoders as files: HDF5, one group a layer, checked whenever they are read.

File attributes: ``format``, ``format_version``, ``preprocessing``, ``pooling``, ``fingerprint``,
and freely chosen ones that say where the parameters come from. Datasets: ``convB_I/kernel``
``[3, 3, in, out]`` and ``convB_I/bias`` ``[out]``, in float32, or in float16 and compressed. The
network's depths and widths are not written down: they are read off the datasets, so that they
cannot contradict them.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import h5py
import jax.numpy as jnp
import numpy as np

from jaxstyle.atomic import replacing
from jaxstyle.encoder.preprocessing import PREPROCESSINGS
from jaxstyle.encoder.vgg import LAYER, VGG
from jaxstyle.encoder.vgg_encoder import VGGEncoder
from jaxstyle.errors import InputError
from jaxstyle.ops.pooling import Pooling

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


def open_hdf5(path: Path) -> h5py.File:
    """Opens an HDF5 file for reading.

    Raises:
        InputError: There is no such file, or it is not whole.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise InputError(
            f"{path}: is cut off, or no HDF5 file; get it again, or, if it is another tool's, turn "
            "it into ours: jaxstyle weights convert"
        ) from error


def _read_attributes(file: h5py.File, path: Path) -> dict[str, Any]:
    attributes = {k: v.item() if isinstance(v, np.generic) else v for k, v in file.attrs.items()}
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
    return attributes


def read_attributes(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns what a file of ours says about itself: the format's attributes and the free ones.

    Raises:
        InputError: The file is none of ours.
    """
    with open_hdf5(Path(path)) as file:
        return _read_attributes(file, Path(path))


def read_dtype(path: str | os.PathLike[str]) -> Dtype:
    """Returns the type that a file of ours, found to be good, holds its parameters in."""
    with open_hdf5(Path(path)) as file:
        kernel: Any = file["conv1_1/kernel"]
        return "float16" if kernel.dtype == np.float16 else "float32"


def _read_layer(group: Any) -> dict[str, np.ndarray]:
    return {part: np.asarray(group[part], np.float32) for part in group}


def read_encoder(path: str | os.PathLike[str]) -> VGGEncoder:
    """Reads an encoder, with its own pooling and zero padding, parameters as float32.

    Raises:
        InputError: The file is missing, cut off, damaged, or none of ours.
    """
    path = Path(path)
    with open_hdf5(path) as file:
        attributes = _read_attributes(file, path)
        try:
            params = {layer: _read_layer(file[layer]) for layer in map(str, file)}
        # What h5py raises over damage depends on where in the file that lies.
        except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise InputError(f"{path}: is damaged; get it again ({error})") from error
    vgg = infer_network(params, str(path), attributes["pooling"])
    encoder = make_encoder(params, vgg, attributes["preprocessing"])
    expected = attributes.get("fingerprint")
    if expected is not None and expected != fingerprint(encoder):
        raise InputError(f"{path}: is damaged: its parameters have changed since; get it again")
    return encoder
