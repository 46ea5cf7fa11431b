"""The base class of the terms of the loss.

    loss(image) = Σ_t  weight_t · value_t( sums_t(image), target_t )

A term does not depend on tiles or devices. A plan (:mod:`jaxstyle.evaluate`) decides how its sums
are evaluated, and every plan gives the same loss and gradient.
"""

import functools
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax.export
from jaxtyping import Array, ArrayLike, Float

from jaxstyle.arrays import Features, Image, Scalar
from jaxstyle.losses.pictures import Scene

Local = Mapping[str, Any]
"""Arrays with one entry per position of a layer, ``{layer: pytree of f32[h', w', ...]}``; the layer
``image`` stands for pixels."""


class Target(NamedTuple):
    """The data that a term compares an image with.

    Attributes:
        local: Arrays with one entry per position, which plans cut along with the image.
        content: The global part from the content picture, any pytree.
        style: The part from the style pictures, any pytree.
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
        total: Weight of the term.
        layers: Weights of its layers; 1 for layers that are not named.
    """

    total: ArrayLike = 1.0
    layers: Mapping[str, ArrayLike] = {}

    def of(self, layer: str) -> ArrayLike:
        """Returns the weight of a layer multiplied by that of the term."""
        return self.total * self.layers.get(layer, 1.0)


class View(NamedTuple):
    """The input of a term: a whole image, or a part of one with its surroundings.

    Attributes:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        features: ``{layer: f32[h', w', c]}``.
        local: The local arrays of the target for the same part.
        counts: 1 for the positions of each layer to add up and 0 for others, ``f32[h', w']``, so
            that positions in the overlap of parts are counted once; without layers of which all
            positions count.
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
            layer: The layer.
            x: ``f32[h', w', ...]``.
        """
        if layer not in self.counts:
            return x.sum()
        counts = self.counts[layer]
        return (x * counts.reshape(*counts.shape, *(1,) * (x.ndim - 2))).sum()


Observe = Callable[[tuple[str, ...]], Features]
"""Returns features of the current image, ``{layer: f32[h', w', c]}``."""


class Term:
    """One summand of the loss: the base class of terms, which are frozen, hashable dataclasses.

    A subclass defines :meth:`sums` and :meth:`value`; the other methods are optional.

    Attributes:
        layers: Layers of the features that :meth:`sums` and :meth:`of_style` use. A term without
            layers sees the whole image in every plan.
        content_layers: Layers of the content picture's features for :meth:`content_target`.
        additive: Whether sums over parts of an image add up to the sums over the whole image.
        renewal: When :meth:`renew` is called: None for never, 0 for the start of each scale, n for
            the start of each scale and every n iterations.
        turns: Rotations of the style pictures, in quarter turns, that :meth:`of_style` sees.
    """

    layers: tuple[str, ...] = ()
    content_layers: tuple[str, ...] = ()
    additive: bool = True
    renewal: int | None = None
    turns: tuple[int, ...] = (0,)

    def sums(self, view: View) -> Any:
        """Returns sums over positions, a pytree of arrays."""
        raise NotImplementedError

    def value(self, sums: Any, target: Target, weight: Weight, size: Size) -> Scalar:
        """Returns the weighted term.

        Args:
            sums: From :meth:`sums`, added up over the whole image.
            target: The target of the term.
            weight: The weights of the term and its layers.
            size: Sizes of the image and its features.
        """
        raise NotImplementedError

    def content_target(self, view: View, scene: Scene, size: Size) -> tuple[Local, Any]:
        """Returns the local part of the target, and the global part from the content picture.

        Args:
            view: The content picture with the features of :attr:`content_layers`.
            scene: The content picture and its masks at this scale, and its data unchanged.
            size: Sizes of the image and its features.
        """
        return {}, None

    def style_local(self, masks: Any, size: Size) -> Local:
        """Returns the local arrays of a style picture for :meth:`of_style`.

        Args:
            masks: Masks of the picture, ``f32[r, h, w]``, or None.
            size: Sizes of the picture and its features.
        """
        return {}

    def of_style(self, view: View) -> Any:
        """Returns sums over the positions of a style picture; None if the term uses no style."""
        return None

    def style_target(self, sums: Sequence[Any], blend: Float[Array, "_"], size: Size) -> Any:
        """Returns the part of the target from the style pictures.

        Args:
            sums: For each style picture and each of its turns a pair of its sums from
                :meth:`of_style` and its size.
            blend: Weight of each style, ``f32[styles]``.
            size: Sizes of the image to be optimised and its features.
        """
        return None

    def renew(self, image: Image, target: Target, observe: Observe, size: Size) -> Target:
        """Returns a new target with the same shapes for the current image.

        Args:
            image: ``f32[h, w, 3]``, not clipped.
            target: The current target.
            observe: Computes features of the image.
            size: Sizes of the image and its features.
        """
        return target


def total(parts: Iterable[Scalar]) -> Scalar:
    """Returns the sum of one or more parts."""
    return functools.reduce(operator.add, parts)
