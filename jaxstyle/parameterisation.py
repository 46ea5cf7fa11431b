"""What a solver moves: the image itself, or a variable that the image is a function of. Pure."""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.arrays import Image
from jaxstyle.errors import unknown
from jaxstyle.fourier import apply_filter
from jaxstyle.preprocessing import PREPROCESSINGS
from jaxstyle.vgg import Encoder

Variable = Literal["image", "encoder", "sigmoid", "fourier"]

# A sigmoid reaches 0 and 1 at infinity only.
_MARGIN = 1e-2

# f₀, in cycles per pixel, and the share of colour; docs/recipe.md tells how they were chosen.
_KNEE, _CHROMA = 0.1, 0.5


def to_image(variable: Variable, z: Image, encoder: Encoder) -> Image:
    """Returns the image that a variable stands for.

    ``image``: itself. ``encoder``: the network's input, ``x = (std · z + mean) / scale``, in whose
    units some tools state their learning rates. ``sigmoid``: ``x = 1 / (1 + e^−z)``, which cannot
    leave [0, 1]. ``fourier``: ``x̂(f) ∝ ẑ(f) / (f + f₀)``, in which colour, as against
    lightness, counts half: amplitudes like those of photographs. A step moves large structures as
    readily as single pixels. Over all frequencies of lightness, the mean square of the factor is 1.

    Mordvintsev et al. 2018, "Differentiable Image Parameterizations", doi:10.23915/distill.00012.

    Args:
        variable: Which.
        z: ``f32[h, w, 3]``.
        encoder: Whose input it is.

    Examples:
        >>> import jax.numpy as jnp
        >>> from jaxstyle.pretrained import load_encoder
        >>> encoder, grey = load_encoder("random"), jnp.full((2, 2, 3), 0.25)
        >>> z = from_image("sigmoid", grey, encoder)
        >>> bool(jnp.allclose(to_image("sigmoid", z, encoder), grey))
        True
    """
    if variable == "image":
        return z
    if variable == "sigmoid":
        return jax.nn.sigmoid(z)
    if variable == "encoder":
        return PREPROCESSINGS[encoder.preprocessing].denormalise(z)
    if variable == "fourier":
        return _synthesise(z)
    raise unknown("variable", variable, get_args(Variable))


def from_image(variable: Variable, image: Image, encoder: Encoder) -> Image:
    """Returns the variable that stands for an image; for ``sigmoid`` kept 0.01 off 0 and 1.

    Args:
        variable: Which.
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        encoder: Whose input it is.
    """
    if variable == "sigmoid":
        return jax.scipy.special.logit(jnp.clip(image, _MARGIN, 1 - _MARGIN))
    if variable == "encoder":
        return PREPROCESSINGS[encoder.preprocessing].normalise(image)
    if variable == "fourier":
        return _filter(image, 1 / _amplitudes(*image.shape[:2]), 1 / _CHROMA)
    return image


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
