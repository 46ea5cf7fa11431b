"""Reports of a run: its progress, and its result."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from jaxstyle.arrays import Image
from jaxstyle.evaluate.loss import Terms
from jaxstyle.run.checkpoint import Checkpoint
from jaxstyle.run.loop import Chunk, Program

Status = Literal["finished", "converged", "stopped", "non-finite"]


class Progress(NamedTuple):
    """The argument of a callback after every chunk of iterations.

    Attributes:
        step: Number of completed solver iterations, over all scales.
        steps: Number of planned solver iterations, over all scales.
        fraction: Completed fraction of the work, in [0, 1], measured in pixels × iterations.
        shape: Height and width of the current scale.
        terms: The weighted value of each term for the current image, by name.
        image: The current image, not clipped.
        scale: Number of the current scale, from 1.
        scales: Number of scales.
        recent: The weighted value of each term after each iteration of the chunk, ``f32[n]``.
        picture: Function that returns the result if the run stopped here, at the size of this
            scale: clipped, and in the colours of the content if they are preserved.
        checkpoint: State from which :func:`jaxstyle.stylize` can continue, as ``init``; None if the
            loss is not finite, or with several processes.
    """

    step: int
    steps: int
    fraction: float
    shape: tuple[int, int]
    terms: Terms
    image: Image
    scale: int
    scales: int
    recent: Terms
    picture: Callable[[], Image]
    checkpoint: Checkpoint | None


Callback = Callable[[Progress], bool | None]
"""Called with the progress; returns True to stop the run."""


class Result(NamedTuple):
    """The result of :func:`jaxstyle.stylize`.

    Attributes:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        terms: The weighted value of each term after every solver iteration, ``{name: f32[steps]}``.
        evaluations: Number of evaluations of loss and gradient.
        status: ``finished``; ``converged`` if no step decreased the loss any further; ``stopped``
            by the callback; or ``non-finite`` if the loss or its gradient overflowed, and ``image``
            is the last good image.
        overflowed: Names of the terms that were not finite, or ``gradient``.
    """

    image: Image
    terms: Terms
    evaluations: int
    status: Status
    overflowed: tuple[str, ...] = ()


def status_of(chunk: Chunk) -> Status:
    """Returns the status of a run that was not stopped, from its last chunk."""
    if not chunk.state.finite:
        return "non-finite"
    return "converged" if chunk.state.stalled else "finished"


def overflowed_in(chunk: Chunk, program: Program) -> tuple[str, ...]:
    """Returns the terms that were not finite in the step after the last good one."""
    if chunk.state.finite:
        return ()
    terms = np.asarray(chunk.terms)[int(chunk.step)]
    names = zip(program.names, np.isfinite(terms), strict=True)
    return tuple(name for name, finite in names if not finite) or ("gradient",)
