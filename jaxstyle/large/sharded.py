"""The loss of one image that lies on many devices: each sums over the rows that it has.

Before each convolution a device asks its neighbours for one row on either side, and the sums over
positions are added up over all devices: so every number is computed once, by one device, and
features never leave it.
"""

from collections.abc import Mapping
from itertools import groupby
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array

from jaxstyle.arrays import Feature, Features, Image, Masks, check_image, widen
from jaxstyle.configuration import configured
from jaxstyle.encoder import IMAGE, Encoder, VGGEncoder, shape_at
from jaxstyle.encoder.base import check_layers, check_size, pixels
from jaxstyle.encoder.vgg import block_of
from jaxstyle.encoder.vgg_encoder import convolve, network_input
from jaxstyle.errors import InputError
from jaxstyle.large.halo import counting, surround
from jaxstyle.large.mesh import AXIS, Mesh, Rows
from jaxstyle.large.patches import measure_patches, observe_patches, patches_for
from jaxstyle.losses.loss import Extra, LossTerms, check_targets, compare
from jaxstyle.losses.measure import Stats, gathered
from jaxstyle.losses.objective import LossWeights, Objective
from jaxstyle.losses.statistics import region_sums
from jaxstyle.losses.targets import Targets
from jaxstyle.ops.gradients import with_gradient_norm
from jaxstyle.ops.pooling import pool

_WHOLE, _SHARES = PartitionSpec(), PartitionSpec(AXIS)


def check_shared(encoder: Encoder, objective: Objective) -> None:
    """Refuses what no device can compute from the rows that it has.

    Raises:
        InputError: The encoder is no VGG, or the statistic is no sum over positions.
    """
    if not objective.statistic.additive:
        name = type(objective.statistic).__name__.lower()
        raise InputError(
            f"statistic {name}: no sum over positions, which devices could share; "
            "choose gram, wasserstein or mean-std, or one device"
        )
    if not isinstance(encoder, VGGEncoder):
        kind = type(encoder).__name__
        raise InputError(f"devices: share the rows of VGGs, and of no {kind}; choose one device")


def rows_of(shape: tuple[int, int], mesh: Mesh, objective: Objective) -> Rows:
    """Returns how the rows of an image are shared out, so that all halvings stay within a share.

    Args:
        shape: Height and width of the image.
        mesh: The devices.
        objective: Whose layers are reached.
    """
    return mesh.rows(shape[0], 2 ** max(map(_halvings, objective.layers), default=0))


def _halvings(layer: str) -> int:
    return 0 if layer == IMAGE else block_of(layer) - 1


@configured
def statistics(
    image: Image,
    encoder: Encoder,
    objective: Objective,
    rows: Rows,
    *,
    content: Mapping[str, Array] | None = None,
    masks: Mapping[str, Masks] | None = None,
    loss_weights: LossWeights | None = None,
) -> Stats:
    """Returns the statistics of an image in shares, as :func:`jaxstyle.statistics` does of others.

    Args:
        image: ``f32[room, w, 3]``, with the rows that hang over.
        encoder: Network and pretrained parameters.
        objective: Which style layers, which statistic and variation, and how it is computed.
        rows: How the image's rows are shared out.
        content: Content features, in shares as well, from :func:`content_features`.
        masks: Per style layer, one mask per region.
        loss_weights: What the layers' gradients are scaled to where the objective normalises them.
    """
    content, masks = dict(content or {}), dict(masks or {})
    check_image("image", image)
    check_shared(encoder, objective)
    image = widen(image)
    normalised = loss_weights if objective.normalise_gradients else None

    layers = tuple(dict.fromkeys((*content, *objective.style_layers)))
    patches = patches_for(image.shape[1], encoder, objective, rows, layers)

    def measure(
        image: Image, encoder: Any, content: Features, masks: dict[str, Masks], weights: Any
    ) -> Any:
        if patches is not None:
            distance, sums = measure_patches(
                image, encoder, objective, content, masks, patches, rows
            )
            return jax.lax.psum((sums, distance), AXIS)
        features = _encode(image, encoder, (*content, *objective.style_layers), objective, rows)
        kept: Any = {name: features[name] for name in content}
        style: Any = {name: features[name] for name in objective.style_layers}
        if weights is not None:
            kept = {n: with_gradient_norm(f, weights.of_content(n), AXIS) for n, f in kept.items()}
            style = {n: with_gradient_norm(f, weights.of_style(n), AXIS) for n, f in style.items()}
        sums = {
            name: region_sums(f, masks.get(name, _one_region(f, name, rows)), objective.statistic)
            for name, f in style.items()
        }
        distance = {n: _counted(jnp.square(kept[n] - p), n, rows).sum() for n, p in content.items()}
        return jax.lax.psum((sums, distance), AXIS)

    style, distance = jax.shard_map(
        measure,
        mesh=rows.mesh.of_jax,
        in_specs=(_SHARES, _WHOLE, _SHARES, PartitionSpec(None, AXIS), _WHOLE),
        out_specs=_WHOLE,
    )(
        rows.pad(image),
        encoder,
        {name: rows.at(_halvings(name)).pad(p) for name, p in content.items()},
        {name: rows.at(_halvings(name)).pad(m, 1) for name, m in masks.items()},
        normalised,
    )
    return gathered(image[: rows.height], encoder, objective, masks, style, distance)


