"""What a solver moves: the image itself, or a variable that the image is a function of. Pure."""

from typing import Literal, get_args

import jax
import jax.numpy as jnp

from jaxstyle.arrays import Image
from jaxstyle.errors import InputError
from jaxstyle.preprocessing import PREPROCESSINGS
from jaxstyle.vgg import Encoder

Variable = Literal["image", "encoder", "sigmoid"]

# A sigmoid reaches 0 and 1 at infinity only.
_MARGIN = 1e-2


def to_image(variable: Variable, z: Image, encoder: Encoder) -> Image:
    """Returns the image that a variable stands for.

    ``image``: itself. ``encoder``: the network's input, ``x = (std · z + mean) / scale``, in whose
    units some tools state their learning rates. ``sigmoid``: ``x = 1 / (1 + e^−z)``, which cannot
    leave [0, 1].

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
    raise InputError(f"variable {variable!r}: unknown; choose {', '.join(get_args(Variable))}")


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
    return image
