"""Receptive fields of several layers together: how much of the image surrounds a tile."""

import math
from collections.abc import Iterable

from jaxstyle.encoder.base import IMAGE, Encoder, Field


def field_at(encoder: Encoder, layer: str) -> Field:
    """Returns the receptive field of a layer; ``image`` is a layer, too.

    Args:
        encoder: An encoder that defines ``field_at``, as VGGs do.
        layer: Layer name.

    Examples:
        >>> from jaxstyle.pretrained import load_encoder
        >>> field_at(load_encoder("vgg16"), "conv3_1")
        Field(stride=4, reach=10)
    """
    return Field(1, 0) if layer == IMAGE else Field(*encoder.field_at(layer))


def joint_field(encoder: Encoder, layers: Iterable[str]) -> Field:
    """Returns the common stride of several layers, and their reach in whole strides.

    Args:
        encoder: As for :func:`field_at`.
        layers: Layer names.

    Examples:
        >>> from jaxstyle.pretrained import load_encoder
        >>> joint_field(load_encoder("vgg16"), ("image", "conv5_1"))
        Field(stride=16, reach=64)
    """
    fields = [field_at(encoder, layer) for layer in layers]
    stride = math.lcm(1, *(field.stride for field in fields))
    reach = max((field.reach for field in fields), default=0)
    return Field(stride, -(-reach // stride) * stride)
