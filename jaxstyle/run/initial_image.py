"""The initial image of a run."""

from typing import Literal, get_args

import jax
import jax.numpy as jnp

from jaxstyle.arrays import Image
from jaxstyle.encoder.preprocessing import TORCH
from jaxstyle.errors import unknown
from jaxstyle.ops import resize
from jaxstyle.ops.colour import match_colour

Init = Literal["content", "matched", "style", "noise", "grey"]

# Standard deviation of the noise in a flat initial image.
_TRACE = 0.001 / 255


def initial_image(
    init: Init | Image, content: Image, style: Image, shape: tuple[int, int], seed: int
) -> Image:
    """Returns the initial image of a run.

    Args:
        init: ``content`` or ``style`` for that picture, ``matched`` for the content in the colours
            of the style, ``noise`` for uniform noise, ``grey`` for the mean colour of photographs
            with a trace of normal noise, or an image.
        content: ``f32[h, w, 3]``, sRGB in [0, 1].
        style: ``f32[h', w', 3]``, sRGB in [0, 1].
        shape: Height and width of the result.
        seed: Seed of the noise.

    Raises:
        InputError: The name is unknown.

    Examples:
        >>> import jax.numpy as jnp
        >>> grey = jnp.full((16, 16, 3), 0.5)
        >>> initial_image("noise", grey, grey, (20, 30), seed=0).shape
        (20, 30, 3)
    """
    if not isinstance(init, str):
        return resize.resize(init, shape)
    if init not in get_args(Init):
        raise unknown("init", init, get_args(Init), ", or an image")
    if init == "noise":
        return jax.random.uniform(jax.random.key(seed), (*shape, 3), jnp.float32)
    if init == "grey":
        noise = jax.random.normal(jax.random.key(seed), (*shape, 3), jnp.float32)
        return jnp.asarray(TORCH.mean) + _TRACE * noise
    if init == "matched":
        return jnp.clip(match_colour(resize.resize(content, shape), style), 0.0, 1.0)
    return resize.resize({"content": content, "style": style}[init], shape)
