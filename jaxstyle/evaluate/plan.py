"""The base class of plans, which evaluate the sums of terms.

Every plan gives the same loss and gradient, except for rounding. Plans do not depend on the kinds
of terms, and terms do not depend on windows or devices.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxstyle.arrays import Features, Image
from jaxstyle.encoder import IMAGE, Encoder, shape_at
from jaxstyle.encoder.base import check_layers, check_size
from jaxstyle.losses.loss_weights import LossWeights
from jaxstyle.losses.objective import Objective
from jaxstyle.losses.term import Local, Size, Term, View
from jaxstyle.ops.gradients import with_gradient_norm

T = TypeVar("T")


class Request(NamedTuple):
    """Sums for a plan to evaluate. Static and hashable.

    Attributes:
        name: Name of the term.
        term: The term.
        method: ``sums`` for the image to be optimised, ``of_style`` for a style picture.
    """

    name: str
    term: Term
    method: Literal["sums", "of_style"] = "sums"

    def __call__(self, view: View) -> Any:
        """Returns the sums over the positions of a view."""
        return getattr(self.term, self.method)(view)


class Layout:
    """The layout of the arrays of a run; this one is for one device.

    :class:`~jaxstyle.evaluate.mesh.Rows` is the layout for several devices.
    """

    def pad(self, x: Array, axis: int = 0) -> Array:
        """Adds rows to an array so that all devices have the same number."""
        return x

    def lay(self, tree: T) -> T:
        """Spreads the images of a tree over the devices; on the host."""
        return tree

    def shapes(self, tree: T, width: int | None) -> T:
        """Returns the shapes and shardings of a tree; without a width it has no images."""
        return tree

    def hold(self, tree: T, width: int | None) -> T:
        """Constrains the images of a tree to be spread over the devices, within a program.

        Args:
            tree: The tree.
            width: Width of the images; None if it has none, so that every device has all of it.
        """
        return tree

    def whole(self, image: Array) -> Array:
        """Returns an image without added rows on the default device; on the host."""
        return image

    def relay(self, x: Any, like: Any, height: int) -> Array:
        """Copies an array of a checkpoint to the layout of another array; on the host.

        Args:
            x: The array; images in it may have rows added by another layout.
            like: Shape and layout of the result.
            height: Height of the image.
        """
        return jnp.array(without_added_rows(x, like, height))

    def rows_at(self, layer: str, height: int) -> int:
        """Returns the number of rows of a layer's arrays, including added ones."""
        return height

    @property
    def processes(self) -> int:
        """Number of processes that compute."""
        return 1


ONE_DEVICE = Layout()


def without_added_rows(x: Any, like: Any, height: int) -> Any:
    """Removes the rows that another layout has added to an array."""
    other = np.ndim(x) >= 3 and np.shape(x) != like.shape
    return np.asarray(x)[..., :height, :, :] if other else x


@dataclasses.dataclass(frozen=True)
class Plan:
    """The base class of plans, which evaluate sums over the positions of an image.

    Static and hashable. See :class:`~jaxstyle.Whole`, :class:`~jaxstyle.Tiles` and
    :class:`~jaxstyle.Devices`.
    """

    @property
    def serial(self) -> bool:
        """Whether the next scale is prepared only after this one has finished."""
        return False

    def check(self, encoder: Encoder, objective: Objective) -> None:
        """Checks that this plan can evaluate an objective.

        Raises:
            InputError: The plan cannot evaluate it.
        """

    def measure(
        self,
        image: Image,
        requests: tuple[Request, ...],
        local: Mapping[str, Local],
        encoder: Encoder,
        size: Size,
        norms: LossWeights | None = None,
    ) -> dict[str, Any]:
        """Returns the requested sums, by the names of the terms.

        Args:
            image: ``f32[h, w, 3]``, sRGB in [0, 1]; with the rows that the layout adds.
            requests: Terms with layers.
            local: For each of them, arrays with one entry per position.
            encoder: Network and pretrained parameters.
            size: Sizes of the image and its features, without added rows.
            norms: Loss weights to which the gradients of layers are scaled; None not to scale them.
        """
        raise NotImplementedError

    def features(
        self, image: Image, encoder: Encoder, layers: tuple[str, ...], size: Size
    ) -> Features:
        """Returns the features of an image; on the host, or within a program.

        Args:
            image: ``f32[h, w, 3]``, sRGB in [0, 1]; with the rows that the layout adds.
            encoder: Network and pretrained parameters.
            layers: Layer names.
            size: Sizes of the image and its features, without added rows.
        """
        raise NotImplementedError

    def layout(self, shape: tuple[int, int], layers: Sequence[str]) -> Layout:
        """Returns the layout of the arrays of a run, for images of a height and width."""
        return ONE_DEVICE

    def prepare(self, encoder: Encoder, layers: Sequence[str]) -> Encoder:
        """Returns the encoder for a run, with precomputed kernels."""
        return encoder.prepare(tuple(layers))

    def replicate(self, tree: T) -> T:
        """Copies arrays to every device; on the host."""
        return tree

    def agree(self, wish: bool) -> bool:
        """Returns whether ``wish`` is true in any process; all processes must call this."""
        return wish


def layers_of(requests: Sequence[Request]) -> tuple[str, ...]:
    """Returns the layers of several requests, without duplicates."""
    return tuple(dict.fromkeys(name for request in requests for name in request.term.layers))


def size_of(shape: tuple[int, int], encoder: Encoder, layers: Sequence[str]) -> Size:
    """Returns the sizes of an image and its features.

    Raises:
        InputError: A layer is unknown, or the image is too small for it.
    """
    names = check_layers(encoder, (IMAGE, *layers))
    check_size(shape, encoder, names)
    return Size(shape, {name: shape_at(encoder, name, shape) for name in names})


def scaled_gradients(
    features: Features, request: Request, norms: LossWeights | None, axis: str | None = None
) -> Features:
    """Returns the features of a term, with gradients scaled to given norms.

    Args:
        features: Features of all layers.
        request: The term.
        norms: The loss weights; None not to scale gradients.
        axis: Within ``shard_map``, the mesh axis that the features are spread over.
    """
    own = {name: features[name] for name in request.term.layers}
    if norms is None:
        return own
    weight = norms.of(request.name)
    return {n: with_gradient_norm(f, weight.of(n), axis) for n, f in own.items()}


def flatten(local: Mapping[str, Local]) -> tuple[list[Array], list[str], Any]:
    """Returns local arrays as a list, the layer of each, and the structure to restore them."""
    paths, tree = jax.tree_util.tree_flatten_with_path({n: dict(x) for n, x in local.items()})
    # A path begins with the name of the term and the name of the layer.
    return [leaf for _, leaf in paths], [path[1].key for path, _ in paths], tree
