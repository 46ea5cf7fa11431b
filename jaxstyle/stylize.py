"""The verb: paint a content image in the manner of a style image.

The loop runs compiled, several iterations per round trip to the host; between two round trips the
caller hears of the progress and may stop. Scales run from coarse to fine: large structures settle
where an iteration is cheap, and the image is then enlarged as the next scale's start.

Everything that changes from run to run, pictures, loss weights, parameters, is an argument of the
compiled functions; they recompile for another size, network, objective or solver only.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxstyle import resize, vgg
from jaxstyle.arrays import Image
from jaxstyle.colour import match_colour
from jaxstyle.errors import InputError
from jaxstyle.objective import LossTerms, LossWeights, Objective, Targets, loss_terms, make_targets
from jaxstyle.solvers import Solver, SolverState, lbfgs
from jaxstyle.vgg import Encoder

_Sizes: TypeAlias = list[tuple[tuple[int, int], int]]
Init = Literal["content", "matched", "style", "noise"]
Status = Literal["finished", "converged", "stopped", "non-finite"]

_CHUNK, _CHUNK_LIMIT, _CHUNK_SECONDS = 4, 64, 1.0


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Sizes and iterations, from coarse to fine.

    Attributes:
        iterations: Solver iterations at the finest scale, ≥ 0.
        scales: How many scales, ≥ 1; each has half the side of the next.
        coarse_iterations: Solver iterations at each coarser scale, ≥ 0.
    """

    iterations: int = 100
    scales: int = 3
    coarse_iterations: int = 100

    def __post_init__(self) -> None:
        least = {"iterations": 0, "scales": 1, "coarse_iterations": 0}
        for name, minimum in least.items():
            if getattr(self, name) < minimum:
                raise InputError(f"{name} {getattr(self, name)}: too small; at least {minimum}")

    def sizes(self, shape: tuple[int, int]) -> _Sizes:
        """Returns height, width and iterations of every scale, leaving out those too small.

        Examples:
            >>> Schedule(iterations=50, scales=2, coarse_iterations=200).sizes((300, 400))
            [((150, 200), 200), ((300, 400), 50)]
        """
        scales = min(self.scales, min(shape).bit_length())
        coarse = [resize.fit(shape, max(shape) >> i) for i in range(scales - 1, 0, -1)]
        planned = [(s, self.coarse_iterations) for s in coarse if min(s) >= resize.MIN_SIDE]
        return [(s, n) for s, n in [*planned, (shape, self.iterations)] if n]


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


def _objective(
    objective: Objective,
    image: Image,
    targets: Targets,
    loss_weights: LossWeights,
    encoder: Encoder,
) -> tuple[Array, LossTerms]:
    terms = loss_terms(image, targets, loss_weights, encoder, objective)
    return terms.loss, terms


_make_targets = jax.jit(make_targets)
_prepare = jax.jit(vgg.prepare)


@partial(jax.jit, static_argnames=("objective", "solver"))
def _start(image: Image, data: Any, objective: Objective, solver: Solver) -> SolverState:
    return solver.init(partial(_objective, objective), image, *data)


def _check_picture(name: str, picture: Image) -> None:
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != jnp.float32:
        kind = f"{picture.dtype}{list(picture.shape)}"
        raise InputError(f"{name}: {kind} is no image; give float32[h, w, 3] in [0, 1]")
    if min(picture.shape[:2]) < resize.MIN_SIDE:
        least = resize.MIN_SIDE
        raise InputError(f"{name}: a side under {least} px; give a larger picture")


def _status(state: SolverState) -> Status:
    return (
        "finished"
        if state.finite and not state.stuck
        else ("converged" if state.finite else "non-finite")
    )


class _Chunk(NamedTuple):
    step: Array
    state: SolverState
    good: Image
    terms: Float[Array, "chunk 3"]


@partial(jax.jit, static_argnames=("objective", "solver"), donate_argnames=("state",))
def _advance(
    state: SolverState, steps: Array, data: Any, objective: Objective, solver: Solver
) -> _Chunk:
    """Runs up to ``steps`` iterations; stops behind one that is not finite or leads nowhere."""

    def unfinished(chunk: _Chunk) -> Bool[Array, ""]:
        return (chunk.step < steps) & chunk.state.finite & ~chunk.state.stuck

    def iterate(chunk: _Chunk) -> _Chunk:
        state = solver.update(partial(_objective, objective), chunk.state, *data)
        good = jnp.where(state.finite, state.image, chunk.good)
        terms = chunk.terms.at[chunk.step].set(jnp.stack(state.aux))
        return _Chunk(chunk.step + state.finite, state, good, terms)

    empty = jnp.zeros((_CHUNK_LIMIT, len(LossTerms._fields)), jnp.float32)
    return jax.lax.while_loop(unfinished, iterate, _Chunk(jnp.int32(0), state, state.image, empty))


