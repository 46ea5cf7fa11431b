"""Targets: the data that terms compare an image with, made from pictures.

The parts from content and styles are made separately, so that many photographs share those of one
painting, and in separate programs, so that pictures and scales of one shape share these.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxstyle.arrays import Image, Masks, is_traced, widen
from jaxstyle.compilation import jit
from jaxstyle.configuration import configured
from jaxstyle.encoder import Encoder
from jaxstyle.errors import InputError
from jaxstyle.evaluate.plan import Layout, Plan, Request, size_of
from jaxstyle.evaluate.whole import WHOLE
from jaxstyle.losses.objective import Objective
from jaxstyle.losses.pictures import (
    Scene,
    Styles,
    as_scene,
    as_styles,
    check_regions,
    check_scene,
    check_styles,
    shares_of,
)
from jaxstyle.losses.term import Local, Size, Target, Term, View
from jaxstyle.ops.derivatives import derivatives

Targets = dict[str, Target]
"""The target of each term, by name."""


@configured
def make_targets(
    content: Image | Scene,
    style: Image | Sequence[Image] | Styles,
    encoder: Encoder,
    objective: Objective,
    *,
    plan: Plan = WHOLE,
) -> Targets:
    """Makes the targets from a content picture and one or several style pictures.

    Derivatives in reverse mode are exact with respect to every array.

    Args:
        content: ``f32[h, w, 3]``, sRGB in [0, 1], of the size of the image to be optimised; or a
            :class:`~jaxstyle.Scene` with masks and data.
        style: ``f32[h', w', 3]``, of any size, or several; or :class:`~jaxstyle.Styles` with a
            blend, masks, or targets.
        encoder: Network and pretrained parameters.
        objective: The terms.
        plan: Plan that evaluates features and sums; static.

    Returns:
        The target of each term, by name: a pytree.

    Raises:
        InputError: A picture has a wrong shape, type or range; the numbers of styles, weights and
            masks differ; a layer is unknown; or a picture is too small for a layer.

    Examples:
        >>> import jax, jaxstyle as js
        >>> content, style = jax.random.uniform(jax.random.key(0), (2, 32, 32, 3))
        >>> list(js.make_targets(content, style, js.load_encoder("random"), js.Objective()))
        ['content', 'style', 'tv']
    """
    scene, styles = as_scene(content), as_styles(style)
    check_scene(scene)
    check_styles(styles)
    check_regions(scene, styles)
    shape = scene.image.shape[0], scene.image.shape[1]
    if styles.targets is None:
        parts = style_targets(styles, encoder, objective, shape=shape, plan=plan)
    elif len(styles.targets) == 1:
        parts = styles.targets[0]
    else:
        raise InputError(f"style targets: {len(styles.targets)} scales; give those of one")
    return join_targets(content_targets(scene, encoder, objective, plan=plan), parts)


def join_targets(content: Mapping[str, tuple[Local, Any]], style: Mapping[str, Any]) -> Targets:
    """Joins the parts of the targets from content and styles."""
    return {n: Target(dict(local), of, style.get(n)) for n, (local, of) in content.items()}


@configured
def content_targets(
    scene: Scene, encoder: Encoder, objective: Objective, *, plan: Plan = WHOLE
) -> dict[str, tuple[Local, Any]]:
    """Makes the content part of each term's target: local arrays, and a global part.

    Args:
        scene: The picture, of the size of the image to be optimised, with its masks and data.
        encoder: Network and pretrained parameters.
        objective: The terms.
        plan: Plan that evaluates the features; static.
    """
    image = widen(jnp.asarray(scene.image))
    scene = scene._replace(image=image)
    if not plan.serial:
        return _content_program(scene, encoder, objective, plan)
    shape = image.shape[0], image.shape[1]
    size = size_of(shape, encoder, objective.layers)
    traced = is_traced(image, encoder, jnp.zeros(()))
    layout = plan.layout(shape, objective.layers)
    spread = layout.pad(image) if traced else layout.lay(image)
    # On the host outside a program, so that features can stay in files or spread over devices.
    return _content_parts(
        scene if traced else plan.replicate(scene), spread, encoder, objective, plan, size
    )


@jit(static_argnames=("objective", "plan"))
def _content_program(scene: Scene, encoder: Encoder, objective: Objective, plan: Plan) -> Any:
    shape = scene.image.shape[0], scene.image.shape[1]
    size = size_of(shape, encoder, objective.layers)
    return _content_parts(scene, scene.image, encoder, objective, plan, size)


def _content_parts(
    scene: Scene, spread: Image, encoder: Encoder, objective: Objective, plan: Plan, size: Size
) -> dict[str, tuple[Local, Any]]:
    terms = objective.terms
    layers = tuple(dict.fromkeys(n for term in terms.values() for n in term.content_layers))
    with derivatives(encoder.derivatives):
        features = plan.features(spread, encoder, layers, size) if layers else {}
        views = {
            name: View(
                scene.image, {n: features[n] for n in t.content_layers}, {}, {}, encoder.wraps
            )
            for name, t in terms.items()
        }
        return {name: term.content_target(views[name], scene, size) for name, term in terms.items()}


@configured
def style_targets(
    style: Image | Sequence[Image] | Styles,
    encoder: Encoder,
    objective: Objective,
    *,
    shape: tuple[int, int],
    plan: Plan = WHOLE,
) -> dict[str, Any]:
    """Makes the style part of each term's target, for any content picture of one size.

    Args:
        style: ``f32[h', w', 3]``, sRGB in [0, 1], of any size, or several; or
            :class:`~jaxstyle.Styles`.
        encoder: Network and pretrained parameters.
        objective: The terms.
        shape: Height and width of the image to be optimised.
        plan: Plan that evaluates the sums; static.

    Returns:
        The style part of each term's target, by name: a pytree.

    Raises:
        InputError: As for :func:`make_targets`.
    """
    styles = as_styles(style)
    check_styles(styles)
    plan.check(encoder, objective)
    size = size_of(shape, encoder, objective.layers)
    requests = tuple(
        Request(name, term, "of_style")
        for name, term in objective.terms.items()
        if type(term).of_style is not Term.of_style
    )
    # A painting is not seamless, even where the image will be.
    unwrapped = encoder.unwrap()
    measured: dict[str, list[tuple[Any, Size]]] = {request.name: [] for request in requests}
    masks_of = styles.masks or [None] * len(styles.images)
    turns = sorted({turn for request in requests for turn in request.term.turns})
    for picture, masks in zip(styles.images, masks_of, strict=True):
        for turn in turns:
            turned = tuple(request for request in requests if turn in request.term.turns)
            rotated = jnp.rot90(jnp.asarray(picture), turn) if turn else picture
            regions = jnp.rot90(masks, turn, (1, 2)) if turn and masks is not None else masks
            sums, own = _measure_style(rotated, regions, unwrapped, objective, turned, plan)
            for name in sums:
                measured[name].append((sums[name], own))
    blend = plan.replicate(shares_of(styles))
    return {r.name: r.term.style_target(measured[r.name], blend, size) for r in requests}


def _measure_style(
    picture: Image,
    masks: Masks | None,
    encoder: Encoder,
    objective: Objective,
    requests: tuple[Request, ...],
    plan: Plan,
) -> tuple[dict[str, Any], Size]:
    """Returns the sums of each term over a style picture, and the sizes of the picture."""
    picture = widen(jnp.asarray(picture))
    shape = picture.shape[0], picture.shape[1]
    size = size_of(shape, encoder, objective.layers)
    layout = plan.layout(shape, objective.layers)
    local = {r.name: r.term.style_local(masks, size) for r in requests}
    if is_traced(picture, encoder, local, jnp.zeros(())):
        spread = layout.pad(picture)
    else:
        spread, local = layout.lay(picture), plan.replicate(local)
    return _sums(spread, local, encoder, requests, shape, objective.layers, plan), size


@jit(static_argnames=("requests", "shape", "layers", "plan"))
def _sums(
    picture: Image,
    local: dict[str, Local],
    encoder: Encoder,
    requests: tuple[Request, ...],
    shape: tuple[int, int],
    layers: tuple[str, ...],
    plan: Plan,
) -> dict[str, Any]:
    with derivatives(encoder.derivatives):
        size = size_of(shape, encoder, layers)
        return plan.measure(picture, requests, local, encoder, size) if requests else {}


def check_targets(targets: Targets, objective: Objective, size: Size, layout: Layout) -> None:
    """Checks that targets belong to an objective and to images of a size.

    Args:
        targets: From :func:`make_targets`.
        objective: The terms.
        size: Sizes of the image and its features.
        layout: Layout of the image; it may have added rows to the arrays of the targets.

    Raises:
        InputError: A target is missing, or for another size.
    """
    for name in objective.terms:
        if name not in targets:
            raise InputError(f"targets: the term {name} is missing; make them again")
        local = targets[name].local
        for layer, arrays in local.items():
            height, width = size.layers[layer]
            for x in jax.tree.leaves(arrays):
                rows = layout.rows_at(layer, height)
                if x.shape[1] != width or x.shape[0] not in (height, rows):
                    h, w = size.shape
                    raise InputError(
                        f"image of {w}×{h} px: the targets are for another size; make them again"
                    )
