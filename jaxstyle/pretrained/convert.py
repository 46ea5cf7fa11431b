"""Conversion of other libraries' files with a VGG network.

A file is recognised by its first bytes, not by its name. Only convolution layers are converted.
"""

import hashlib
import os
import zipfile
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from jaxstyle.encoder.preprocessing import PREPROCESSINGS
from jaxstyle.encoder.vgg import VGG16
from jaxstyle.encoder.vgg_encoder import VGGEncoder
from jaxstyle.errors import InputError, check_choice
from jaxstyle.paths import existing
from jaxstyle.pretrained import hdf5
from jaxstyle.pretrained.from_keras import WEIGHTS_MEMBER, read_keras, read_keras_zip
from jaxstyle.pretrained.from_npz import read_npz
from jaxstyle.pretrained.from_onnx import read_onnx
from jaxstyle.pretrained.from_torch import read_pickle, read_safetensors
from jaxstyle.pretrained.registry import packaged_file
from jaxstyle.pretrained.store import (
    Arrays,
    Attributes,
    Dtype,
    fingerprint,
    infer_network,
    make_encoder,
    save_encoder,
)

_Layout: TypeAlias = Literal["keras", "keras zip", "npz", "onnx", "pickle", "safetensors"]

_HDF5 = b"\x89HDF\r\n\x1a\n"
_ZIP = b"PK\x03\x04"
_PICKLE = b"\x80"

# Similarity of first kernels that were trained from the same start: among known files of VGG16 and
# VGG19 the lowest is 0.77, and most are above 0.95.
_SIMILAR = 0.7


class Conversion(NamedTuple):
    """The contents of another library's file.

    Attributes:
        params: ``{layer: {"kernel": f32[3, 3, i, o], "bias": f32[o]}}``.
        layout: The kind of file.
        preprocessing: The usual preprocessing of such files, a key of ``PREPROCESSINGS``.
    """

    params: Arrays
    layout: _Layout
    preprocessing: str