def content_features(image: Image, encoder: Encoder, objective: Objective, rows: Rows) -> Features:
    """Returns the features of the content layers in shares; of rows that hang over, zeros.

    Args:
        image: ``f32[room, w, 3]``, with the rows that hang over.
        encoder: Network and pretrained parameters.
        objective: Which layers, and how they are computed.
        rows: How the image's rows are shared out.
    """
    check_shared(encoder, objective)
    layers = objective.content_layers
    patches = patches_for(image.shape[1], encoder, objective, rows, layers)

    def observe(image: Image, encoder: Any) -> Features:
        if patches is not None:
            return observe_patches(image, encoder, layers, patches, rows)
        features = _encode(image, encoder, layers, objective, rows)
        return {name: _counted(f, name, rows) for name, f in features.items()}

    return jax.shard_map(
        observe, mesh=rows.mesh.of_jax, in_specs=(_SHARES, _WHOLE), out_specs=_SHARES
    )(rows.pad(widen(image)), encoder)


def _encode(
    image: Image, encoder: VGGEncoder, layers: tuple[str, ...], objective: Objective, rows: Rows
) -> Features:
    """Returns this device's rows of features."""
    names = check_layers(encoder, layers)
    check_size((rows.height, image.shape[1]), encoder, names)
    features = {IMAGE: pixels(image)} if IMAGE in names else {}
    encoder = encoder.truncate(tuple(name for name in names if name != IMAGE))
    x = network_input(encoder, image)
    blocks = [tuple(block) for _, block in groupby(encoder.layers, block_of)]
    for block in blocks:

        def run(x: Feature, encoder: VGGEncoder, block: tuple[str, ...] = block) -> Any:
            found, lying = {}, rows.at(_halvings(block[0]))
            for name in block:
                x = convolve(encoder, name, surround(x, encoder.network.padding_of(name), lying))
                if name in names:
                    found[name] = widen(x)
            return x if block is blocks[-1] else pool(x, encoder.network.pooling), found

        x, found = (run if objective.memory == "high" else jax.checkpoint(run))(x, encoder)
        features |= found
    return features


def _one_region(feature: Feature, layer: str, rows: Rows) -> Masks | None:
    """Returns a mask of the rows that there are; None if none hangs over."""
    mask = counting(rows.at(_halvings(layer)), feature.shape[1])
    return None if mask is None else mask[None]


def _counted(feature: Feature, layer: str, rows: Rows) -> Feature:
    """Returns features, zero in the rows that hang over."""
    mask = counting(rows.at(_halvings(layer)), feature.shape[1])
    return feature if mask is None else jnp.where(mask[..., None] > 0, feature, 0.0)


@configured
def loss_terms(
    image: Image,
    targets: Targets,
    loss_weights: LossWeights,
    encoder: Encoder,
    objective: Objective,
    *,
    rows: Rows,
    extra: Extra | None = None,
) -> LossTerms:
    """Returns the weighted terms of the loss of an image in shares.

    Args:
        image: ``f32[room, w, 3]``, with the rows that hang over.
        targets: From :func:`make_targets` of this module, or of the library.
        loss_weights: Numbers ≥ 0.
        encoder: Network and pretrained parameters.
        objective: The same as for the targets.
        rows: How the image's rows are shared out.
        extra: A term of one's own, a pure function of the image; none if None.
    """
    loss_weights.check_layers(objective)
    trimmed = _trimmed(targets, encoder, rows)
    check_targets((rows.height, image.shape[1]), trimmed, encoder, objective)
    stats = statistics(
        image,
        encoder,
        objective,
        rows,
        content={name: targets.content.features[name] for name in objective.content_layers},
        masks=targets.masks,
        loss_weights=loss_weights,
    )
    # The divisors are made of the sizes of features without what hangs over.
    terms = compare(stats, trimmed, loss_weights, objective)
    if extra is None:
        return terms
    return terms._replace(extra=jnp.asarray(extra(image[: rows.height])))


def _trimmed(targets: Targets, encoder: Encoder, rows: Rows) -> Targets:
    """Returns targets without the rows that hang over in theirs."""

    def trim(name: str, p: Feature) -> Feature:
        laid = p.shape[0] == rows.at(_halvings(name)).room
        return p[: shape_at(encoder, name, (rows.height, 1))[0]] if laid else p

    features = {name: trim(name, p) for name, p in targets.content.features.items()}
    return targets._replace(content=targets.content._replace(features=features))
