"""Pretrained parameters: encoders and calibrations by name, their files, downloads, conversions."""

from jaxstyle.pretrained.cache import cache_folder, keep_programs, programs_folder
from jaxstyle.pretrained.calibration import load_calibration
from jaxstyle.pretrained.convert import convert
from jaxstyle.pretrained.download import DownloadProgress, download
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
