"""What an encoder is, and the pure function that makes features with one."""

from collections.abc import Iterable
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

import jax.numpy as jnp

from jaxstyle.arrays import Feature, Features, Image, check_image, widen
from jaxstyle.configuration import configured
from jaxstyle.encoder.preprocessing import TORCH
from jaxstyle.errors import InputError, check_choice

IMAGE = "image"
"""The pseudo-layer whose features are the normalised pixels and a constant 1."""

Shape = tuple[int, int]


@runtime_checkable
class Encoder(Protocol):
    """A network with its parameters and its own preprocessing; implementations are pytrees.

    Besides what is named here an encoder may have ``prepare(layers)``, which returns one that
    computes no more than these layers, and once whatever pays in a run; ``truncate(layers)``, the
    same without what takes memory; ``unwrap()``, which returns it for pictures that are no tiles;
    ``wraps``, whether opposite borders are neighbours; and ``field_at(layer)``, stride and reach of
    the layer's receptive field (:class:`~jaxstyle.encoder.receptive.Field`), which parts of an
    image are computed by.
    """

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that it can be asked for, from shallow to deep."""
        ...

    def shape_at(self, layer: str, shape: Shape) -> Shape:
        """Returns height and width of a layer's features for an image of height and width."""
        ...

    def features(self, image: Image, layers: tuple[str, ...]) -> Features:
        """Returns the features of layers, ``{layer: f32[h', w', c]}``.

        Args:
            image: ``f32[h, w, 3]``, sRGB in [0, 1].
            layers: Some of :attr:`layers`.
        """
        ...


E = TypeVar("E", bound=Encoder)


def prepared(encoder: Encoder, layers: Iterable[str], *, ample: bool = True) -> Encoder:
    """Returns the encoder as a run takes it: without what the layers do not need.

    Args:
        encoder: Network and pretrained parameters.
        layers: Layer names.
        ample: Whether there is memory for what an encoder computes once a run.

    Raises:
        InputError: A layer is none of the encoder's.
    """
    names = check_layers(encoder, layers)
    prepare = getattr(encoder, "prepare" if ample else "truncate", None)
    return encoder if prepare is None else prepare(tuple(n for n in names if n != IMAGE))


def unwrapped(encoder: E) -> E:
    """Returns the encoder for pictures that are no tiles: borders repeated, not joined."""
    unwrap = getattr(encoder, "unwrap", None)
    return encoder if unwrap is None else cast(E, unwrap())


def wraps(encoder: Encoder) -> bool:
    """Returns whether opposite borders of an image are neighbours."""
    return bool(getattr(encoder, "wraps", False))


def shape_at(encoder: Encoder, layer: str, shape: Shape) -> Shape:
    """Returns height and width of a layer's features; ``image`` is a layer, too."""
    return shape if layer == IMAGE else encoder.shape_at(layer, shape)


@configured
def encode(image: Image, encoder: Encoder, layers: Iterable[str]) -> Features:
    """Returns the features of an image: the activations of the named layers.

    Derivatives in reverse mode are exact, with respect to the image and the encoder's parameters.

    Args:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        encoder: Network and pretrained parameters.
        layers: Layer names such as ``conv4_2``, and ``image`` for the normalised pixels with a
            constant 1, whose Gram matrix carries the palette's mean and covariance.

    Returns:
        ``{layer: f32[h', w', c]}``; of a VGG ``h' = h // 2**(block − 1)``.

    Raises:
        InputError: The image is none, a layer is unknown, or the image is too small to reach it.

    Examples:
        >>> import jax.numpy as jnp
        >>> from jaxstyle.pretrained import load_encoder
        >>> features = encode(jnp.zeros((32, 48, 3)), load_encoder(), ("conv2_1",))
        >>> features["conv2_1"].shape
        (16, 24, 128)
    """
    names = check_layers(encoder, layers)
    check_image("image", image)
    check_size((image.shape[0], image.shape[1]), encoder, names)
    image = widen(image)
    deep = tuple(name for name in names if name != IMAGE)
    features: Any = encoder.features(image, deep) if deep else {}
    if IMAGE in names:
        features = {**features, IMAGE: pixels(image)}
    return {name: widen(features[name]) for name in names}


def pixels(image: Image) -> Feature:
    """Returns the features of the pseudo-layer ``image``."""
    # The same pixels whichever encoder runs, so that this layer's weight keeps its meaning.
    normalised = TORCH.normalise(image)
    return jnp.concatenate([normalised, jnp.ones_like(normalised[..., :1])], -1)


def check_size(shape: tuple[int, int], encoder: Encoder, layers: Iterable[str]) -> None:
    """Refuses an image that is too small to have features.

    Raises:
        InputError: A layer would have none.
    """
    for layer in layers:
        if min(shape_at(encoder, layer, shape)) < 1:
            smallest = 1
            while min(shape_at(encoder, layer, (smallest, smallest))) < 1:
                smallest *= 2
            size = f"{shape[1]}×{shape[0]} px"
            raise InputError(f"image of {size}: too small for {layer}; at least {smallest} px")


def check_layers(encoder: Encoder, layers: Iterable[str]) -> tuple[str, ...]:
    """Returns the layers, each once.

    Raises:
        InputError: One is none of the encoder's.
    """
    names = tuple(dict.fromkeys(layers))
    for name in names:
        check_choice("layer", name, (IMAGE, *encoder.layers))
    return names
