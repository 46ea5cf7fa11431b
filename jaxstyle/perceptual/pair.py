"""Features of two pictures to compare."""

import dataclasses
from collections.abc import Iterable

from jaxstyle.arrays import Feature, Features, Image, check_picture, widen
from jaxstyle.encoder import IMAGE, Encoder, VGGEncoder, encode
from jaxstyle.encoder.base import check_layers, check_size, deep
from jaxstyle.encoder.vgg import Border
from jaxstyle.encoder.vgg_encoder import PreparedVGG
from jaxstyle.errors import InputError
from jaxstyle.ops.derivatives import derivatives
from jaxstyle.ops.pooling import Pooling, hanning_pool


def check_pair(image: Image, reference: Image) -> None:
    """Checks that two pictures are images of one size.

    Raises:
        InputError: A picture is not an image, or the sizes differ.
    """
    for name, picture in (("image", image), ("reference", reference)):
        check_picture(name, picture)
    if image.shape != reference.shape:
        (h, w, _), (m, n, _) = image.shape, reference.shape
        raise InputError(f"reference of {n}×{m} px: the image has {w}×{h} px; give equal sizes")


def plain(encoder: Encoder) -> Encoder:
    """Returns the encoder without prepared kernels."""
    return encoder.encoder if isinstance(encoder, PreparedVGG) else encoder


def features_of_both(
    image: Image,
    reference: Image,
    encoder: Encoder,
    layers: tuple[str, ...],
    *,
    smooth: bool = False,
) -> tuple[Features, Features]:
    """Returns the features of a pair.

    Args:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        reference: A picture of the same size.
        encoder: Network and pretrained parameters.
        layers: Layer names.
        smooth: Whether to pool without aliasing and to use pixels that are not normalised.
    """
    check_pair(image, reference)
    names = check_layers(encoder, layers)
    check_size((image.shape[0], image.shape[1]), encoder, names)
    pictures = widen(image), widen(reference)
    make = _smooth_features if smooth else encode
    x, y = (make(picture, plain(encoder), names) for picture in pictures)
    return x, y


@dataclasses.dataclass(frozen=True)
class _Smooth(Border):
    """Pools without aliasing."""

    def pool(self, x: Feature, pooling: Pooling) -> Feature:
        return hanning_pool(x)


def _smooth_features(image: Image, encoder: Encoder, layers: Iterable[str]) -> Features:
    below = deep(layers)
    with derivatives(encoder.derivatives):
        if isinstance(encoder, VGGEncoder):
            features = encoder.features(image, below, border=_Smooth()) if below else {}
        else:
            features = encode(image, encoder, below)
    return {name: image if name == IMAGE else features[name] for name in layers}
