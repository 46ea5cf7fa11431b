"""The loss: how far an image's statistics are from their targets.

``loss(image) = Σ compare(statistics(image), targets)``, all pure.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxstyle.arrays import Image, Scalar, check_image
from jaxstyle.configuration import configured
from jaxstyle.encoder import Encoder, shape_at
from jaxstyle.errors import InputError, choose
from jaxstyle.losses.measure import Stats, statistics
from jaxstyle.losses.normalisation import NORMALISATIONS, StyleLayer
from jaxstyle.losses.objective import LossWeights, Objective
from jaxstyle.losses.targets import Targets

Extra = Callable[[Image], Scalar]
"""A term of one's own: a pure function of the image, such as a ``jax.tree_util.Partial``, whose
arguments are then traced."""


class LossTerms(NamedTuple):
    """The weighted terms; the loss is their sum.

    Attributes:
        content: Distance of the content features.
        style: Distance of the statistics.
        tv: Total variation.
        extra: A term of the caller's own; 0 without one.
    """

    content: Scalar
    style: Scalar
    tv: Scalar
    extra: Scalar

    @property
    def loss(self) -> Scalar:
        """The sum of the terms."""
        return self.content + self.style + self.tv + self.extra


@configured
def compare(
    stats: Stats, targets: Targets, loss_weights: LossWeights, objective: Objective
) -> LossTerms:
    """Returns how far statistics are from their targets: the terms of the loss.

    ``content = w_c Σ_l w_l Σ‖f − p‖² / n_l``, ``style = w_s Σ_l w_l Σ_r s_r D(S_r, A_r) / n_lr``
    and ``tv = w_t TV / n`` with the statistic's distance ``D``, the share ``s_r`` of the image that
    a region covers, and the divisors of :mod:`jaxstyle.losses.normalisation`.

    Args:
        stats: Statistics of the whole image.
        targets: What they should become, from :func:`make_targets`.
        loss_weights: Numbers ≥ 0.
        objective: The same as for the targets.
    """
    statistic = objective.statistic
    normalisation = choose("normalisation", objective.normalisation, NORMALISATIONS)
    content = style = extra = jnp.zeros((), stats.pixels.dtype)
    for name, distance in stats.distance.items():
        size = targets.content.features[name].size
        divisor = normalisation.content_divisor(targets.content.energy[name], size)
        content += loss_weights.of_content(name) * distance / divisor
    for name, sums in stats.style.items():
        target, positions = targets.style.statistics[name], stats.positions[name]
        distances = jax.vmap(statistic.distance)(sums, positions, target)
        layer = StyleLayer(
            degree=statistic.degree,
            channels=jax.tree.leaves(target)[0].shape[-1],
            positions=positions.sum(),
            pixels=stats.pixels,
            energy=targets.style.energy[name],
        )
        shares = positions / positions.sum()
        style += (
            loss_weights.of_style(name)
            * (shares * distances / normalisation.style_divisor(layer)).sum()
        )
    tv = loss_weights.tv * stats.variation / normalisation.tv_divisor(stats.pixels)
    return LossTerms(content, style, tv, extra)


@configured
def loss_terms(
    image: Image,
    targets: Targets,
    loss_weights: LossWeights,
    encoder: Encoder,
    objective: Objective,
    *,
    extra: Extra | None = None,
) -> LossTerms:
    """Returns the weighted terms of the loss; see :func:`loss`."""
    check_image("image", image)
    loss_weights.check_layers(objective)
    check_targets((image.shape[0], image.shape[1]), targets, encoder, objective)
    stats = statistics(
        image,
        encoder,
        objective,
        content={name: targets.content.features[name] for name in objective.content_layers},
        masks=targets.masks,
        loss_weights=loss_weights,
    )
    terms = compare(stats, targets, loss_weights, objective)
    return terms if extra is None else terms._replace(extra=jnp.asarray(extra(image)))


def loss(
    image: Image,
    targets: Targets,
    loss_weights: LossWeights,
    encoder: Encoder,
    objective: Objective,
    *,
    extra: Extra | None = None,
) -> Scalar:
    """Returns the loss: content, style and total variation, weighted and added.

    Pure; works under ``jax.jit``, ``jax.grad`` and ``jax.vmap`` over images and loss weights.
    Derivatives in reverse mode are exact with respect to every array that goes in; there is no
    forward mode. Which derivatives there are is in docs/architecture.md.

    Args:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        targets: From :func:`make_targets`, for the same size, encoder and objective.
        loss_weights: Numbers ≥ 0.
        encoder: Network and pretrained parameters.
        objective: The same as for the targets.
        extra: A term of one's own, a pure function of the image; none if None.

    Raises:
        InputError: The image is none or not of the targets' size, a layer is none of the
            encoder's, or the image is too small for it.

    Examples:
        >>> import jax, jaxstyle as js
        >>> encoder = js.load_encoder("random")
        >>> content, style = jax.random.uniform(jax.random.key(0), (2, 32, 32, 3))
        >>> objective = js.Objective(content_layers=("conv2_1",), style_layers=("conv1_1",))
        >>> targets = js.make_targets(content, style, encoder, objective)
        >>> gradient = jax.jit(jax.grad(js.loss), static_argnums=4)
        >>> gradient = gradient(content, targets, js.LossWeights(), encoder, objective)
        >>> gradient.shape
        (32, 32, 3)
    """
    return loss_terms(image, targets, loss_weights, encoder, objective, extra=extra).loss


def check_targets(
    shape: tuple[int, int], targets: Targets, encoder: Encoder, objective: Objective
) -> None:
    """Refuses targets that are not for images of a height and width, or lack a layer.

    Raises:
        InputError: They are not.
    """
    for kind, names, has in (
        ("content", objective.content_layers, targets.content.features),
        ("style", objective.style_layers, targets.style.statistics),
    ):
        for name in names:
            if name not in has:
                raise InputError(f"targets: without the {kind} layer {name}; make them anew")
    sizes = {name: p.shape[:2] for name, p in targets.content.features.items()}
    for name, size in (sizes | {name: m.shape[1:] for name, m in targets.masks.items()}).items():
        if size != shape_at(encoder, name, shape):
            pixels = f"{shape[1]}×{shape[0]} px"
            raise InputError(f"image of {pixels}: the targets are for another; make them anew")
