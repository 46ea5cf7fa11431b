"""What a position of a layer sees of the image: what parts of an image need around them."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from jaxstyle.encoder.base import IMAGE, Encoder
from jaxstyle.errors import InputError


class Field(NamedTuple):
    """The receptive field of a layer, along either axis.

    Position ``i`` sees no pixels but ``i·stride − reach`` to ``(i + 1)·stride + reach − 1``.

    Attributes:
        stride: Pixels between the fields of two neighbours.
        reach: Pixels that a field has beyond its stride, on each side.
    """

    stride: int
    reach: int


def field_at(encoder: Encoder, layer: str) -> Field:
    """Returns the receptive field of a layer; ``image`` is a layer, too.

    Args:
        encoder: One that has ``field_at(layer)``, as VGGs have.
        layer: Its name.

    Raises:
        InputError: The encoder does not tell its receptive fields.

    Examples:
        >>> from jaxstyle.pretrained import load_encoder
        >>> field_at(load_encoder("vgg16"), "conv3_1")
        Field(stride=4, reach=10)
    """
    if layer == IMAGE:
        return Field(1, 0)
    tell = getattr(encoder, "field_at", None)
    if tell is None:
        kind = type(encoder).__name__
        raise InputError(f"memory tiles: a {kind} has no field_at; add it, or choose memory high")
    return Field(*tell(layer))


def joint_field(encoder: Encoder, layers: Iterable[str]) -> Field:
    """Returns what several layers need together: a common stride, and whole strides around.

    Args:
        encoder: As for :func:`field_at`.
        layers: Names of layers.

    Examples:
        >>> from jaxstyle.pretrained import load_encoder
        >>> joint_field(load_encoder("vgg16"), ("image", "conv5_1"))
        Field(stride=16, reach=64)
    """
    fields = [field_at(encoder, layer) for layer in layers]
    stride = math.lcm(1, *(field.stride for field in fields))
    reach = max((field.reach for field in fields), default=0)
    return Field(stride, -(-reach // stride) * stride)
