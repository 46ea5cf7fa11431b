"""What a solver moves: the image itself, or a variable that the image is a function of. Pure."""

import dataclasses
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.arrays import Image
from jaxstyle.encoder import Encoder
from jaxstyle.errors import InputError
from jaxstyle.ops.fourier import apply_filter

# A sigmoid reaches 0 and 1 at infinity only.
_MARGIN = 1e-2

# f₀, in cycles per pixel, and the share of colour; docs/recipe.md tells how they were chosen.
_KNEE, _CHROMA = 0.1, 0.5


@runtime_checkable
class Parameterisation(Protocol):
    """A variable that images are a function of; implementations are frozen dataclasses.

    Besides what is named here one may have ``pointwise``, whether each pixel depends on its own
    part of the variable alone: only such ones can be shared by devices.
    """

    @property
    def is_image(self) -> bool:
        """Whether the variable is the image itself, so that it can be projected onto [0, 1]."""
        ...

    def to_image(self, z: Image, encoder: Encoder) -> Image:
        """Returns the image that a variable stands for.

        Args:
            z: ``f32[h, w, 3]``.
            encoder: The run's.
        """
        ...

    def from_image(self, image: Image, encoder: Encoder) -> Image:
        """Returns the variable that stands for an image.

        Args:
            image: ``f32[h, w, 3]``, sRGB in [0, 1].
            encoder: The run's.
        """
        ...


@dataclasses.dataclass(frozen=True)
class Pixels:
    """The image itself."""

    is_image = pointwise = True

    def to_image(self, z: Image, encoder: Encoder) -> Image:
        """Returns it."""
        return z

    def from_image(self, image: Image, encoder: Encoder) -> Image:
        """Returns it."""
        return image


@dataclasses.dataclass(frozen=True)
class EncoderInput:
    """The network's input, ``x = (std · z + mean) / scale``: some tools' unit of learning rates."""

    is_image, pointwise = False, True

    def to_image(self, z: Image, encoder: Encoder) -> Image:
        """Returns the image that the network would see so."""
        return _preprocessing(encoder).denormalise(z)

    def from_image(self, image: Image, encoder: Encoder) -> Image:
        """Returns what the network sees, channels in the image's order."""
        return _preprocessing(encoder).normalise(image)


def _preprocessing(encoder: Encoder) -> Any:
    preprocessing = getattr(encoder, "preprocessing", None)
    if preprocessing is None:
        kind = type(encoder).__name__
        raise InputError(f"variable encoder: a {kind} has no preprocessing; choose image")
    return preprocessing


@dataclasses.dataclass(frozen=True)
class Sigmoid:
    """``x = 1 / (1 + e^−z)``, which cannot leave [0, 1].

    Examples:
        >>> import jax.numpy as jnp, jaxstyle as js
        >>> encoder, grey = js.load_encoder("random"), jnp.full((2, 2, 3), 0.25)
        >>> z = Sigmoid().from_image(grey, encoder)
        >>> bool(jnp.allclose(Sigmoid().to_image(z, encoder), grey))
        True
    """

    is_image, pointwise = False, True

    def to_image(self, z: Image, encoder: Encoder) -> Image:
        """Returns the sigmoid."""
        return jax.nn.sigmoid(z)

    def from_image(self, image: Image, encoder: Encoder) -> Image:
        """Returns the logit of the image, kept 0.01 off 0 and 1."""
        return jax.scipy.special.logit(jnp.clip(image, _MARGIN, 1 - _MARGIN))


@dataclasses.dataclass(frozen=True)
class Fourier:
    """Frequencies weighted as in photographs: ``x̂(f) ∝ ẑ(f) / (f + f₀)``.

    Colour, as against lightness, counts half: amplitudes like those of photographs. A step moves
    large structures as readily as single pixels. Over all frequencies of lightness, the mean square
    of the factor is 1.

    Mordvintsev et al. 2018, "Differentiable Image Parameterizations", doi:10.23915/distill.00012.
    """

    is_image = False

    def to_image(self, z: Image, encoder: Encoder) -> Image:
        """Returns the image with these frequencies."""
        return _synthesise(z)

    def from_image(self, image: Image, encoder: Encoder) -> Image:
        """Returns the image with its frequencies divided by their weights."""
        return _filter(image, 1 / _amplitudes(*image.shape[:2]), 1 / _CHROMA)


PARAMETERISATIONS: dict[str, Parameterisation] = {
    "image": Pixels(),
    "encoder": EncoderInput(),
    "sigmoid": Sigmoid(),
    "fourier": Fourier(),
}
"""The known ones by name."""


@jax.custom_vjp
def _synthesise(z: Image) -> Image:
    return _filter(z, _amplitudes(*z.shape[:2]), _CHROMA)


# It is its own adjoint; autodiff would take a complex transform for each real one.
_synthesise.defvjp(lambda z: (_synthesise(z), None), lambda _, dx: (_synthesise(dx),))


def _amplitudes(height: int, width: int) -> Float[Array, "_ _"]:
    """Returns the factor of each frequency, of the half that a real transform has."""
    down, across = jnp.fft.fftfreq(height)[:, None], jnp.fft.fftfreq(width)
    amplitudes = 1 / (jnp.hypot(down, across) + _KNEE)
    half = amplitudes[:, : width // 2 + 1]
    return half / jnp.sqrt(jnp.square(amplitudes).mean())


def _filter(image: Image, amplitudes: Float[Array, "_ _"], chroma: float) -> Image:
    lightness = image.mean(-1, keepdims=True)
    image = lightness + chroma * (image - lightness)
    # In the image's own precision, whatever JAX's default is.
    amplitudes = amplitudes.astype(image.dtype)
    return apply_filter(image, amplitudes)
