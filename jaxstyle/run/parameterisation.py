"""What a solver moves: the image itself, or a variable that the image is a function of. Pure."""

import dataclasses
import math
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from jaxstyle.arrays import Image
from jaxstyle.encoder import Encoder
from jaxstyle.errors import InputError
from jaxstyle.ops.derivatives import handwritten
from jaxstyle.ops.fourier import apply_filter

# A sigmoid reaches 0 and 1 at infinity only.
_MARGIN = 1e-2

# f₀, in cycles per pixel, and the share of colour; how they were chosen is in docs/recipe.md.
_KNEE, _CHROMA = 0.1, 0.5


@runtime_checkable
class Parameterisation(Protocol):
    """A variable that images are a function of; implementations are frozen dataclasses.

    The variable is an array or any other pytree of floating-point arrays: frequencies, a pair of
    arrays, the parameters of a network. An implementation may also have ``pointwise``, whether each
    pixel depends on its own part of the variable alone: devices can share only such variables.
    """

    @property
    def is_image(self) -> bool:
        """Whether the variable is the image itself, so that it can be projected onto [0, 1]."""
        ...

    def to_image(self, z: Any, encoder: Encoder) -> Image:
        """Returns the image of a variable.

        Args:
            z: The variable.
            encoder: The run's encoder.
        """
        ...

    def from_image(self, image: Image, encoder: Encoder) -> Any:
        """Returns a variable to start from: that of an image, or as near to it as possible.

        Args:
            image: ``f32[h, w, 3]``, sRGB in [0, 1].
            encoder: The run's encoder.
        """
        ...


@dataclasses.dataclass(frozen=True)
class Pixels:
    """The image itself."""

    is_image = pointwise = True

    def to_image(self, z: Image, encoder: Encoder) -> Image:
        """Returns the variable."""
        return z

    def from_image(self, image: Image, encoder: Encoder) -> Image:
        """Returns the image."""
        return image


@dataclasses.dataclass(frozen=True)
class EncoderInput:
    """The network's input, ``x = (std · z + mean) / scale``: the unit of some tools' step sizes."""

    is_image, pointwise = False, True

    def to_image(self, z: Image, encoder: Encoder) -> Image:
        """Returns the image that has this input."""
        return _preprocessing(encoder).denormalise(z)

    def from_image(self, image: Image, encoder: Encoder) -> Image:
        """Returns the network's input, channels in the image's order."""
        return _preprocessing(encoder).normalise(image)


def _preprocessing(encoder: Encoder) -> Any:
    if encoder.preprocessing is None:
        kind = type(encoder).__name__
        raise InputError(f"variable encoder: {kind} has no preprocessing; choose image")
    return encoder.preprocessing


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
        """Returns the logit of the image, limited to [0.01, 0.99]."""
        return jax.scipy.special.logit(jnp.clip(image, _MARGIN, 1 - _MARGIN))


@dataclasses.dataclass(frozen=True)
class Fourier:
    """Frequencies weighted as in photographs: ``x̂(f) ∝ ẑ(f) / (f + f₀)``.

    The amplitudes are those of photographs, with half as much in colour as in lightness, so that a
    step moves large structures as readily as single pixels. The mean square of the factor over all
    frequencies of lightness is 1.

    Mordvintsev et al. 2018, "Differentiable Image Parameterizations", doi:10.23915/distill.00012.
    """

    is_image = False

    def to_image(self, z: Image, encoder: Encoder) -> Image:
        """Returns the image with these frequencies."""
        return _synthesise(z) if handwritten() else _plain_synthesise(z)

    def from_image(self, image: Image, encoder: Encoder) -> Image:
        """Returns the image with its frequencies divided by their weights."""
        return _filter(image, 1 / _amplitudes(*image.shape[:2]), 1 / _CHROMA)


PARAMETERISATIONS: dict[str, Parameterisation] = {
    "image": Pixels(),
    "encoder": EncoderInput(),
    "sigmoid": Sigmoid(),
    "fourier": Fourier(),
}
"""Parameterisations by name."""


def from_image(parameterisation: Parameterisation, image: Image, encoder: Encoder) -> Array:
    """Returns the variable of an image as one array: a vector if it is not an array already."""
    z = parameterisation.from_image(image, encoder)
    return z if jax.tree_util.all_leaves([z]) else ravel_pytree(z)[0]


def to_image(
    parameterisation: Parameterisation, z: Array, shape: tuple[int, int] | None, encoder: Encoder
) -> Image:
    """Returns the image of a variable from :func:`from_image`.

    Args:
        parameterisation: The variable's kind.
        z: The variable as one array.
        shape: Height and width of the image.
        encoder: The run's encoder.
    """
    if shape is None or isinstance(parameterisation, Pixels):
        return parameterisation.to_image(z, encoder)
    image: Any = jax.ShapeDtypeStruct((*shape, 3), z.dtype)
    like = jax.eval_shape(parameterisation.from_image, image, encoder)
    if jax.tree_util.all_leaves([like]):
        return parameterisation.to_image(z, encoder)
    leaves, tree = jax.tree.flatten(like)
    ends = [0]
    for leaf in leaves:
        ends.append(ends[-1] + math.prod(leaf.shape))
    parts = [z[a:b].reshape(x.shape) for a, b, x in zip(ends, ends[1:], leaves, strict=False)]
    return parameterisation.to_image(jax.tree.unflatten(tree, parts), encoder)


def _plain_synthesise(z: Image) -> Image:
    return _filter(z, _amplitudes(*z.shape[:2]), _CHROMA)


_synthesise = jax.custom_vjp(_plain_synthesise)
# The function is its own adjoint; autodiff would take a complex transform for each real one.
_synthesise.defvjp(lambda z: (_synthesise(z), None), lambda _, dx: (_synthesise(dx),))


def _amplitudes(height: int, width: int) -> Float[Array, "_ _"]:
    """Returns the factor of each frequency that a real transform has."""
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
