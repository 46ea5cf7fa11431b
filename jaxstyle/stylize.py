"""The verb: paint a content image in the manner of a style image.

Scales run from coarse to fine: large structures settle where an iteration is cheap, and the image
is then enlarged as the next scale's start. Between chunks of compiled iterations the caller hears
of the progress and may stop.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxstyle import resize, vgg
from jaxstyle.arrays import Image
from jaxstyle.errors import InputError
from jaxstyle.loop import Chunk, chunks
from jaxstyle.objective import LossTerms, LossWeights, Objective, make_targets
from jaxstyle.schedule import Init, Scale, Schedule, fraction_done, initial_image, scale_style
from jaxstyle.solvers import Solver, SolverState, lbfgs
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
    """

    image: Image
    terms: LossTerms
    evaluations: int
    status: Status


_make_targets = jax.jit(make_targets)
_prepare = jax.jit(vgg.prepare)


def _check_picture(name: str, picture: Image) -> None:
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != jnp.float32:
        kind = f"{picture.dtype}{list(picture.shape)}"
        raise InputError(f"{name}: {kind} is no image; give float32[h, w, 3] in [0, 1]")
    if min(picture.shape[:2]) < resize.MIN_SIDE:
        least = resize.MIN_SIDE
        raise InputError(f"{name}: a side under {least} px; give a larger picture")


def _status(state: SolverState) -> Status:
    if not state.finite:
        return "non-finite"
    return "converged" if state.stuck else "finished"


def _progress(scales: list[Scale], step: int, chunk: Chunk) -> Progress:
    shape, steps = resize.shape_of(chunk.good), sum(scale.iterations for scale in scales)
    # The state's own copy of the terms goes into the next chunk and is gone by then.
    terms = LossTerms(*chunk.terms[int(chunk.step) - 1])
    return Progress(step, steps, fraction_done(scales, step), shape, terms, chunk.good)


def stylize(
    encoder: Encoder,
    content: Image,
    style: Image,
    *,
    objective: Objective | None = None,
    loss_weights: LossWeights | None = None,
    solver: Solver | None = None,
    schedule: Schedule | None = None,
    init: Init | Image = "content",
    seed: int = 0,
    callback: Callback | None = None,
) -> Result:
    """Paints a content image in the manner of a style image.

    Minimises ``loss(image)`` over the image (Gatys, Ecker & Bethge 2016, "Image Style Transfer
    Using Convolutional Neural Networks"), coarse to fine (Gatys et al. 2017, arXiv:1611.07865).

    Args:
        encoder: Network and pretrained parameters.
        content: ``f32[h, w, 3]``, sRGB in [0, 1], of the size that the result shall have.
        style: ``f32[h', w', 3]``, sRGB in [0, 1]; its size sets the size of the strokes.
        objective: Which layers; ``Objective()`` if None.
        loss_weights: How much each term counts; ``LossWeights()`` if None.
        solver: ``lbfgs()`` if None.
        schedule: Sizes and iterations; ``Schedule()`` if None.
        init: ``content``, ``matched`` (the content in the style's colours), ``style`` or ``noise``,
            or the image to start from.
        seed: Of the noise.
        callback: Hears of the progress after every chunk of iterations; returns True to stop.

    Returns:
        The image, the loss terms per iteration, the number of evaluations, and how it ended.

    Raises:
        InputError: A layer is none of the encoder's, or a picture is under 16 px.

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
    _check_picture("content", content)
    _check_picture("style", style)
    objective, solver = objective or Objective(), solver or lbfgs()
    # One type whatever is handed in, or another way of writing a number would recompile.
    weights: LossWeights = jax.tree.map(jnp.float32, loss_weights or LossWeights())
    shape = resize.shape_of(content)
    scales = (schedule or Schedule()).scales_of(shape)
    layers = (*objective.content_layers, *objective.style_layers)
    encoder = _prepare(vgg.truncate(encoder, layers))

    image = initial_image(init, content, style, scales[0].shape if scales else shape, seed)
    terms, evaluations, status = [np.zeros((0, 3), np.float32)], 0, "finished"
    for scale in scales:
        image = resize.resize(image, scale.shape)
        scaled_style = scale_style(style, max(scale.shape) / max(shape))
        scaled_content = resize.resize(content, scale.shape)
        targets = _make_targets(scaled_content, scaled_style, encoder, objective)
        data, spent = (targets, weights, encoder), 0
        for chunk in chunks(image, scale.iterations, data, objective, solver):
            image, spent, status = chunk.good, int(chunk.state.evaluations), _status(chunk.state)
            terms.append(np.asarray(chunk.terms[: int(chunk.step)]))
            step = sum(map(len, terms))
            if status != "non-finite" and callback and callback(_progress(scales, step, chunk)):
                status = "stopped"
                break
        evaluations += spent
        if status in ("stopped", "non-finite"):
            break
    image = jnp.clip(resize.resize(image, shape), 0.0, 1.0)
    return Result(image, LossTerms(*np.concatenate(terms).T), evaluations, status)
