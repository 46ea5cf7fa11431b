"""What the networks see of an image, by where their parameters come from."""

import dataclasses

import jax.numpy as jnp

from jaxstyle.arrays import Image

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """What an encoder does to an sRGB image in [0, 1] first: ``(scale·image − mean) / std``.

    Attributes:
        name: What it goes by in files.
        bgr: Whether the channels are then put in the order blue, green, red.
        scale: The brightest value of the range that the network was trained on.
        mean: Per channel, in the order red, green, blue, on that range.
        std: Likewise.
    """

    name: str
    bgr: bool
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __call__(self, image: Image) -> Image:
        """Turns an sRGB image into the network's input."""
        x = self.normalise(image)
        return x[..., ::-1] if self.bgr else x

    def normalise(self, image: Image) -> Image:
        """Returns ``(scale·image − mean) / std``, channels in the image's order."""
        mean, std = (jnp.asarray(v, image.dtype) for v in (self.mean, self.std))
        return (image * self.scale - mean) / std

    def denormalise(self, x: Image) -> Image:
        """Returns the image that :meth:`normalise` turns into ``x``."""
        mean, std = (jnp.asarray(v, x.dtype) for v in (self.mean, self.std))
        return (x * std + mean) / self.scale


CAFFE = Preprocessing("caffe", True, 255.0, (123.68, 116.779, 103.939), (1.0, 1.0, 1.0))
TORCH = Preprocessing("torch", False, 1.0, _IMAGENET_MEAN, _IMAGENET_STD)
PREPROCESSINGS = {preprocessing.name: preprocessing for preprocessing in (CAFFE, TORCH)}
