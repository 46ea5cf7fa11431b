"""The terms of the loss: how far an image's statistics are from their targets.

``loss(image) = energy(statistics(image)) + total variation``, all pure.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxstyle.arrays import Image, Scalar
from jaxstyle.gradients import with_gradient_norm
from jaxstyle.normalisation import content_divisor, style_divisor, tv_divisor
from jaxstyle.objective import LossWeights, Objective
from jaxstyle.stats import Stats, style_sums, summarise
from jaxstyle.targets import Targets
from jaxstyle.variation import total_variation
from jaxstyle.vgg import Encoder


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
            energy=targets.style_energy[name],
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
    loss_weights.check_layers(objective)
    features, sums = objective.encode(encoder, image, targets.masks)
    style = {name: features[name] for name in objective.style_layers if name not in sums}
    kept = {name: features[name] for name in objective.content_layers}
    if objective.normalise_gradients:
        norms = {name: loss_weights.of_style(name) for name in style}
        style = {name: with_gradient_norm(f, norms[name]) for name, f in style.items()}
        norms = {name: loss_weights.of_content(name) for name in kept}
        kept = {name: with_gradient_norm(f, norms[name]) for name, f in kept.items()}
    sums |= style_sums(style, targets.masks, objective.statistic)
    stats = summarise(sums, kept, image, content=targets.content, masks=targets.masks)
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
        >>> gradient = jax.jit(jax.grad(js.loss), static_argnums=4)
        >>> gradient = gradient(content, targets, js.LossWeights(), encoder, objective)
        >>> gradient.shape
        (32, 32, 3)
    """
    return loss_terms(image, targets, loss_weights, encoder, objective).loss
