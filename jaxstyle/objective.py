"""The objective: how far an image's statistics are from their targets.

``loss(image) = Σ energy(statistics(image)) + total variation``. What changes the program is in
:class:`Objective`, static; what changes numbers only is in the pytrees :class:`Targets` and
:class:`LossWeights`, so that another weight or picture never recompiles and ``vmap`` runs over
them.

Every term is divided by its target's energy: a content term by ``Σ‖p‖²``, a style term by
``‖A‖²``. That makes the loss scale-free: one style weight means the same with every encoder, layer
and image size.
"""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, ArrayLike, Float

from jaxstyle.arrays import Features, Image, Scalar
from jaxstyle.stats import Stats, statistics
from jaxstyle.vgg import Encoder, encode

# The least energy per element that a term is divided by: a flat picture may have none at all.
_FLOOR = 1e-6


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Objective:
    """Which layers carry content and which carry style. Static and hashable.

    Attributes:
        content_layers: Layers whose features the image should keep.
        style_layers: Layers whose Gram matrices the image should take over.
    """

    content_layers: tuple[str, ...] = ("conv4_2",)
    style_layers: tuple[str, ...] = ("image", "conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")


@struct.dataclass
class LossWeights:
    """How much each term counts; every field is a number ≥ 0 and traced.

    Attributes:
        content: Of the content term.
        style: Of the style term.
        tv: Of the total variation.
        content_layers: Of single content layers; 1 where a layer is not named.
        style_layers: Of single style layers; 1 where a layer is not named.
    """

    content: ArrayLike = 1.0
    style: ArrayLike = 5.0
    tv: ArrayLike = 30.0
    content_layers: Mapping[str, ArrayLike] = struct.field(default_factory=dict)
    style_layers: Mapping[str, ArrayLike] = struct.field(default_factory=lambda: {"image": 20.0})


class Targets(NamedTuple):
    """What the statistics should become.

    Attributes:
        content: Per content layer, the features to keep, ``f32[h', w', c]``.
        content_energy: Per content layer, ``Σ‖p‖²``.
        gram: Per style layer, the Gram matrix to take over, per position.
    """

    content: Features
    content_energy: dict[str, Scalar]
    gram: dict[str, Float[Array, "_ _"]]


class LossTerms(NamedTuple):
    """The weighted terms; the loss is their sum.

    Attributes:
        content: Distance of the content features.
        style: Distance of the Gram matrices.
        tv: Total variation.
    """

    content: Scalar
    style: Scalar
    tv: Scalar

    @property
    def loss(self) -> Scalar:
        """The sum of the terms."""
        return self.content + self.style + self.tv


def make_targets(content: Image, style: Image, encoder: Encoder, objective: Objective) -> Targets:
    """Returns the targets that a content image and a style image set.

    Args:
        content: ``f32[h, w, 3]``, of the size of the image to be optimised.
        style: ``f32[h', w', 3]``, of any size.
        encoder: Network and pretrained parameters.
        objective: Which layers.

    Raises:
        InputError: A layer is none of the encoder's, or a picture is too small for it.
    """
    layers = objective.content_layers
    kept = encode(encoder, content, layers) if layers else {}
    stats = statistics(style, encoder, objective.style_layers, {})
    return Targets(
        content=kept,
        content_energy={name: jnp.square(p).sum() for name, p in kept.items()},
        gram={name: g / stats.positions[name] for name, g in stats.gram.items()},
    )


def total_variation(image: Image) -> Scalar:
    """Returns the mean squared difference of neighbours: ``(Σ Δx² + Σ Δy²) / (3hw)``.

    Rudin, Osher & Fatemi 1992, with squares in place of the norm, as Mahendran & Vedaldi 2015.

    Args:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].

    Examples:
        >>> import jax.numpy as jnp
        >>> round(float(total_variation(jnp.eye(2)[..., None] * jnp.ones(3))), 6)
        1.0
    """
    dx, dy = jnp.diff(image, axis=1), jnp.diff(image, axis=0)
    return (jnp.square(dx).sum() + jnp.square(dy).sum()) / image.size


def energy(stats: Stats, targets: Targets, loss_weights: LossWeights) -> LossTerms:
    """Returns how far statistics are from their targets.

    ``content = w_c Σ_l w_l Σ‖f − p‖² / Σ‖p‖²`` and ``style = w_s Σ_l w_l ‖G − A‖² / ‖A‖²``, with
    Gram matrices per position. The total variation is a term on the image itself, and 0 here.

    Args:
        stats: Of the whole image.
        targets: From :func:`make_targets`.
        loss_weights: Numbers ≥ 0.
    """
    content = style = jnp.float32(0.0)
    for name, distance in stats.distance.items():
        scale = jnp.maximum(targets.content_energy[name], _FLOOR * targets.content[name].size)
        content += loss_weights.content_layers.get(name, 1.0) * distance / scale
    for name, total in stats.gram.items():
        target = targets.gram[name]
        scale = jnp.maximum(jnp.square(target).sum(), _FLOOR * target.size)
        distance = jnp.square(total / stats.positions[name] - target).sum()
        weight = loss_weights.style_layers.get(name, 1.0)
        style += weight * distance / scale
    return LossTerms(loss_weights.content * content, loss_weights.style * style, jnp.float32(0.0))


def loss_terms(
    image: Image,
    targets: Targets,
    loss_weights: LossWeights,
    encoder: Encoder,
    objective: Objective,
) -> LossTerms:
    """Returns the weighted terms of the loss; see :func:`loss`."""
    stats = statistics(image, encoder, objective.style_layers, targets.content)
    return energy(stats, targets, loss_weights)._replace(
        tv=loss_weights.tv * total_variation(image)
    )


def loss(
    image: Image,
    targets: Targets,
    loss_weights: LossWeights,
    encoder: Encoder,
    objective: Objective,
) -> Scalar:
    """Returns the loss: content, style and total variation, weighted and added.

    Pure; works under ``jax.jit``, ``jax.grad`` and ``jax.vmap`` over images and loss weights.

    Args:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        targets: From :func:`make_targets`, for the same size, encoder and objective.
        loss_weights: Numbers ≥ 0.
        encoder: Network and pretrained parameters.
        objective: Which layers.

    Raises:
        InputError: A layer is none of the encoder's, or the image is too small for it.

    Examples:
        >>> import jax, jaxstyle as js
        >>> encoder = js.load_encoder("random")
        >>> content, style = jax.random.uniform(jax.random.key(0), (2, 32, 32, 3))
        >>> objective = js.Objective(content_layers=("conv2_1",), style_layers=("conv1_1",))
        >>> targets = js.make_targets(content, style, encoder, objective)
        >>> gradient = jax.grad(js.loss)(content, targets, js.LossWeights(), encoder, objective)
        >>> gradient.shape
        (32, 32, 3)
    """
    return loss_terms(image, targets, loss_weights, encoder, objective).loss
