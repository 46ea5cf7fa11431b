"""The objective: how far an image's statistics are from their targets.

``loss(image) = energy(statistics(image)) + total variation``. What changes the program is in
:class:`Objective`, static; what changes numbers only is in the pytrees :class:`Targets` and
:class:`LossWeights`, so that another weight or picture never recompiles and ``vmap`` runs over
them.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, ArrayLike, Float

from jaxstyle import vgg
from jaxstyle.arrays import Features, Image, Scalar
from jaxstyle.gradients import with_gradient_norm
from jaxstyle.normalisation import Normalisation, content_divisor, style_divisor, tv_divisor
from jaxstyle.stats import Gram, Statistic, Stats, masks_at, statistics, summarise
from jaxstyle.variation import Variation, total_variation
from jaxstyle.vgg import Encoder

Masks = Float[Array, "r _ _"]


# Of a picture: a region that covers less is missing there.
_LEAST = 1e-6


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Objective:
    """What the terms of the loss are made of. Static and hashable.

    Attributes:
        content_layers: Layers whose features the image should keep.
        style_layers: Layers whose statistics the image should take over.
        statistic: What of a style layer's features is taken over.
        normalisation: What the terms are divided by.
        tv: The kind of total variation.
        normalise_gradients: Whether the gradient that each layer's term sends back is divided by
            its L1 norm. No loss has such a gradient: it takes a solver without a line search.
    """

    content_layers: tuple[str, ...] = ("conv4_2",)
    style_layers: tuple[str, ...] = ("image", "conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
    statistic: Statistic = dataclasses.field(default_factory=Gram)
    normalisation: Normalisation = "energy"
    tv: Variation = "l2"
    normalise_gradients: bool = False

    @property
    def layers(self) -> tuple[str, ...]:
        """All layers, each once."""
        return tuple(dict.fromkeys((*self.content_layers, *self.style_layers)))


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

    def of_content(self, layer: str) -> ArrayLike:
        """Returns the weight of a content layer."""
        return self.content * self.content_layers.get(layer, 1.0)

    def of_style(self, layer: str) -> ArrayLike:
        """Returns the weight of a style layer."""
        return self.style * self.style_layers.get(layer, 1.0)


class Targets(NamedTuple):
    """What the statistics should become.

    Attributes:
        content: Per content layer, the features to keep, ``f32[h', w', c]``.
        content_energy: Per content layer, ``Σ‖p‖²``.
        style: Per style layer, the statistic's target, with an axis of regions in front.
        masks: Per style layer, where each region is in the image, ``f32[r, h', w']``; empty if it
            is all one region.
    """

    content: Features
    content_energy: dict[str, Scalar]
    style: dict[str, Any]
    masks: dict[str, Masks]


class LossTerms(NamedTuple):
    """The weighted terms; the loss is their sum.

    Attributes:
        content: Distance of the content features.
        style: Distance of the statistics.
        tv: Total variation.
    """

    content: Scalar
    style: Scalar
    tv: Scalar

    @property
    def loss(self) -> Scalar:
        """The sum of the terms."""
        return self.content + self.style + self.tv


def make_targets(
    content: Image,
    style: Image | Sequence[Image],
    encoder: Encoder,
    objective: Objective,
    *,
    blend: Float[Array, "_"] | None = None,
    content_masks: Masks | None = None,
    style_masks: Sequence[Masks] | None = None,
) -> Targets:
    """Returns the targets that a content image and one or several style images set.

    Styles are blended as statistics. With masks each region takes over the style of its own region
    (Gatys et al. 2017, arXiv:1611.07865); styles in which a region is missing have no say in it.

    Args:
        content: ``f32[h, w, 3]``, of the size of the image to be optimised.
        style: ``f32[h', w', 3]``, of any size, or several.
        encoder: Network and pretrained parameters.
        objective: Which layers and which statistic.
        blend: How much each style counts, ``f32[styles]``; all alike if None.
        content_masks: One per region, ``f32[r, h, w]`` in [0, 1].
        style_masks: For each style as many, ``f32[r, h', w']``.

    Raises:
        InputError: A layer is none of the encoder's, or a picture is too small for it.
    """
    styles = list(style) if isinstance(style, Sequence) else [style]
    layers, statistic = objective.style_layers, objective.statistic
    wanted = objective.content_layers
    kept = vgg.encode(encoder, content, wanted) if wanted else {}
    # A painting is no tile, even where the image is to be one.
    for_styles = vgg.unwrap(encoder)
    guides = [masks_at(masks, layers) for masks in style_masks or []] or [{}] * len(styles)
    stats = [
        statistics(image, for_styles, layers, {}, masks=masks, statistic=statistic)
        for image, masks in zip(styles, guides, strict=True)
    ]
    shares = jnp.ones(len(styles)) if blend is None else jnp.asarray(blend, jnp.float32)
    targets = {}
    for name in layers:
        h, w = (side >> (vgg.block_of(name) - 1) for side in content.shape[:2])
        positions = jnp.stack([s.positions[name] for s in stats])
        present = shares[:, None] * (positions > _LEAST * positions.sum(1, keepdims=True))
        present = present / jnp.maximum(present.sum(0), _LEAST)
        targets[name] = jax.vmap(partial(statistic.target, size=h * w))(
            [s.style[name] for s in stats], list(positions), blend=present.T
        )
    return Targets(
        content=kept,
        content_energy={name: jnp.square(p).sum() for name, p in kept.items()},
        style=targets,
        masks={} if content_masks is None else masks_at(content_masks, layers),
    )


def energy(
    stats: Stats, targets: Targets, loss_weights: LossWeights, objective: Objective
) -> LossTerms:
    """Returns how far statistics are from their targets.

    ``content = w_c Σ_l w_l Σ‖f − p‖² / n_l`` and ``style = w_s Σ_l w_l Σ_r s_r D(S_r, A_r) / n_lr``
    with the statistic's distance ``D``, the share ``s_r`` of the image that a region covers, and
    the divisors of :mod:`jaxstyle.normalisation`. The total variation is 0 here: it is a term on
    the image itself.

    Args:
        stats: Of the whole image.
        targets: From :func:`make_targets`.
        loss_weights: Numbers ≥ 0.
        objective: The same as for the targets.
    """
    kind, statistic = objective.normalisation, objective.statistic
    content = style = jnp.float32(0.0)
    for name, distance in stats.distance.items():
        size = targets.content[name].size
        divisor = content_divisor(kind, targets.content_energy[name], size)
        content += loss_weights.of_content(name) * distance / divisor
    for name, sums in stats.style.items():
        target, positions = targets.style[name], stats.positions[name]
        distances = jax.vmap(statistic.distance)(sums, positions, target)
        divisors = style_divisor(
            kind,
            degree=statistic.degree,
            channels=jax.tree.leaves(target)[0].shape[-1],
            positions=positions.sum(),
            pixels=stats.pixels,
            energy=jax.vmap(statistic.energy)(target),
        )
        shares = positions / positions.sum()
        style += loss_weights.of_style(name) * (shares * distances / divisors).sum()
    return LossTerms(content, style, jnp.float32(0.0))


def loss_terms(
    image: Image,
    targets: Targets,
    loss_weights: LossWeights,
    encoder: Encoder,
    objective: Objective,
) -> LossTerms:
    """Returns the weighted terms of the loss; see :func:`loss`."""
    features: Features = vgg.encode(encoder, image, objective.layers) if objective.layers else {}
    style = {name: features[name] for name in objective.style_layers}
    kept = {name: features[name] for name in objective.content_layers}
    if objective.normalise_gradients:
        norms = {name: loss_weights.of_style(name) for name in style}
        style = {name: with_gradient_norm(f, norms[name]) for name, f in style.items()}
        norms = {name: loss_weights.of_content(name) for name in kept}
        kept = {name: with_gradient_norm(f, norms[name]) for name, f in kept.items()}
    stats = summarise(
        style,
        kept,
        image,
        content=targets.content,
        masks=targets.masks,
        statistic=objective.statistic,
    )
    tv = total_variation(image, objective.tv, wrap=encoder.vgg.padding == "circular")
    tv = loss_weights.tv * tv / tv_divisor(objective.normalisation, image.size)
    return energy(stats, targets, loss_weights, objective)._replace(tv=tv)


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
        objective: The same as for the targets.

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
