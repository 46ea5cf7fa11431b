"""Pretrained parameters: encoders by name, their files, downloads and conversions.

``cache`` is the folder of downloads and programs; ``initial`` makes random parameters; ``hdf5``
reads such files, ``store`` those of our format; ``from_keras``, ``from_torch``, ``from_onnx`` and
``from_npz`` read others'; ``registry`` knows what can be downloaded; ``convert`` tells others'
files apart; ``transfer`` fetches a file, ``download`` an encoder; ``load`` puts a name to all of
them; ``tensors`` and ``calibration`` read what perceptual distances weigh channels by. Imports go
in that order.
"""

from jaxstyle.pretrained.cache import cache_folder, keep_programs, programs_folder
from jaxstyle.pretrained.calibration import load_calibration
from jaxstyle.pretrained.convert import convert
from jaxstyle.pretrained.download import download
from jaxstyle.pretrained.initial import random_encoder
from jaxstyle.pretrained.load import (
    Available,
    Report,
    available,
    encoder_file,
    first_difference,
    load_encoder,
    verify,
)
from jaxstyle.pretrained.registry import PACKAGED, Source, calibrations, packaged_file, sources
from jaxstyle.pretrained.store import fingerprint, read_attributes, read_encoder, save_encoder
from jaxstyle.pretrained.transfer import DownloadProgress

__all__ = [
    "PACKAGED",
    "Available",
    "DownloadProgress",
    "Report",
    "Source",
    "available",
    "cache_folder",
    "calibrations",
    "convert",
    "download",
    "encoder_file",
    "fingerprint",
    "first_difference",
    "keep_programs",
    "load_calibration",
    "load_encoder",
    "packaged_file",
    "programs_folder",
    "random_encoder",
    "read_attributes",
    "read_encoder",
    "save_encoder",
    "sources",
    "verify",
]
