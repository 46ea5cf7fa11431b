"""The verb: paint a content image in the manner of a style image.

Scales run from coarse to fine: large structures settle where an iteration is cheap, and the image
is then enlarged as the next scale's start. Between chunks of compiled iterations the caller hears
of the progress and may stop.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxstyle import resize
from jaxstyle.arrays import Image, Masks
from jaxstyle.colour import Colour, recolour, restore
from jaxstyle.errors import InputError
from jaxstyle.loop import Chunk, Data, Program, chunks, compile_ahead
from jaxstyle.objective import LossWeights, Objective
from jaxstyle.parameterisation import Variable
from jaxstyle.schedule import Init, Scale, Schedule, fraction_done, initial_image
from jaxstyle.solvers import Solver, SolverState, lbfgs
from jaxstyle.sources import make_sources
from jaxstyle.targets import make_targets
from jaxstyle.terms import LossTerms
from jaxstyle.vgg import Encoder

Status = Literal["finished", "converged", "stopped", "non-finite"]


class Progress(NamedTuple):
    """What a callback hears after every chunk.

    Attributes:
        step: Solver iterations done, over all scales.
        steps: Solver iterations planned, over all scales.
        fraction: Part of the work that is done, in [0, 1]: pixels × iterations.
        shape: Height and width of the present scale.
        terms: The weighted loss terms at the present image.
        image: The present image, not clipped.
    """

    step: int
    steps: int
    fraction: float
    shape: tuple[int, int]
    terms: LossTerms
    image: Image


Callback = Callable[[Progress], bool | None]
"""Hears of the progress; returns True to stop the run."""


class Result(NamedTuple):
    """What :func:`stylize` returns.

    Attributes:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        terms: The weighted loss terms after every solver iteration, each ``f32[steps]``.
        evaluations: Evaluations of loss and gradient.
        status: ``finished``; ``converged`` before, when no step lowered the loss any further;
            ``stopped`` by the callback; or ``non-finite``, when the loss or its gradient overflowed
            and ``image`` is the last good one.
        overflowed: Where that happened: the names of terms, or ``gradient``; else nothing.
    """

    image: Image
    terms: LossTerms
    evaluations: int
    status: Status
    overflowed: tuple[str, ...] = ()


def check_combination(objective: Objective, solver: Solver, variable: Variable) -> None:
    """Refuses what excludes each other.

    Raises:
        InputError: A line search without a loss's own gradient, or a projection of a variable.
    """
    if objective.normalise_gradients and solver.line_search:
        raise InputError(
            "normalise_gradients: no loss has such a gradient, and this solver compares losses; "
            "choose adam or gradient-descent"
        )
    if solver.clamp and variable != "image":
        raise InputError(f"clamp: a projection needs the variable image, not {variable}")


def _status(state: SolverState) -> Status:
    if not state.finite:
        return "non-finite"
    return "converged" if state.stuck else "finished"


def _overflowed(chunk: Chunk) -> tuple[str, ...]:
    """Returns what was not finite in the step behind the last good one."""
    if chunk.state.finite:
        return ()
    terms = np.asarray(chunk.terms)[int(chunk.step)]
    names = zip(LossTerms._fields, np.isfinite(terms), strict=True)
    return tuple(name for name, finite in names if not finite) or ("gradient",)


def _progress(scales: list[Scale], step: int, chunk: Chunk) -> Progress:
    image, steps = chunk.image, sum(scale.iterations for scale in scales)
    # The state's own copy of the terms goes into the next chunk and is gone by then.
    terms = LossTerms(*np.asarray(chunk.terms)[int(chunk.step) - 1])
    fraction, shape = fraction_done(scales, step), resize.shape_of(image)
    return Progress(step, steps, fraction, shape, terms, image)


def stylize(
    encoder: Encoder,
    content: Image,
    style: Image | Sequence[Image],
    *,
    objective: Objective | None = None,
    loss_weights: LossWeights | None = None,
    solver: Solver | None = None,
    schedule: Schedule | None = None,
    init: Init | Image = "content",
    variable: Variable = "image",
    colour: Colour = "style",
    blend: Sequence[float] | None = None,
    content_masks: Masks | None = None,
    style_masks: Sequence[Masks] | None = None,
    seed: int = 0,
    callback: Callback | None = None,
) -> Result:
    """Paints a content image in the manner of a style image.

    Minimises ``loss(image)`` over the image (Gatys, Ecker & Bethge 2016, "Image Style Transfer
    Using Convolutional Neural Networks"), coarse to fine (Gatys et al. 2017, arXiv:1611.07865).

    Args:
        encoder: Network and pretrained parameters.
        content: ``f32[h, w, 3]``, sRGB in [0, 1], of the size that the result shall have.
        style: ``f32[h', w', 3]``, sRGB in [0, 1]; its size sets the size of the strokes. Or
            several.
        objective: Which layers, statistic and so on; ``Objective()`` if None.
        loss_weights: How much each term counts; ``LossWeights()`` if None.
        solver: ``lbfgs()`` if None.
        schedule: Sizes and iterations; ``Schedule()`` if None.
        init: ``content``, ``matched`` (the content in the style's colours), ``style``, ``noise`` or
            ``grey``, or the image to start from.
        variable: What the solver moves: the ``image``, the ``encoder``'s input, a ``sigmoid``'s
            argument, which keeps the image in [0, 1], or its frequencies, weighted as in
            photographs (``fourier``).
        colour: ``style``, or how the content's colours are kept; see :mod:`jaxstyle.colour`.
        blend: How much each of several styles counts; all alike if None.
        content_masks: One per region, ``f32[r, h, w]`` in [0, 1], adding up to 1 everywhere.
        style_masks: For each style as many, ``f32[r, h', w']``: whose style a region takes over.
        seed: Of the noise.
        callback: Hears of the progress after every chunk of iterations; returns True to stop.

    Returns:
        The image, the loss terms per iteration, the number of evaluations, and how it ended.

    Raises:
        InputError: A layer is none of the encoder's, a picture is under 16 px, numbers of styles,
            shares and masks disagree, or options exclude each other.

    Examples:
        >>> import jax, jaxstyle as js
        >>> content, style = jax.random.uniform(jax.random.key(0), (2, 32, 32, 3))
        >>> objective = js.Objective(content_layers=("conv2_1",), style_layers=("conv1_1",))
        >>> schedule = js.Schedule(iterations=5, scales=1)
        >>> encoder = js.load_encoder("random")
        >>> result = js.stylize(encoder, content, style, objective=objective, schedule=schedule)
        >>> result.image.shape, result.status
        ((32, 32, 3), 'finished')
    """
    styles = list(style) if isinstance(style, Sequence) else [style]
    sources = make_sources(content, styles, blend, content_masks, style_masks)
    objective, solver = objective or Objective(), solver or lbfgs()
    check_combination(objective, solver, variable)
    seen, styles = recolour(colour, sources.content, sources.styles)
    sources = sources._replace(content=seen, styles=list(styles))
    # One type whatever is handed in, or another way of writing a number would recompile.
    weights: LossWeights = jax.tree.map(jnp.float32, loss_weights or LossWeights())
    schedule, shape = schedule or Schedule(), resize.shape_of(content)
    scales = schedule.scales_of(shape)
    program = Program(objective, solver, variable)
    encoder = objective.prepare(encoder)

    def prepare(scale: Scale) -> Data:
        scaled = sources.at(scale.shape)
        targets = make_targets(
            scaled.content,
            scaled.styles,
            encoder,
            objective,
            blend=scaled.blend,
            content_masks=scaled.content_masks,
            style_masks=scaled.style_masks,
        )
        data = (targets, weights, encoder)
        compile_ahead(scaled.content, data, program)
        return data

    first = scales[0].shape if scales else shape
    image = initial_image(init, sources.content, sources.styles[0], first, seed)
    image = jnp.array(image, jnp.float32)
    terms, evaluations, status, chunk = [np.zeros((0, 3), np.float32)], 0, "finished", None
    for scale, data in _ahead(prepare, scales):
        image, spent = resize.resize(image, scale.shape), 0
        carried = None if chunk is None else solver.carry(chunk.state, scale.shape)
        for chunk in chunks(
            image, scale.iterations, data, program, decay=schedule.average, carried=carried
        ):
            image, spent = chunk.image, int(chunk.state.evaluations)
            status = _status(chunk.state)
            terms.append(np.asarray(chunk.terms)[: int(chunk.step)])
            step = sum(map(len, terms))
            if status != "non-finite" and callback and callback(_progress(scales, step, chunk)):
                status = "stopped"
                break
        evaluations += spent
        if status in ("stopped", "non-finite"):
            break
    image = restore(colour, jnp.clip(resize.resize(image, shape), 0.0, 1.0), content)
    overflowed = () if chunk is None else _overflowed(chunk)
    return Result(image, LossTerms(*np.concatenate(terms).T), evaluations, status, overflowed)


def _ahead(prepare: Callable[[Scale], Data], scales: list[Scale]) -> Iterator[tuple[Scale, Data]]:
    """Yields the scales, prepared and compiled by a thread while those before them run."""
    pool = ThreadPoolExecutor(max_workers=1)
    try:
        prepared = [pool.submit(prepare, scale) for scale in scales]
        for scale, data in zip(scales, prepared, strict=True):
            yield scale, data.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
