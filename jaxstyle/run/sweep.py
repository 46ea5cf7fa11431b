"""Many settings at once, coarse to fine, in one compiled program a scale."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxstyle.arrays import Image, check_image
from jaxstyle.configuration import configured
from jaxstyle.encoder import Encoder
from jaxstyle.errors import InputError
from jaxstyle.losses.loss import Extra, LossTerms
from jaxstyle.losses.objective import LossWeights, Objective
from jaxstyle.losses.targets import Targets, content_targets, style_targets
from jaxstyle.ops import resize
from jaxstyle.run.lanes import Lanes
from jaxstyle.run.loop import Data, as_partial, make_program
from jaxstyle.run.parameterisation import Parameterisation
from jaxstyle.run.schedule import Scale, Schedule, fraction_done
from jaxstyle.run.sources import scale_style
from jaxstyle.run.start import Init, initial_image
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


class _Sources(NamedTuple):
    """What the settings paint from; an axis of settings in front of what differs between them."""

    content: Any
    style: Any
    blend: Any


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
    extra: Extra | None = None,
    lanes: int | None = None,
    callback: Callable[[SweepProgress], bool | None] | None = None,
) -> Swept:
    """Paints many settings at once, coarse to fine: one compiled program, a lane for each picture.

    A turn of the program is one evaluation of every lane. Where a lane is done, the next setting
    takes its place, so that ``lanes`` bounds the memory and nothing is compiled twice. On several
    devices the lanes are spread over them.

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
    sources = _make_sources(content, style, blend)
    count = _count(sources, weights, seeds)
    lanes = count if lanes is None else min(lanes, count)
    if lanes < 1:
        raise InputError(f"lanes {lanes}: too few; give at least 1")
    weights = jax.tree.map(lambda w: jnp.broadcast_to(w, (count,)).astype(jnp.float32), weights)
    encoder, extra = program.prepare(encoder), as_partial(extra)
    shape = sources.content.shape[-3], sources.content.shape[-2]
    scales = schedule.scales_of(shape)
    images = _starts(sources, init, scales[0].shape if scales else shape, seeds, count)
    terms = np.zeros((count, len(LossTerms._fields)), np.float32)
    totals, steps, stopped = np.zeros((2, count), np.int32), 0, False
    finite = np.ones(count, bool)
    for scale in scales:
        targets = _targets(sources, scale, encoder, program.objective, shape)
        data = Data(targets, weights, encoder, extra)
        run = Lanes(lanes, data, program, scale.iterations)
        images = jax.vmap(partial(resize.resize, shape=scale.shape))(images)
        waiting, painted = list(np.flatnonzero(finite)), {}
        while (waiting or run.busy) and not stopped:
            run.fill(waiting, images)
            for setting, chunk in run.advance():
                painted[setting] = chunk.image
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


def _make_sources(content: Any, style: Any, blend: Any) -> _Sources:
    listed = isinstance(style, Sequence)
    for name, given in (
        ("content", content),
        *(("style", s) for s in (style if listed else [style])),
    ):
        batched = jnp.ndim(given) == 4 and not (listed and name == "style")
        check_image(name, given[0] if batched else given, least=resize.MIN_SIDE)
    return _Sources(
        jnp.asarray(content, jnp.float32),
        [jnp.asarray(s, jnp.float32) for s in style] if listed else jnp.asarray(style, jnp.float32),
        None if blend is None else jnp.asarray(blend, jnp.float32),
    )


def _count(sources: _Sources, weights: LossWeights, seeds: Sequence[int] | None) -> int:
    """Returns how many settings there are."""
    counts = {"loss_weights": {w.shape[0] for w in jax.tree.leaves(weights) if w.ndim}}
    counts["seeds"] = set() if seeds is None else {len(seeds)}
    counts["content"] = {len(sources.content)} if sources.content.ndim == 4 else set()
    batched = not isinstance(sources.style, list) and sources.style.ndim == 4
    counts["style"] = {len(sources.style)} if batched else set()
    shares = sources.blend
    counts["blend"] = {len(shares)} if shares is not None and shares.ndim == 2 else set()
    found = set().union(*counts.values())
    if len(found) > 1:
        told = ", ".join(f"{name} {sorted(n)}" for name, n in counts.items() if n)
        raise InputError(f"settings: their numbers disagree ({told}); give as many of each")
    return found.pop() if found else 1


def _starts(
    sources: _Sources,
    init: Init | Image,
    shape: tuple[int, int],
    seeds: Sequence[int] | None,
    count: int,
) -> Array:
    contents, styles = _each(sources.content), _each_style(sources.style)
    return jnp.stack(
        [
            initial_image(
                init,
                contents[i % len(contents)],
                styles[i % len(styles)][0],
                shape,
                0 if seeds is None else seeds[i],
            )
            for i in range(count)
        ]
    )


def _each(content: Array) -> list[Array]:
    return list(content) if content.ndim == 4 else [content]


def _each_style(style: Any) -> list[list[Array]]:
    """Returns the styles of each setting, or of all."""
    return [style] if isinstance(style, list) else [[s] for s in _each(style)]


def _targets(
    sources: _Sources,
    scale: Scale,
    encoder: Encoder,
    objective: Objective,
    shape: tuple[int, int],
) -> Targets:
    """Returns the targets, with an axis in front: of the settings, or of length 1."""
    ratio = max(scale.shape) / max(shape)
    kept = [
        content_targets(resize.resize(c, scale.shape), encoder, objective)
        for c in _each(sources.content)
    ]
    blends = [None] if sources.blend is None else list(jnp.atleast_2d(sources.blend))
    styles = _each_style(sources.style)
    wanted = [
        style_targets(
            [scale_style(s, ratio) for s in styles[i % len(styles)]],
            encoder,
            objective,
            shape=scale.shape,
            blend=blends[i % len(blends)],
        )
        for i in range(max(len(styles), len(blends)))
    ]
    return Targets(_stack(kept), _stack(wanted), {})


def _stack(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
