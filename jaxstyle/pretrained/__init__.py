"""Pretrained parameters: encoders by name, their files, downloads and conversions.

``initial`` makes random parameters; ``store`` is our file format; ``from_keras`` and ``from_torch``
read others', ``convert`` tells them apart; ``registry`` knows what can be downloaded, ``download``
does it; ``load`` puts a name to all of them. Imports go in that order.
"""

from jaxstyle.pretrained.convert import convert
from jaxstyle.pretrained.download import DownloadProgress, cache_folder, download
from jaxstyle.pretrained.initial import random_encoder
from jaxstyle.pretrained.load import (
    Available,
    Report,
    available,
    load_encoder,
    resolve_encoder,
    verify,
)
from jaxstyle.pretrained.registry import Source, bundled_file, sources
from jaxstyle.pretrained.store import fingerprint, read_attributes, read_encoder, save_encoder

__all__ = [
    "Available",
    "DownloadProgress",
    "Report",
    "Source",
    "available",
    "bundled_file",
    "cache_folder",
    "convert",
    "download",
    "fingerprint",
    "load_encoder",
    "random_encoder",
    "read_attributes",
    "read_encoder",
    "resolve_encoder",
    "save_encoder",
    "sources",
    "verify",
]
