"""Statistics: everything that the objective knows of an image, as sums over positions.

A sum over positions can be taken tile by tile, device by device or under a mask, and added up; so
whoever evaluates the objective in another way calls the same two functions, ``statistics`` and
``energy``, and stays exact.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.arrays import Features, Image, Scalar
from jaxstyle.vgg import Encoder, encode


class Stats(NamedTuple):
    """Sums over the positions of an image.

    Attributes:
        positions: How many positions each layer has been summed over.
        gram: Per style layer, ``Σ f fᵀ``.
        distance: Per content layer, ``Σ ‖f − p‖²`` to the content features ``p``.
    """

    positions: dict[str, Scalar]
    gram: dict[str, Float[Array, "_ _"]]
    distance: dict[str, Scalar]


def gram(feature: Float[Array, "h w c"]) -> Float[Array, "c c"]:
    """Returns the Gram matrix ``FᵀF``, summed over positions, not divided by anything.

    Gatys, Ecker & Bethge 2016, "Image Style Transfer Using Convolutional Neural Networks", eq. 3.

    Args:
        feature: ``f32[h, w, c]``.

    Examples:
        >>> import jax.numpy as jnp
        >>> gram(jnp.ones((2, 3, 1))).item()
        6.0
    """
    # In full float32: style is in small differences of these sums, which shortened products lose.
    return jnp.einsum("hwi,hwj->ij", feature, feature, precision="highest")


def statistics(
    image: Image, encoder: Encoder, style_layers: tuple[str, ...], content: Features
) -> Stats:
    """Returns the statistics of an image.

    Args:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        encoder: Network and pretrained parameters.
        style_layers: Layers whose Gram matrices are wanted.
        content: Content features to measure the distance to, of an image of the same size; empty
            for none.

    Raises:
        InputError: A layer is none of the encoder's, or the image is too small for it.
    """
    layers = tuple(dict.fromkeys((*content, *style_layers)))
    features = encode(encoder, image, layers) if layers else {}
    sizes = {name: f.shape[0] * f.shape[1] for name, f in features.items()}
    return Stats(
        positions={name: jnp.float32(size) for name, size in sizes.items()},
        gram={name: gram(features[name]) for name in style_layers},
        distance={name: jnp.square(features[name] - p).sum() for name, p in content.items()},
    )
