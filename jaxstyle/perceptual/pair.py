"""The features of two pictures that are compared."""

from collections.abc import Iterable

from jaxstyle.arrays import Feature, Features, Image, check_image, widen
from jaxstyle.encoder import IMAGE, Encoder, VGGEncoder, encode
from jaxstyle.encoder.base import check_layers, check_size
from jaxstyle.encoder.vgg import block_of, pad_by
from jaxstyle.encoder.vgg_encoder import PreparedVGG, convolve, network_input
from jaxstyle.errors import InputError
from jaxstyle.ops.pooling import hanning_pool


def check_pair(image: Image, reference: Image) -> None:
    """Refuses what is no pair of images of one size."""
    check_image("image", image)
    check_image("reference", reference)
    if image.shape != reference.shape:
        (h, w, _), (m, n, _) = image.shape, reference.shape
        raise InputError(f"reference of {n}×{m} px: the image has {w}×{h} px; give equal sizes")


def plain(encoder: Encoder) -> Encoder:
    """Returns the encoder as it was before a run prepared it."""
    return encoder.encoder if isinstance(encoder, PreparedVGG) else encoder


def features_of_both(
    image: Image,
    reference: Image,
    encoder: Encoder,
    layers: tuple[str, ...],
    *,
    smooth: bool = False,
) -> tuple[Features, Features]:
    """Returns the features of a pair; ``smooth`` takes bare pixels and pools without aliasing."""
    check_pair(image, reference)
    names = check_layers(encoder, layers)
    check_size((image.shape[0], image.shape[1]), encoder, names)
    pictures = widen(image), widen(reference)
    make = _smooth_features if smooth else encode
    x, y = (make(picture, plain(encoder), names) for picture in pictures)
    return x, y


def _smooth_features(image: Image, encoder: Encoder, layers: Iterable[str]) -> Features:
    deep = tuple(name for name in layers if name != IMAGE)
    vgg = isinstance(encoder, VGGEncoder)
    features = _pool_smoothly(image, encoder, deep) if vgg else encode(image, encoder, deep)
    return {name: image if name == IMAGE else features[name] for name in layers}


def _pool_smoothly(image: Image, encoder: VGGEncoder, layers: tuple[str, ...]) -> Features:
    encoder, features = encoder.truncate(layers), {}
    x: Feature = network_input(encoder, image)
    for name in encoder.layers:
        if block_of(name) > 1 and name.endswith("_1"):
            x = hanning_pool(x)
        # Rows are padded here and columns there, as for strips.
        x = convolve(encoder, name, pad_by(encoder.network.padding_of(name), x, (1, 0)))
        features[name] = widen(x)
    return features