def file_sha256(path: Path) -> str:
    """Returns the SHA-256 of a file, in hexadecimal digits."""
    with existing(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _recognise(path: Path) -> _Layout:
    hdf5.check_file(path)
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if head.startswith(_HDF5):
        return "keras"
    if head.startswith(_ZIP):
        return _recognise_zip(path)
    if head.startswith(_PICKLE):
        return "pickle"
    # A JSON header after its length in eight bytes.
    if head[8:] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size:
        return "safetensors"
    # Protocol buffers have no signature: the first field is a version, followed by another field.
    if head[:1] == b"\x08" and head[1:2] < b"\x20" and head[2:3] in b"\x12\x1a\x22\x2a\x3a\x42":
        return "onnx"
    raise InputError(
        f"{path}: is not a file of Keras (HDF5, .keras), safetensors, torch.save, ONNX or "
        "NumPy (.npz); name one with a VGG network"
    )


def _recognise_zip(path: Path) -> _Layout:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: is damaged; get it again ({error})") from error
    if WEIGHTS_MEMBER in names:
        return "keras zip"
    if any(name.endswith("/data.pkl") for name in names):
        return "pickle"
    if names and all(name.endswith(".npy") for name in names):
        return "npz"
    contents = ", ".join(sorted(names)[:3]) or "nothing"
    raise InputError(
        f"{path}: is a zip file with {contents}, not of Keras, PyTorch or NumPy; unpack it and "
        "give the file with the parameters"
    )


def read_foreign(path: Path) -> Conversion:
    """Reads another library's file, in any of the supported layouts.

    Raises:
        InputError: The layout is unknown, the file is damaged, or it has no VGG network.
    """
    layout = _recognise(path)
    if layout in ("keras", "keras zip"):
        read = read_keras if layout == "keras" else read_keras_zip
        return Conversion(read(path), layout, "caffe")
    if layout == "onnx":
        return Conversion(read_onnx(path), layout, "torch")
    read = {"pickle": read_pickle, "safetensors": read_safetensors, "npz": read_npz}[layout]
    params, names = read(path)
    return Conversion(params, layout, "caffe" if names == "named" else "torch")


def _match_caffe(kernel: np.ndarray) -> Literal["BGR", "RGB"] | None:
    """Returns the order of channels if conv1_1 is that of the authors' Caffe models, or None.

    VGG16, VGG19 and the networks that were fine-tuned from them have nearly the same first filters,
    each up to a factor if activations were normalised. The scale of the kernels is no criterion:
    their standard deviation is 0.21 in Caffe's VGG16 and 0.25 in torchvision's.
    """
    if kernel.shape != (3, 3, 3, VGG16.widths[0]):
        return None
    known = hdf5.read(packaged_file()).arrays["conv1_1/kernel"].astype(np.float32)
    if known.shape != kernel.shape:
        return None

    def similarity(k: np.ndarray) -> float:
        lengths = np.sqrt(np.square(k).sum((0, 1, 2)) * np.square(known).sum((0, 1, 2)))
        return float(np.median((k * known).sum((0, 1, 2)) / np.maximum(lengths, 1e-30)))

    bgr, rgb = similarity(kernel), similarity(kernel[:, :, ::-1])
    if max(bgr, rgb) < _SIMILAR:
        return None
    return "BGR" if bgr > rgb else "RGB"


def _make(path: Path, found: Conversion, preprocessing: str | None) -> VGGEncoder:
    params = found.params
    vgg = infer_network(params, str(path))
    if preprocessing != "torch" and (order := _match_caffe(params["conv1_1"]["kernel"])):
        preprocessing = "caffe"
        if order == "RGB":
            first = params["conv1_1"]
            params = params | {"conv1_1": first | {"kernel": first["kernel"][:, :, ::-1]}}
    return make_encoder(params, vgg, preprocessing or found.preprocessing)


def foreign_encoder(path: Path, preprocessing: str | None = None) -> VGGEncoder:
    """Reads the encoder from another library's file; arguments and errors as for `convert`."""
    return _make(path, read_foreign(path), preprocessing)


def convert(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    preprocessing: str | None = None,
    attributes: Attributes | None = None,
    dtype: Dtype = "float32",
    overwrite: bool = False,
) -> VGGEncoder:
    """Converts a file of Keras, PyTorch, ONNX or NumPy with a VGG network to jaxstyle's format.

    Args:
        source: HDF5 in any of Keras' layouts or ``.keras``; a ``state_dict`` in safetensors or by
            ``torch.save``, with torchvision's names or those of ``vgg_conv.pth``; ONNX; ``.npz``.
        destination: The file to write.
        preprocessing: The preprocessing that the parameters were trained with, ``caffe`` or
            ``torch``. None is Caffe's if the first layer is that of the authors' Caffe models, and
            otherwise the usual one: Caffe's for Keras and ``vgg_conv.pth``, torchvision's for the
            rest. First kernels of Caffe in the order red, green, blue are changed to Caffe's order.
        attributes: What to record in the file besides its source.
        dtype: As for :func:`save_encoder`.
        overwrite: Whether an existing file may be replaced.

    Returns:
        The encoder before its parameters are rounded to ``dtype``.

    Raises:
        InputError: The source cannot be read or has no VGG network, or the destination exists.
    """
    source, destination = existing(Path(source)), Path(destination)
    if preprocessing is not None:
        check_choice("preprocessing", preprocessing, PREPROCESSINGS)
    if destination.exists() and not overwrite:
        raise InputError(f"{destination}: exists; choose another name or allow overwriting it")
    found = read_foreign(source)
    encoder = _make(source, found, preprocessing)
    provenance = {
        "source_file": source.name,
        "source_layout": found.layout,
        "source_sha256": file_sha256(source),
        "source_fingerprint": fingerprint(encoder),
    }
    save_encoder(destination, encoder, {**provenance, **(attributes or {})}, dtype=dtype)
    return encoder
