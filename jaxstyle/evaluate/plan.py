"""What a plan is: a way of evaluating the sums of terms.

Every plan gives the same loss and gradient, but for rounding. A plan knows nothing of Gram
matrices; a term knows nothing of windows or devices.
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
    """Sums that a plan is to evaluate. Static and hashable.

    Attributes:
        name: Name of the term.
        term: The term.
        method: Of the image to be optimised, or of a style picture.
    """

    name: str
    term: Term
    method: Literal["sums", "of_style"] = "sums"

    def __call__(self, view: View) -> Any:
        """Returns the sums over the positions of a view."""
        return getattr(self.term, self.method)(view)


class Layout:
    """How the arrays of a run lie: here on one device.

    :class:`~jaxstyle.evaluate.mesh.Rows` is the other one.
    """

    def pad(self, x: Array, axis: int = 0) -> Array:
        """Returns an array with rows added so that all devices have the same number."""
        return x

    def lay(self, tree: T) -> T:
        """Returns a tree with its images spread over the devices; on the host."""
        return tree

    def shapes(self, tree: T, width: int) -> T:
        """Returns the shapes of a tree, and how its arrays lie."""
        return tree

    def hold(self, tree: T, width: int) -> T:
        """Returns a tree, within a program, with its images spread over the devices."""
        return tree

    def whole(self, image: Array) -> Array:
        """Returns an image without added rows, where JAX computes by default; on the host."""
        return image

    def relay(self, x: Any, like: Any, height: int) -> Array:
        """Returns a copy of an array of a checkpoint that lies as another one does; on the host.

        Args:
            x: The array; an image in it may have the rows that another layout has added.
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
    """Returns an array without the rows that another layout has added."""
    other = np.ndim(x) >= 3 and np.shape(x) != like.shape
    return np.asarray(x)[..., :height, :, :] if other else x


@dataclasses.dataclass(frozen=True)
class Plan:
    """How sums over the positions of an image are evaluated: the base class of plans.

    Static and hashable. See :class:`~jaxstyle.Whole`, :class:`~jaxstyle.Tiles` and
    :class:`~jaxstyle.Devices`.
    """

    @property
    def serial(self) -> bool:
        """Whether the next scale is prepared only when this one is finished."""
        return False

    def check(self, encoder: Encoder, objective: Objective) -> None:
        """Checks that this plan can evaluate an objective.

        Raises:
            InputError: It cannot.
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
        """Returns the sums that are requested, by the names of the terms.

        Args:
            image: ``f32[h, w, 3]``, sRGB in [0, 1]; with the rows that the layout adds.
            requests: Terms with layers.
            local: For each of them, arrays with one entry per position.
            encoder: Network and pretrained parameters.
            size: Sizes of the image and its features, without added rows.
            norms: Loss weights that the layers' gradients are scaled to; None to leave them.
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
        """Returns how the arrays of a run lie, for images of a height and width."""
        return ONE_DEVICE

    def prepare(self, encoder: Encoder, layers: Sequence[str]) -> Encoder:
        """Returns the encoder for a run, with everything that is computed once."""
        return encoder.prepare(tuple(layers))

    def replicate(self, tree: T) -> T:
        """Returns arrays where every device has them; on the host."""
        return tree

    def agree(self, wish: bool) -> bool:
        """Returns whether any process wishes something; all processes have to ask."""
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
    """Returns the features that a term sees, with the norms of their gradients set.

    Args:
        features: Of all layers.
        request: The term.
        norms: The loss weights; None to leave gradients as they are.
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
    # A path begins with the term's name and the layer's.
    return [leaf for _, leaf in paths], [path[1].key for path, _ in paths], tree
