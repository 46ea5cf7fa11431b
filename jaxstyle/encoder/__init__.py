"""Encoders: networks with their parameters, and the features that they compute."""

from jaxstyle.encoder.base import IMAGE, Encoder, Field, encode, pixels, shape_at
from jaxstyle.encoder.vgg import VGG, VGG16, VGG19
from jaxstyle.encoder.vgg_encoder import VGGEncoder

__all__ = [
    "IMAGE",
    "VGG",
    "VGG16",
    "VGG19",
    "Encoder",
    "Field",
    "VGGEncoder",
    "encode",
    "pixels",
    "shape_at",
]
