"""Other libraries' files with a VGG network, turned into ours.

What a file is, its first bytes tell; its name is not asked. Only the convolution layers are taken.
"""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

from jaxstyle.encoder.preprocessing import PREPROCESSINGS
from jaxstyle.encoder.vgg_encoder import VGGEncoder
from jaxstyle.errors import InputError, check_choice
from jaxstyle.pretrained.from_keras import read_keras
from jaxstyle.pretrained.from_torch import read_pickle, read_safetensors
from jaxstyle.pretrained.store import (
    FORMAT,
    Arrays,
    Attributes,
    Dtype,
    fingerprint,
    infer_network,
    make_encoder,
    open_hdf5,
    save_encoder,
)

_HDF5 = b"\x89HDF\r\n\x1a\n"
_ZIP = b"PK\x03\x04"
_PICKLE = b"\x80"

# neural-style's conversions of the Caffe models carry torchvision's layer names. By PyTorch's
# custom a file's name ends in the first digits of its SHA-256.
_CAFFE_IN_TORCH = ("d01eb7cb", "00b39a1b")


class Conversion(NamedTuple):
    """What was found in a file.

    Attributes:
        params: ``{layer: {"kernel": f32[3, 3, i, o], "bias": f32[o]}}``.
        layout: ``keras``, ``safetensors`` or ``pickle``.
        preprocessing: What such files come with, a key of ``PREPROCESSINGS``.
    """

    params: Arrays
    layout: str
    preprocessing: str


def file_sha256(path: Path) -> str:
    """Returns the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _recognise(path: Path) -> str:
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if head.startswith(_HDF5):
        return "keras"
    if head.startswith((_ZIP, _PICKLE)):
        return "pickle"
    # A header of JSON after its length in eight bytes.
    if head[8:] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size:
        return "safetensors"
    raise InputError(
        f"{path}: is neither a Keras HDF5 file, nor safetensors, nor a file of torch.save"
    )


def read_foreign(path: Path) -> Conversion:
    """Reads another library's file, whichever of the known layouts it has.

    Raises:
        InputError: The layout is unknown, the file is damaged, or holds no VGG network.
    """
    layout = _recognise(path)
    if layout == "keras":
        with open_hdf5(path) as file:
            if file.attrs.get("format") == FORMAT:
                raise InputError(f"{path}: is an encoder of jaxstyle already")
        return Conversion(read_keras(path), layout, "caffe")
    params, names = (read_pickle if layout == "pickle" else read_safetensors)(path)
    digest = file_sha256(path)
    caffe = names == "named" or digest.startswith(_CAFFE_IN_TORCH)
    return Conversion(params, layout, "caffe" if caffe else "torch")


def _make(path: Path, found: Conversion, preprocessing: str | None) -> VGGEncoder:
    vgg = infer_network(found.params, str(path))
    return make_encoder(found.params, vgg, preprocessing or found.preprocessing)


def foreign_encoder(path: Path, preprocessing: str | None = None) -> VGGEncoder:
    """Returns the encoder in another library's file; arguments and errors as for `convert`."""
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
    """Converts a file of Keras or PyTorch with a VGG network into one of ours.

    Args:
        source: HDF5 in any of Keras' layouts, a ``state_dict`` in safetensors or by
            ``torch.save``, with torchvision's names or those of ``vgg_conv.pth``.
        destination: The file to write.
        preprocessing: What the parameters were trained with, ``caffe`` or ``torch``. None takes
            what such files come with: Keras and ``vgg_conv.pth`` Caffe's, torchvision its own.
        attributes: What to note in the file besides its source.
        dtype: As for :func:`save_encoder`.
        overwrite: Whether a file at ``destination`` may be replaced.

    Returns:
        The encoder that was read; the file may hold it rounded.

    Raises:
        InputError: The source cannot be read or holds no VGG network, or the destination exists.
    """
    source, destination = Path(source), Path(destination)
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
