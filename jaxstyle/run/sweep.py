"""Many settings at once, coarse to fine, in one compiled program a scale."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxstyle.arrays import Image, Masks
from jaxstyle.configuration import configured
from jaxstyle.encoder import Encoder
from jaxstyle.errors import InputError
from jaxstyle.losses.loss import Extra, LossTerms
from jaxstyle.losses.objective import LossWeights, Objective
from jaxstyle.losses.targets import StyleTargets
from jaxstyle.ops import resize
from jaxstyle.run.lanes import Lanes
from jaxstyle.run.loop import Data, as_partial, make_program
from jaxstyle.run.parameterisation import Parameterisation
from jaxstyle.run.schedule import Schedule, fraction_done
from jaxstyle.run.start import Init
from jaxstyle.run.sweep_sources import count_settings, make_sweep_sources, starts, targets_at
from jaxstyle.solvers import Solver


class Swept(NamedTuple):
    """What :func:`sweep` returns, a row for each setting.

    Attributes:
        image: ``f32[n, h, w, 3]``, sRGB in [0, 1].
        terms: The weighted loss terms after the last iteration, each ``f32[n]``.
        iterations: Solver iterations done, ``i32[n]``.
        evaluations: Evaluations of loss and gradient, ``i32[n]``.
        finite: Whether loss and gradient stayed finite, ``bool[n]``.
        stopped: Whether the callback ended it before.
    """

    image: Float[Array, "n _ _ 3"]
    terms: LossTerms
    iterations: np.ndarray
    evaluations: np.ndarray
    finite: np.ndarray
    stopped: bool


class SweepProgress(NamedTuple):
    """What a callback hears.

    Attributes:
        done: Settings that are done at the present scale.
        settings: How many there are.
        fraction: Part of the work that is done, in [0, 1].
        shape: Height and width of the present scale.
    """

    done: int
    settings: int
    fraction: float
    shape: tuple[int, int]


@configured
def sweep(
    content: Image | Float[Array, "n _ _ 3"],
    style: Image | Sequence[Image] | Float[Array, "n _ _ 3"],
    encoder: Encoder,
    *,
    loss_weights: LossWeights | None = None,
    seeds: Sequence[int] | None = None,
    blend: Any = None,
    objective: Objective | None = None,
    solver: Solver | None = None,
    schedule: Schedule | None = None,
    init: Init | Image = "content",
    variable: str | Parameterisation = "image",
    content_masks: Masks | None = None,
    style_masks: Sequence[Masks] | None = None,
    style_targets: Sequence[StyleTargets] | None = None,
    extra: Extra | None = None,
    lanes: int | None = None,
    callback: Callable[[SweepProgress], bool | None] | None = None,
) -> Swept:
    """Paints many settings at once, coarse to fine: one compiled program, a lane for each picture.

    A turn of the program is one evaluation of every lane. On a CPU, whose cores one lane keeps
    busy, lanes take turns of ten iterations, in the memory of one. Where a lane is done, the next
    setting takes its place, so that ``lanes`` bounds the memory and nothing is compiled twice. On
    several devices the lanes are spread over them, as many on each, of which some may idle.

    Args:
        content: ``f32[h, w, 3]``, or one for each setting, ``f32[n, h, w, 3]``.
        style: ``f32[h', w', 3]``, several to be blended, or one for each setting,
            ``f32[n, h', w', 3]``.
        encoder: Network and pretrained parameters.
        loss_weights: How much each term counts; its vectors have a number for each setting.
        seeds: Seeds of the noise, one for each setting; 0 if None.
        blend: How much each of several styles counts, ``f32[styles]``, or for each setting,
            ``f32[n, styles]``.
        objective: As for ``stylize``.
        solver: As for ``stylize``.
        schedule: As for ``stylize``; averages are not kept.
        init: As for ``stylize``.
        variable: As for ``stylize``.
        content_masks: As for ``stylize``, of all settings.
        style_masks: Likewise, for each style.
        style_targets: As for ``stylize``, with an axis of settings in front, or one of length 1.
        extra: As for ``stylize``.
        lanes: How many settings at once, ≥ 1; all if None.
        callback: Hears of the progress; returns True to stop, with what there is.

    Raises:
        InputError: As for ``stylize``; or the numbers of settings disagree.

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
    sources = make_sweep_sources(content, style, blend, content_masks, style_masks)
    count = count_settings(sources, weights, seeds)
    lanes = count if lanes is None else min(lanes, count)
    if lanes < 1:
        raise InputError(f"lanes {lanes}: too few; give at least 1")
    weights = jax.tree.map(lambda w: jnp.broadcast_to(w, (count,)).astype(jnp.float32), weights)
    encoder, extra = program.prepare(encoder), as_partial(extra)
    shape = sources.content.shape[-3], sources.content.shape[-2]
    scales = schedule.scales_of(shape)
    images = starts(sources, init, scales[0].shape if scales else shape, seeds, count)
    terms = np.zeros((count, len(LossTerms._fields)), np.float32)
    totals, steps, stopped = np.zeros((2, count), np.int32), 0, False
    finite = np.ones(count, bool)
    carried, after = None, [*scales, None][1:]
    known = style_targets or [None] * len(scales)
    for scale, following, made in zip(scales, after, known, strict=True):
        targets = targets_at(sources, scale, encoder, program.objective, shape, made)
        data = Data(targets, weights, encoder, extra)
        shape_after = following and following.shape
        run = Lanes(lanes, data, program, scale.iterations, carried=carried, following=shape_after)
        images = jax.vmap(partial(resize.resize, shape=scale.shape))(images)
        waiting, painted, kept = list(np.flatnonzero(finite)), {}, {}
        while (waiting or run.busy) and not stopped:
            run.fill(waiting, images)
            for setting, chunk in run.advance():
                painted[setting], kept[setting] = chunk.image, chunk.carried
                terms[setting] = chunk.terms
                totals[:, setting] += int(chunk.step), int(chunk.evaluations)
                finite[setting] = bool(chunk.finite)
            if callback:
                mean = scale.iterations * (len(painted) + run.progress) / count
                fraction = fraction_done(scales, steps + mean)
                stopped = bool(callback(SweepProgress(len(painted), count, fraction, scale.shape)))
        for setting, image in (painted | (run.unfinished() if stopped else {})).items():
            images = images.at[setting].set(image)
        steps += scale.iterations
        carried = _rows(kept, count)
        if stopped:
            break
    images = jax.vmap(partial(resize.resize, shape=shape))(images)
    return Swept(
        image=jnp.clip(images, 0, 1),
        terms=LossTerms(*jnp.asarray(terms).T),
        iterations=totals[0],
        evaluations=totals[1],
        finite=finite,
        stopped=stopped,
    )


def _rows(kept: Mapping[int, Any], count: int) -> Any:
    """Returns what there is of some settings as one tree with a row for each of all."""
    some = next(iter(kept.values()), None)  # for those whose row nobody reads
    rows = [kept.get(setting, some) for setting in range(count)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *rows)
