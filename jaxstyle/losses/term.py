"""What a term of the loss is.

    loss(image) = Σ_t  weight_t · value_t( sums_t(image), target_t )

A term knows nothing of tiles or devices: how its sums are evaluated is a plan's business
(:mod:`jaxstyle.evaluate`), and every plan gives the same loss and gradient.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax.export
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from jaxstyle.arrays import Features, Image, Scalar
from jaxstyle.losses.pictures import Scene

Local = Mapping[str, Any]
"""Arrays with one entry per position, ``{layer: pytree of f32[h', w', ...]}``; the layer says which
positions; ``image`` for pixels."""


class Target(NamedTuple):
    """What a term compares an image with.

    Attributes:
        local: Arrays with one entry per position, which plans cut along with the image.
        content: What the content picture gives as a whole, any pytree.
        style: What the style pictures give, any pytree.
    """

    local: Local
    content: Any
    style: Any


jax.export.register_namedtuple_serialization(Target, serialized_name="jaxstyle.Target")


class Size(NamedTuple):
    """Sizes of an image and of its features. Static.

    Attributes:
        shape: Height and width of the image.
        layers: Height and width of each layer's features.
    """

    shape: tuple[int, int]
    layers: Mapping[str, tuple[int, int]]

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.shape[0] * self.shape[1]

    def positions(self, layer: str) -> int:
        """Returns the number of positions of a layer."""
        height, width = self.layers[layer]
        return height * width


class Weight(NamedTuple):
    """The weight of a term and the weights of its layers.

    Attributes:
        total: The term's.
        layers: The layers'; 1 where a layer is not named.
    """

    total: ArrayLike = 1.0
    layers: Mapping[str, ArrayLike] = {}

    def of(self, layer: str) -> ArrayLike:
        """Returns the weight of a layer, multiplied by the term's."""
        return self.total * self.layers.get(layer, 1.0)


class View(NamedTuple):
    """What a term sees: a whole image, or a part of one with more around it.

    Attributes:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        features: ``{layer: f32[h', w', c]}``.
        local: The target's arrays with one entry per position, of the same part.
        counts: Which positions of each layer to add up, ``f32[h', w']`` of ones and zeros: a
            position in the overlap of two parts is counted once. Empty where all count.
        wraps: Whether opposite borders of the image are neighbours.
    """

    image: Image
    features: Features
    local: Local
    counts: Mapping[str, Float[Array, "_ _"]]
    wraps: bool

    def sum(self, layer: str, x: Array) -> Scalar:
        """Returns the sum over the positions of a layer, and over all further axes.

        Args:
            layer: Whose positions the array has.
            x: ``f32[h', w', ...]``.
        """
        if layer not in self.counts:
            return x.sum()
        counts = self.counts[layer]
        return (x * counts.reshape(*counts.shape, *(1,) * (x.ndim - 2))).sum()


Observe = Callable[[tuple[str, ...]], Features]
"""Returns features of the present image, ``{layer: f32[h', w', c]}``."""


class Term:
    """One summand of the loss: the base class of terms, which are frozen, hashable dataclasses.

    A subclass has :meth:`sums` and :meth:`value`; what it does not override is empty.

    Attributes:
        layers: Layers whose features :meth:`sums` and :meth:`of_style` use. A term without layers
            sees the whole image in every plan.
        content_layers: Layers of the content picture whose features :meth:`content_target` uses.
        additive: Whether the sums over parts of an image add up to those over the whole.
        renewal: When :meth:`renew` is called: never if None, at the start of each scale if 0, else
            every so many iterations, and at the start.
    """

    layers: tuple[str, ...] = ()
    content_layers: tuple[str, ...] = ()
    additive: bool = True
    renewal: int | None = None

    def sums(self, view: View) -> Any:
        """Returns sums over positions, a pytree of arrays."""
        raise NotImplementedError

    def value(self, sums: Any, target: Target, weight: Weight, size: Size) -> Scalar:
        """Returns the weighted term.

        Args:
            sums: From :meth:`sums`, added up over the whole image.
            target: What the image is compared with.
            weight: The term's weight and those of its layers.
            size: Sizes of the image and its features.
        """
        raise NotImplementedError

    def content_target(self, view: View, scene: Scene, size: Size) -> tuple[Local, Any]:
        """Returns the target's local part, and what the content gives as a whole.

        Args:
            view: The content picture with the features of :attr:`content_layers`.
            scene: The content picture, its masks and data, at this scale. Data are as they were
                handed in.
            size: Sizes of the image and its features.
        """
        return {}, None

    def style_local(self, masks: Any, size: Size) -> Local:
        """Returns the local arrays that :meth:`of_style` uses, of a style picture.

        Args:
            masks: The picture's, ``f32[r, h, w]``, or None.
            size: Sizes of the picture and its features.
        """
        return {}

    def of_style(self, view: View) -> Any:
        """Returns sums over the positions of a style picture; None if the term uses no style."""
        return None

    def style_target(self, sums: Sequence[Any], blend: Float[Array, "_"], size: Size) -> Any:
        """Returns the target's style part.

        Args:
            sums: From :meth:`of_style`, of each style picture, with its size: pairs.
            blend: How much each style counts, ``f32[styles]``.
            size: Sizes of the image to be optimised and its features.
        """
        return None

    def renew(self, image: Image, target: Target, observe: Observe, size: Size) -> Target:
        """Returns a new target of the same shapes, for the present image.

        Args:
            image: ``f32[h, w, 3]``, not clipped.
            target: The present target.
            observe: Computes features of the image.
            size: Sizes of the image and its features.
        """
        return target


def zero(like: Array) -> Scalar:
    """Returns 0 in the type of an array."""
    return jnp.zeros((), like.dtype)
