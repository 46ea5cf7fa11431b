"""The verbs over a mesh of devices: targets, and loss and gradient, of pictures as they come."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.arrays import Image, Masks, Scalar, check_image, widen
from jaxstyle.compilation import jit
from jaxstyle.configuration import configured
from jaxstyle.encoder import Encoder, unwrapped
from jaxstyle.large import sharded
from jaxstyle.large.mesh import Mesh, Rows
from jaxstyle.losses.loss import Extra
from jaxstyle.losses.measure import Stats, masks_at
from jaxstyle.losses.objective import LossWeights, Objective
from jaxstyle.losses.targets import (
    ContentTargets,
    StyleTargets,
    Targets,
    check_masks,
    check_styles,
    style_targets_of,
)


@configured
def sharded_value_and_grad(
    image: Image,
    targets: Targets,
    loss_weights: LossWeights,
    encoder: Encoder,
    objective: Objective,
    *,
    mesh: Mesh,
    extra: Extra | None = None,
) -> tuple[Scalar, Image]:
    """Returns the loss of an image and its gradient, computed by many devices.

    The same numbers as ``jax.value_and_grad(loss)`` gives, but for rounding. Each device has some
    rows of the image and of all features; before each convolution it asks its neighbours for one
    row on either side, and sums over positions are added up over all. Pure, for ``jax.jit``, under
    which the gradient lies in shares where the height is a multiple of them.

    Args:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        targets: From ``make_targets``, or from :func:`sharded_targets`.
        loss_weights: Numbers ≥ 0.
        encoder: A VGG with pretrained parameters.
        objective: The same as for the targets; its statistic a sum over positions.
        mesh: The devices, from :func:`jaxstyle.mesh`; static.
        extra: A term of one's own, a pure function of the image; none if None.

    Raises:
        InputError: As for :func:`jaxstyle.loss`; the encoder is no VGG, or the statistic no sum.

    Examples:
        >>> import jax, jaxstyle as js
        >>> encoder = js.load_encoder("random")
        >>> content, style = jax.random.uniform(jax.random.key(0), (2, 32, 32, 3))
        >>> objective = js.Objective(content_layers=("conv2_1",), style_layers=("conv1_1",))
        >>> targets = js.make_targets(content, style, encoder, objective)
        >>> value, gradient = js.sharded_value_and_grad(
        ...     content, targets, js.LossWeights(), encoder, objective, mesh=js.mesh(1)
        ... )
        >>> gradient.shape
        (32, 32, 3)
    """
    check_image("image", image)
    sharded.check_shared(encoder, objective)
    rows = sharded.rows_of((image.shape[0], image.shape[1]), mesh, objective)

    def loss(z: Image) -> Scalar:
        return sharded.loss_terms(
            z, targets, loss_weights, encoder, objective, rows=rows, extra=extra
        ).loss

    z = jax.lax.with_sharding_constraint(rows.pad(widen(image)), mesh.sharding(0))
    value, gradient = jax.value_and_grad(loss)(z)
    return value, gradient[: rows.height]


@configured
def sharded_targets(
    content: Image,
    style: Image | Sequence[Image],
    encoder: Encoder,
    objective: Objective,
    *,
    mesh: Mesh,
    blend: Float[Array, "_"] | None = None,
    content_masks: Masks | None = None,
    style_masks: Sequence[Masks] | None = None,
) -> Targets:
    """Returns the targets that ``make_targets`` does, measured by many devices, and left in shares.

    On the host, where several processes share the devices; each hands in the same pictures.

    Args:
        content: ``f32[h, w, 3]``, of the size of the image to be optimised.
        style: ``f32[h', w', 3]``, of any size, or several.
        encoder: A VGG with pretrained parameters.
        objective: Which layers and which statistic.
        mesh: The devices, from :func:`jaxstyle.mesh`.
        blend: How much each style counts, ``f32[styles]``; all alike if None.
        content_masks: One per region, ``f32[r, h, w]`` in [0, 1].
        style_masks: For each style as many, ``f32[r, h', w']``.

    Raises:
        InputError: As for :func:`jaxstyle.make_targets`; the encoder is no VGG, or the statistic
            no sum.
    """
    kept = sharded_content_targets(content, encoder, objective, mesh=mesh)
    check_masks("content", content, content_masks)
    return Targets(
        kept,
        sharded_style_targets(
            style,
            encoder,
            objective,
            mesh=mesh,
            shape=(content.shape[0], content.shape[1]),
            blend=blend,
            masks=style_masks,
        ),
        {} if content_masks is None else guides_of(content_masks, encoder, objective, mesh),
    )


def sharded_content_targets(
    content: Image, encoder: Encoder, objective: Objective, *, mesh: Mesh
) -> ContentTargets:
    """Returns what a content image asks for: its own features, left in shares."""
    check_image("content", content)
    sharded.check_shared(encoder, objective)
    rows = sharded.rows_of((content.shape[0], content.shape[1]), mesh, objective)
    return _observe(rows.place(widen(content)), encoder, objective, rows)


def sharded_style_targets(
    style: Image | Sequence[Image],
    encoder: Encoder,
    objective: Objective,
    *,
    mesh: Mesh,
    shape: tuple[int, int],
    blend: Float[Array, "_"] | None = None,
    masks: Sequence[Masks] | None = None,
) -> StyleTargets:
    """Returns what styles ask for, as ``jaxstyle.style_targets`` does, measured by many devices.

    Raises:
        InputError: As for :func:`sharded_targets`.
    """
    styles = check_styles(style, blend, masks)
    sharded.check_shared(encoder, objective)
    for_styles = unwrapped(encoder)
    measured = [
        _measure(picture, for_styles, objective, mesh, guides)
        for picture, guides in zip(styles, masks or [None] * len(styles), strict=True)
    ]
    if blend is not None and mesh.processes > 1:
        blend = mesh.replicate(blend)
    return style_targets_of(measured, encoder, objective, shape=shape, blend=blend)


def guides_of(masks: Masks, encoder: Encoder, objective: Objective, mesh: Mesh) -> dict[str, Masks]:
    """Returns masks at the style layers' sizes, whole on every device."""
    return mesh.replicate(masks_at(masks, encoder, objective.style_layers))


def _measure(
    picture: Image, encoder: Encoder, objective: Objective, mesh: Mesh, masks: Masks | None
) -> Stats:
    rows = sharded.rows_of((picture.shape[0], picture.shape[1]), mesh, objective)
    guides = {} if masks is None else guides_of(masks, encoder, objective, mesh)
    return _statistics(rows.place(widen(picture)), encoder, objective, rows, guides)


@jit(static_argnames=("objective", "rows"))
def _statistics(
    image: Image, encoder: Encoder, objective: Objective, rows: Rows, masks: dict[str, Masks]
) -> Stats:
    return sharded.statistics(image, encoder, objective, rows, masks=masks)


@jit(static_argnames=("objective", "rows"))
def _observe(content: Image, encoder: Encoder, objective: Objective, rows: Rows) -> ContentTargets:
    features = sharded.content_features(content, encoder, objective, rows)
    return ContentTargets(features, {name: jnp.square(p).sum() for name, p in features.items()})
