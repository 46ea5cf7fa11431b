"""Distances of content and style: the terms of the loss, without weights, between two pictures."""

import dataclasses

from jaxstyle.arrays import Image, Scalar
from jaxstyle.configuration import configured
from jaxstyle.encoder import Encoder
from jaxstyle.evaluate.loss import loss_terms
from jaxstyle.evaluate.targets import content_targets, join_targets, style_targets
from jaxstyle.losses.loss_weights import LossWeights
from jaxstyle.losses.objective import Objective
from jaxstyle.losses.pictures import Scene
from jaxstyle.perceptual.pair import check_pair


@configured
def content_distance(
    image: Image, reference: Image, encoder: Encoder, objective: Objective | None = None
) -> Scalar:
    """Returns how far an image's content is from a reference's: the loss's content term.

    ``1/L Σ_l ‖F − P‖² / n_l``: by default relative to the reference, ``n_l = ‖P‖²``, so that the
    two do not change places; symmetric with a normalisation by sizes, such as ``"mean"``.

    Args:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        reference: Of the same size.
        encoder: Network and pretrained parameters.
        objective: Content layers and normalisation; the default's if None.

    Raises:
        InputError: A picture is none, the sizes differ, or a layer is unknown.

    Examples:
        >>> import jax, jaxstyle as js
        >>> a, b = jax.random.uniform(jax.random.key(0), (2, 32, 32, 3))
        >>> distance = js.perceptual.content_distance(a, b, js.load_encoder("random"))
        >>> bool(distance > 0)
        True
    """
    check_pair(image, reference)
    objective = dataclasses.replace(objective or Objective(), style_layers=(), extra=())
    targets = join_targets(content_targets(Scene(reference), encoder, objective), {})
    terms = loss_terms(image, targets, _equal_weights(), encoder, objective)
    return terms["content"] / len(objective.content_layers)


@configured
def style_distance(
    image: Image, reference: Image, encoder: Encoder, objective: Objective | None = None
) -> Scalar:
    """Returns how far an image's style is from a reference's: the loss's style term.

    ``1/L Σ_l D(S_l, A_l) / n_l`` with the objective's statistic, all layers alike; by default
    relative to the reference, ``‖G − A‖² / ‖A‖²``. The two may have different sizes.

    Args:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        reference: ``f32[h', w', 3]``, the painting.
        encoder: Network and pretrained parameters.
        objective: Style layers, statistic and normalisation; the default's if None.

    Raises:
        InputError: A picture is none, or too small for a layer, or the layer is unknown.

    Examples:
        >>> import jax, jaxstyle as js
        >>> image, painting = jax.random.uniform(jax.random.key(0), (2, 32, 32, 3))
        >>> distance = js.perceptual.style_distance(image, painting, js.load_encoder("random"))
        >>> bool(distance > 0)
        True
    """
    objective = dataclasses.replace(objective or Objective(), content_layers=(), extra=())
    shape = image.shape[0], image.shape[1]
    style = style_targets(reference, encoder, objective, shape=shape)
    targets = join_targets(content_targets(Scene(image), encoder, objective), style)
    terms = loss_terms(image, targets, _equal_weights(), encoder, objective)
    return terms["style"] / len(objective.style_layers)


def _equal_weights() -> LossWeights:
    return LossWeights(content=1.0, style=1.0, tv=0.0, style_layers={})
