"""What a run reports: where it is, while it runs, and how it ended."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from jaxstyle.arrays import Image
from jaxstyle.evaluate.loss import Terms
from jaxstyle.run.checkpoint import Checkpoint
from jaxstyle.run.loop import Chunk, Program

Status = Literal["finished", "converged", "stopped", "non-finite"]


class Progress(NamedTuple):
    """What a callback gets after every chunk of iterations.

    Attributes:
        step: Solver iterations done, over all scales.
        steps: Solver iterations planned, over all scales.
        fraction: Part of the work that is done, in [0, 1]: pixels × iterations.
        shape: Height and width of the present scale.
        terms: The weighted value of each term at the present image, by name.
        image: The present image, not clipped.
        scale: Number of the present scale, from 1.
        scales: Number of scales.
        recent: The weighted value of each term after each iteration of the chunk, ``f32[n]``.
        picture: Returns the result if the run stopped here, at this scale's size: clipped, and in
            the content's colours where they are kept.
        checkpoint: What :func:`jaxstyle.stylize` continues from as ``init``; None if the loss is
            not finite, or several processes compute.
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
    """What :func:`jaxstyle.stylize` returns.

    Attributes:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        terms: The weighted value of each term after every solver iteration, ``{name: f32[steps]}``.
        evaluations: Number of evaluations of loss and gradient.
        status: ``finished``; ``converged``, when no step lowered the loss any further; ``stopped``
            by the callback; or ``non-finite``, when the loss or its gradient overflowed and
            ``image`` is the last good one.
        overflowed: What was not finite: names of terms, or ``gradient``.
    """

    image: Image
    terms: Terms
    evaluations: int
    status: Status
    overflowed: tuple[str, ...] = ()


def status_of(chunk: Chunk) -> Status:
    """Returns how a run has ended that was not stopped, from its last chunk."""
    if not chunk.state.finite:
        return "non-finite"
    return "converged" if chunk.state.stalled else "finished"


def overflowed_in(chunk: Chunk, program: Program) -> tuple[str, ...]:
    """Returns what was not finite in the step after the last good one."""
    if chunk.state.finite:
        return ()
    terms = np.asarray(chunk.terms)[int(chunk.step)]
    names = zip(program.names, np.isfinite(terms), strict=True)
    return tuple(name for name, finite in names if not finite) or ("gradient",)
