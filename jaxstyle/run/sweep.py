"""Many settings at once, coarse to fine, in one compiled program per scale."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxstyle.arrays import Image
from jaxstyle.configuration import configured
from jaxstyle.encoder import Encoder
from jaxstyle.errors import InputError
from jaxstyle.evaluate.loss import Terms
from jaxstyle.losses.loss_weights import LossWeights
from jaxstyle.losses.objective import Objective
from jaxstyle.losses.pictures import Scene, Styles
from jaxstyle.ops import resize
from jaxstyle.run.initial_image import Init
from jaxstyle.run.lanes import Lanes
from jaxstyle.run.loop import Data, make_program
from jaxstyle.run.parameterisation import Parameterisation
from jaxstyle.run.schedule import Schedule, fraction_done
from jaxstyle.run.sweep_sources import (
    count_settings,
    initial_images,
    make_sweep_sources,
    targets_at,
)
from jaxstyle.solvers import Solver


class Swept(NamedTuple):
    """The result of :func:`sweep`, with a row for each setting.

    Attributes:
        image: ``f32[n, h, w, 3]``, sRGB in [0, 1].
        terms: The weighted value of each term after the last iteration, ``{name: f32[n]}``.
        iterations: Number of completed solver iterations, ``i32[n]``.
        evaluations: Number of evaluations of loss and gradient, ``i32[n]``.
        finite: Whether loss and gradient stayed finite, ``bool[n]``.
        stopped: Whether the callback stopped the sweep.
    """

    image: Float[Array, "n _ _ 3"]
    terms: Terms
    iterations: np.ndarray
    evaluations: np.ndarray
    finite: np.ndarray
    stopped: bool


class SweepProgress(NamedTuple):
    """The argument of the callback of a sweep.

    Attributes:
        done: Number of settings that have finished the current scale.
        settings: Number of settings.
        fraction: Completed fraction of the work, in [0, 1].
        shape: Height and width of the current scale.
    """

    done: int
    settings: int
    fraction: float
    shape: tuple[int, int]


@configured
def sweep(
    content: Image | Float[Array, "n _ _ 3"] | Scene,
    style: Image | Sequence[Image] | Float[Array, "n _ _ 3"] | Styles,
    encoder: Encoder,
    *,
    loss_weights: LossWeights | None = None,
    seeds: Sequence[int] | None = None,
    objective: Objective | None = None,
    solver: Solver | None = None,
    schedule: Schedule | None = None,
    init: Init | Image = "content",
    variable: str | Parameterisation = "image",
    lanes: int | None = None,
    callback: Callable[[SweepProgress], bool | None] | None = None,
) -> Swept:
    """Paints many settings at once, coarse to fine, with one program and a lane for each picture.

    Each iteration of the program evaluates every lane once. On a CPU, where one lane uses all
    cores, lanes run one after the other, ten iterations at a time, in the memory of one lane. A
    finished lane takes the next setting, so ``lanes`` bounds the memory and nothing is compiled
    twice. Lanes are spread over all devices, the same number on each.

    Args:
        content: ``f32[h, w, 3]``, or one for each setting, ``f32[n, h, w, 3]``; or a
            :class:`~jaxstyle.Scene`.
        style: ``f32[h', w', 3]``, several to be blended, or one for each setting,
            ``f32[n, h', w', 3]``; or :class:`~jaxstyle.Styles`, with one blend or one for each
            setting, ``f32[n, styles]``. Prepared targets have a leading axis of settings, or of
            length 1.
        encoder: Network and pretrained parameters.
        loss_weights: The weights of the terms; vectors have a number for each setting.
        seeds: Seeds of the noise, one for each setting; None for 0.
        objective: As for ``stylize``.
        solver: As for ``stylize``.
        schedule: As for ``stylize``; ``average`` is ignored.
        init: As for ``stylize``, except for checkpoints.
        variable: As for ``stylize``.
        lanes: Number of settings at once, ≥ 1; None for all.
        callback: Called with the progress; returns True to stop with the current images.

    Raises:
        InputError: As for ``stylize``, or if the numbers of settings differ.

    Examples:
        >>> import jax, jaxstyle as js
        >>> content, style = jax.random.uniform(jax.random.key(0), (2, 32, 32, 3))
        >>> objective = js.Objective(content_layers=("conv2_1",), style_layers=("conv1_1",))
        >>> schedule = js.Schedule(iterations=3, scales=1)
        >>> weights = js.LossWeights(style=jax.numpy.array([1.0, 3.0, 10.0]))
        >>> encoder, options = js.load_encoder("random"), {"objective": objective}
        >>> js.sweep(content, style, encoder, loss_weights=weights, schedule=schedule, lanes=2,
        ...          **options).image.shape
        (3, 32, 32, 3)
    """
    program, schedule = make_program(objective, solver, variable), schedule or Schedule()
    weights = jax.tree.map(jnp.asarray, loss_weights or LossWeights())
    sources = make_sweep_sources(content, style)
    count = count_settings(sources, weights, seeds)
    lanes = count if lanes is None else min(lanes, count)
    if lanes < 1:
        raise InputError(f"lanes {lanes}: too few; give at least 1")
    weights = jax.tree.map(lambda w: jnp.broadcast_to(w, (count,)).astype(jnp.float32), weights)
    encoder = program.prepare(encoder)
    shape = sources.scene.image.shape[-3], sources.scene.image.shape[-2]
    scales = schedule.scales_of(shape)
    images = initial_images(sources, init, scales[0].shape if scales else shape, seeds, count)
    terms = np.zeros((count, len(program.names)), np.float32)
    totals, steps, stopped = np.zeros((2, count), np.int32), 0, False
    finite = np.ones(count, bool)
    carried, after = None, [*scales, None][1:]
    prepared = sources.styles.targets or [None] * len(scales)
    for scale, following, part in zip(scales, after, prepared, strict=True):
        targets = targets_at(sources, scale, encoder, program.objective, shape, part)
        data, sized = Data(targets, scale.weights(weights), encoder), program.at(scale.shape)
        next_shape = following and following.shape
        run = Lanes(lanes, data, sized, scale.iterations, carried=carried, following=next_shape)
        images = jax.vmap(partial(resize.resize, shape=scale.shape))(images)
        waiting, painted, carries = list(np.flatnonzero(finite)), {}, {}
        while (waiting or run.busy) and not stopped:
            run.fill(waiting, images)
            for setting, done in run.advance():
                painted[setting], carries[setting] = done.image, done.carried
                terms[setting] = done.terms
                totals[:, setting] += int(done.step), int(done.evaluations)
                finite[setting] = bool(done.finite)
            if callback:
                mean = scale.iterations * (len(painted) + run.progress) / count
                fraction = fraction_done(scales, steps + mean)
                stopped = bool(callback(SweepProgress(len(painted), count, fraction, scale.shape)))
        for setting, image in (painted | (run.unfinished() if stopped else {})).items():
            images = images.at[setting].set(image)
        steps += scale.iterations
        carried = _rows(carries, count)
        if stopped:
            break
    images = jax.vmap(partial(resize.resize, shape=shape))(images)
    return Swept(
        image=jnp.clip(images, 0, 1),
        terms=dict(zip(program.names, jnp.asarray(terms).T, strict=True)),
        iterations=totals[0],
        evaluations=totals[1],
        finite=finite,
        stopped=stopped,
    )


def _rows(carries: Mapping[int, Any], count: int) -> Any:
    """Returns one tree with a row for each setting."""
    some = next(iter(carries.values()), None)  # for settings with rows that are never read
    rows = [carries.get(setting, some) for setting in range(count)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *rows)