def _chunks(
    image: Image, iterations: int, data: Any, objective: Objective, solver: Solver
) -> Iterator[_Chunk]:
    """Yields chunks of iterations, long enough to hide the round trip and short enough to watch."""
    state = _start(image, data, objective, solver)
    if not state.finite:
        yield _Chunk(jnp.int32(0), state, image, jnp.zeros((0, len(LossTerms._fields))))
    size, done = _CHUNK, 0
    while done < iterations and state.finite and not state.stuck:
        started = time.monotonic()
        chunk = _advance(state, jnp.int32(min(size, iterations - done)), data, objective, solver)
        state, done = chunk.state, done + int(chunk.step)
        if time.monotonic() - started < _CHUNK_SECONDS:
            size = min(2 * size, _CHUNK_LIMIT)
        yield chunk


def initial_image(
    init: Init | Image, content: Image, style: Image, shape: tuple[int, int], seed: int
) -> Image:
    """Returns the image to start from.

    Args:
        init: ``content`` or ``style`` for that picture, ``matched`` for the content in the colours
            of the style, ``noise`` for uniform noise, or an image.
        content: ``f32[h, w, 3]``.
        style: ``f32[h', w', 3]``.
        shape: Height and width wanted.
        seed: Of the noise.

    Examples:
        >>> import jax.numpy as jnp
        >>> grey = jnp.full((16, 16, 3), 0.5)
        >>> initial_image("noise", grey, grey, (20, 30), seed=0).shape
        (20, 30, 3)
    """
    if not isinstance(init, str):
        return resize.resize(init, shape)
    if init not in get_args(Init):
        raise InputError(f"init {init!r}: unknown; choose {', '.join(get_args(Init))}, or an image")
    if init == "noise":
        return jax.random.uniform(jax.random.key(seed), (*shape, 3), jnp.float32)
    if init == "matched":
        return jnp.clip(match_colour(resize.resize(content, shape), style), 0.0, 1.0)
    return resize.resize({"content": content, "style": style}[init], shape)


def _scaled(image: Image, factor: float) -> Image:
    """Resizes a style along with its scale, but never below what the encoder can take."""
    shape = resize.shape_of(image)
    smallest = resize.MIN_SIDE * max(shape) / min(shape)
    return resize.scale_to(image, round(max(max(shape) * factor, smallest)))


def _progress(sizes: _Sizes, step: int, chunk: _Chunk) -> Progress:
    """Counts the work of an iteration by its pixels, so that a time left can be told from it."""
    left, done, total = step, 0, 0
    for (h, w), iterations in sizes:
        done += h * w * min(left, iterations)
        total += h * w * iterations
        left = max(0, left - iterations)
    shape = resize.shape_of(chunk.good)
    steps = sum(iterations for _, iterations in sizes)
    # The state's own copy of the terms goes into the next chunk and is gone by then.
    terms = LossTerms(*chunk.terms[int(chunk.step) - 1])
    return Progress(step, steps, done / total, shape, terms, chunk.good)


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
    loss_weights = jax.tree.map(jnp.float32, loss_weights or LossWeights())
    shape = resize.shape_of(content)
    sizes = (schedule or Schedule()).sizes(shape)
    layers = (*objective.content_layers, *objective.style_layers)
    encoder = _prepare(vgg.truncate(encoder, layers))

    image = initial_image(init, content, style, sizes[0][0] if sizes else shape, seed)
    terms, evaluations, status = [], 0, "finished"
    for scale, iterations in sizes:
        image = resize.resize(image, scale)
        scaled_style = _scaled(style, max(scale) / max(shape))
        targets = _make_targets(resize.resize(content, scale), scaled_style, encoder, objective)
        state = None
        for chunk in _chunks(
            image, iterations, (targets, loss_weights, encoder), objective, solver
        ):
            state, image = chunk.state, chunk.good
            terms.append(np.asarray(chunk.terms[: int(chunk.step)]))
            status = _status(state)
            steps = sum(map(len, terms))
            if state.finite and callback and callback(_progress(sizes, steps, chunk)):
                status = "stopped"
                break
        evaluations += int(state.evaluations) if state else 0
        if status in ("stopped", "non-finite"):
            break
    trace = LossTerms(*np.concatenate([np.zeros((0, 3), np.float32), *terms]).T)
    return Result(jnp.clip(resize.resize(image, shape), 0.0, 1.0), trace, evaluations, status)
