"""Encoders: networks with their parameters, and what they see of an image."""

from jaxstyle.encoder.base import (
    IMAGE,
    Encoder,
    encode,
    pixels,
    prepared,
    shape_at,
    unwrapped,
    wraps,
)
from jaxstyle.encoder.vgg import VGG, VGG16, VGG19
from jaxstyle.encoder.vgg_encoder import VGGEncoder

__all__ = [
    "IMAGE",
    "VGG",
    "VGG16",
    "VGG19",
    "Encoder",
    "VGGEncoder",
    "encode",
    "pixels",
    "prepared",
    "shape_at",
    "unwrapped",
    "wraps",
]
