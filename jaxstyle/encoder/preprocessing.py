"""Preprocessing of images for the networks, by the origin of their parameters."""

import dataclasses

import jax.numpy as jnp

from jaxstyle.arrays import Image

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """The first step of an encoder, ``(scale·image − mean) / std`` for an sRGB image in [0, 1].

    Attributes:
        name: Name in files.
        bgr: Whether the channels are then reordered to blue, green, red.
        scale: Maximum of the range of values that the network was trained on.
        mean: Mean of each channel in this range, in the order red, green, blue.
        std: Standard deviation of each channel, in the same order.
    """

    name: str
    bgr: bool
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __call__(self, image: Image) -> Image:
        """Converts an sRGB image to the input of the network."""
        x = self.normalise(image)
        return x[..., ::-1] if self.bgr else x

    def normalise(self, image: Image) -> Image:
        """Returns ``(scale·image − mean) / std``, with the channels in the image's order."""
        mean, std = (jnp.asarray(v, image.dtype) for v in (self.mean, self.std))
        return (image * self.scale - mean) / std

    def denormalise(self, x: Image) -> Image:
        """Inverts :meth:`normalise`."""
        mean, std = (jnp.asarray(v, x.dtype) for v in (self.mean, self.std))
        return (x * std + mean) / self.scale


CAFFE = Preprocessing("caffe", True, 255.0, (123.68, 116.779, 103.939), (1.0, 1.0, 1.0))
TORCH = Preprocessing("torch", False, 1.0, _IMAGENET_MEAN, _IMAGENET_STD)
PREPROCESSINGS = {preprocessing.name: preprocessing for preprocessing in (CAFFE, TORCH)}
