"""The base class of encoders, and the pure function that computes features with one."""

from collections.abc import Iterable
from typing import NamedTuple

import jax.numpy as jnp

from jaxstyle.arrays import Feature, Features, Image, check_image, widen
from jaxstyle.configuration import configured
from jaxstyle.encoder.preprocessing import TORCH, Preprocessing
from jaxstyle.errors import InputError, check_choice
from jaxstyle.ops.derivatives import Derivatives, derivatives

IMAGE = "image"
"""The pseudo-layer whose features are the normalised pixels and a constant 1."""

Shape = tuple[int, int]


class Field(NamedTuple):
    """The receptive field of a layer, along either axis.

    Position ``i`` sees the pixels from ``i·stride − reach`` to ``(i + 1)·stride + reach − 1``.

    Attributes:
        stride: Distance between the fields of neighbouring positions, in pixels.
        reach: Pixels by which a field exceeds the stride on each side.
    """

    stride: int
    reach: int


class Encoder:
    """A network with its parameters and its preprocessing: the base class of encoders.

    A subclass is a pytree. It defines :attr:`layers`, :meth:`shape_at` and :meth:`features`; the
    other methods have defaults.

    Attributes:
        wraps: Whether opposite borders of an image are neighbours.
        preprocessing: Preprocessing of images; None if unknown.
        derivatives: ``any`` for derivatives in forward mode.
    """

    wraps: bool = False
    preprocessing: Preprocessing | None = None
    derivatives: Derivatives = "reverse"

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that have features, from shallow to deep."""
        raise NotImplementedError

    def shape_at(self, layer: str, shape: Shape) -> Shape:
        """Returns the height and width of a layer's features for an image of a shape."""
        raise NotImplementedError

    def features(self, image: Image, layers: tuple[str, ...]) -> Features:
        """Returns the features of layers, ``{layer: f32[h', w', c]}``.

        Args:
            image: ``f32[h, w, 3]``, sRGB in [0, 1].
            layers: Some of :attr:`layers`.
        """
        raise NotImplementedError

    def field_at(self, layer: str) -> Field:
        """Returns the receptive field of a layer, which tiles need.

        Raises:
            InputError: The encoder does not define it.
        """
        kind = type(self).__name__
        raise InputError(f"plan Tiles: {kind} has no field_at; define it, or choose Whole")

    def truncate(self, layers: tuple[str, ...]) -> "Encoder":
        """Returns the encoder without layers deeper than the deepest of ``layers``."""
        return self

    def prepare(self, layers: tuple[str, ...]) -> "Encoder":
        """Returns the truncated encoder with data precomputed for a run."""
        return self.truncate(layers)

    def unwrap(self) -> "Encoder":
        """Returns the encoder for pictures that do not tile, without ``circular`` padding."""
        return self


def shape_at(encoder: Encoder, layer: str, shape: Shape) -> Shape:
    """Returns the height and width of a layer's features, including the layer ``image``."""
    return shape if layer == IMAGE else encoder.shape_at(layer, shape)


def deep(layers: Iterable[str]) -> tuple[str, ...]:
    """Returns the layers without the pseudo-layer ``image``."""
    return tuple(name for name in layers if name != IMAGE)


@configured
def encode(image: Image, encoder: Encoder, layers: Iterable[str]) -> Features:
    """Returns the features of an image: the activations of the named layers.

    Derivatives in reverse mode are exact with respect to the image and the encoder's parameters;
    those in forward mode need an encoder with ``derivatives="any"``.

    Args:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        encoder: Network and pretrained parameters.
        layers: Layer names such as ``conv4_2``, and ``image`` for the normalised pixels and a
            constant 1; its Gram matrix contains the mean and covariance of the palette.

    Returns:
        ``{layer: f32[h', w', c]}``; for a VGG, ``h' = h // 2**(block − 1)``.

    Raises:
        InputError: The image has a wrong shape or type, or is too small for a layer, or a layer is
            unknown.

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
    features: Features = {}
    if below := deep(names):
        with derivatives(encoder.derivatives):
            features = dict(encoder.features(image, below))
    if IMAGE in names:
        features[IMAGE] = pixels(image)
    return {name: widen(features[name]) for name in names}


def pixels(image: Image) -> Feature:
    """Returns the features of the pseudo-layer ``image``."""
    # Independent of the encoder, so that a weight of this layer always means the same.
    normalised = TORCH.normalise(image)
    return jnp.concatenate([normalised, jnp.ones_like(normalised[..., :1])], -1)


def check_size(shape: tuple[int, int], encoder: Encoder, layers: Iterable[str]) -> None:
    """Checks that an image is large enough to have features.

    Raises:
        InputError: The image is too small for a layer.
    """
    for layer in layers:
        if min(shape_at(encoder, layer, shape)) < 1:
            smallest = 1
            while min(shape_at(encoder, layer, (smallest, smallest))) < 1:
                smallest *= 2
            size = f"{shape[1]}×{shape[0]} px"
            raise InputError(f"image of {size}: too small for {layer}; at least {smallest} px")


def check_layers(encoder: Encoder, layers: Iterable[str]) -> tuple[str, ...]:
    """Returns the layers without duplicates.

    Raises:
        InputError: The encoder is not an :class:`Encoder`, or lacks a layer.
    """
    if not isinstance(encoder, Encoder):
        kind = type(encoder).__name__
        raise InputError(f"encoder: a {kind} is not a js.Encoder; make it a subclass")
    names = tuple(dict.fromkeys(layers))
    for name in names:
        check_choice("layer", name, (IMAGE, *encoder.layers))
    return names
