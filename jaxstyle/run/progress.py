"""What a run tells: where it is, while it runs, and how it ended."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from jaxstyle.arrays import Image
from jaxstyle.losses.loss import LossTerms
from jaxstyle.run.checkpoint import Checkpoint
from jaxstyle.run.loop import Chunk

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
        scale: Number of the present scale, from 1.
        scales: How many there are.
        recent: The weighted loss terms after each iteration of the chunk, each ``f32[n]``.
        picture: Returns what would be handed out if the run stopped here, but of this scale's size:
            clipped, and in the content's colours where they are kept.
        checkpoint: What ``stylize(resume=…)`` goes on from; None if the loss has overflowed, or
            several processes share the image.
    """

    step: int
    steps: int
    fraction: float
    shape: tuple[int, int]
    terms: LossTerms
    image: Image
    scale: int
    scales: int
    recent: LossTerms
    picture: Callable[[], Image]
    checkpoint: Checkpoint | None


Callback = Callable[[Progress], bool | None]
"""Hears of the progress; returns True to stop the run."""


class Result(NamedTuple):
    """What :func:`jaxstyle.stylize` returns.

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


def status_of(chunk: Chunk) -> Status:
    """Returns how a run has ended whose last chunk this is, unless it was stopped."""
    if not chunk.state.finite:
        return "non-finite"
    return "converged" if chunk.state.stuck else "finished"


def overflowed_in(chunk: Chunk) -> tuple[str, ...]:
    """Returns what was not finite in the step behind the last good one."""
    if chunk.state.finite:
        return ()
    terms = np.asarray(chunk.terms)[int(chunk.step)]
    names = zip(LossTerms._fields, np.isfinite(terms), strict=True)
    return tuple(name for name, finite in names if not finite) or ("gradient",)
