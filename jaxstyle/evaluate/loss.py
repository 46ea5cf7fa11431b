"""The loss of an image: the sum of its terms, evaluated by a plan. Pure."""

from typing import Any

import jax.numpy as jnp

from jaxstyle.arrays import Image, Scalar, check_image, widen
from jaxstyle.configuration import configured
from jaxstyle.encoder import Encoder
from jaxstyle.encoder.base import check_layers, deep
from jaxstyle.errors import InputError
from jaxstyle.evaluate.plan import Plan, Request, size_of
from jaxstyle.evaluate.targets import Targets, check_targets
from jaxstyle.evaluate.whole import WHOLE
from jaxstyle.losses.loss_weights import LossWeights
from jaxstyle.losses.objective import Objective
from jaxstyle.losses.term import View, total
from jaxstyle.ops.derivatives import derivatives

Terms = dict[str, Scalar]
"""The weighted value of each term, by name; the loss is their sum."""


def loss(
    image: Image,
    targets: Targets,
    loss_weights: LossWeights,
    encoder: Encoder,
    objective: Objective,
    *,
    plan: Plan = WHOLE,
) -> Scalar:
    """Returns the loss, ``Σ_t weight_t · value_t(sums_t(image), target_t)``.

    Pure; works under ``jax.jit``, ``jax.grad`` and ``jax.vmap`` over images, targets and loss
    weights. Derivatives in reverse mode are exact with respect to every array; forward mode needs
    an encoder with ``derivatives="any"``. The table of derivatives is in docs/architecture.md.

    Args:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        targets: From :func:`make_targets`, for the same size, encoder and objective.
        loss_weights: Numbers ≥ 0.
        encoder: Network and pretrained parameters; in custom loops, from :func:`jaxstyle.prepare`,
            which computes kernels once.
        objective: The terms, as for the targets; static.
        plan: Plan that evaluates the sums; static.

    Raises:
        InputError: The image has a wrong shape or type, or differs in size from the targets; a
            layer is unknown; the image is too small for a layer; or the plan cannot evaluate a
            term.

    Examples:
        >>> import jax, jaxstyle as js
        >>> encoder = js.load_encoder("random")
        >>> content, style = jax.random.uniform(jax.random.key(0), (2, 32, 32, 3))
        >>> objective = js.Objective(content_layers=("conv2_1",), style_layers=("conv1_1",))
        >>> targets = js.make_targets(content, style, encoder, objective)
        >>> gradient = jax.jit(jax.grad(js.loss))
        >>> gradient(content, targets, js.LossWeights(), encoder, objective).shape
        (32, 32, 3)
    """
    terms = loss_terms(image, targets, loss_weights, encoder, objective, plan=plan)
    return total(terms.values())


@configured
def loss_terms(
    image: Image,
    targets: Targets,
    loss_weights: LossWeights,
    encoder: Encoder,
    objective: Objective,
    *,
    plan: Plan = WHOLE,
) -> Terms:
    """Returns the weighted value of each term, by name; see :func:`loss`."""
    check_image("image", image)
    shape = image.shape[0], image.shape[1]
    layout = plan.layout(shape, objective.layers)
    return terms_of(
        layout.pad(image), targets, loss_weights, encoder, objective, plan=plan, shape=shape
    )


@configured
def terms_of(
    image: Image,
    targets: Targets,
    loss_weights: LossWeights,
    encoder: Encoder,
    objective: Objective,
    *,
    plan: Plan,
    shape: tuple[int, int],
) -> Terms:
    """Returns the terms of an image in the layout of the plan.

    Args:
        image: ``f32[h, w, 3]``, with the rows that the layout adds.
        targets: The target of each term.
        loss_weights: Numbers ≥ 0.
        encoder: Network and pretrained parameters.
        objective: The terms.
        plan: Plan that evaluates the sums.
        shape: Height and width of the image without added rows.
    """
    loss_weights.check(objective)
    plan.check(encoder, objective)
    size = size_of(shape, encoder, objective.layers)
    layout = plan.layout(shape, objective.layers)
    check_targets(targets, objective, size, layout)
    terms, image = objective.terms, widen(image)
    requests = tuple(Request(name, term) for name, term in terms.items() if term.layers)
    with derivatives(encoder.derivatives):
        sums: dict[str, Any] = {}
        if requests:
            local = {r.name: targets[r.name].local for r in requests}
            norms = loss_weights if objective.normalise_gradients else None
            sums = plan.measure(image, requests, local, encoder, size, norms)
        # A term without layers needs no activations, and sees the whole image.
        whole = View(image[: shape[0]], {}, {}, {}, encoder.wraps)
        for name, term in terms.items():
            if name not in sums:
                sums[name] = term.sums(whole._replace(local=targets[name].local))
        return {
            name: _scalar(name, term.value(sums[name], targets[name], loss_weights.of(name), size))
            for name, term in terms.items()
        }


def _scalar(name: str, value: Any) -> Scalar:
    if jnp.shape(value):
        raise InputError(
            f"term {name}: its value has the shape {jnp.shape(value)}; return a scalar"
        )
    return value


def prepare(encoder: Encoder, objective: Objective, *, plan: Plan = WHOLE) -> Encoder:
    """Returns an encoder for many evaluations of one objective, with kernels computed once.

    Without it, a custom loop computes the kernels in every evaluation, which takes up to 1.7 times
    as long on CPUs. ``optimise``, ``stylize`` and ``sweep`` call this function themselves. The
    result contains the parameters that its kernels belong to; for other parameters, call it again.

    Args:
        encoder: Network and pretrained parameters.
        objective: The terms; deeper layers than theirs are omitted.
        plan: Plan that evaluates the sums.

    Examples:
        >>> import jaxstyle as js
        >>> objective = js.Objective(content_layers=("conv2_1",), style_layers=("conv1_1",))
        >>> js.prepare(js.load_encoder("random"), objective).layers
        ('conv1_1', 'conv1_2', 'conv2_1')
    """
    return plan.prepare(encoder, deep(check_layers(encoder, objective.layers)))
