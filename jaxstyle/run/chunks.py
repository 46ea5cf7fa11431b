"""The loop as compiled programs, run in chunks between which the host can act.

Pictures, loss weights and parameters, which change from run to run, are arguments. Another size,
network, objective or solver needs another program.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxstyle.arrays import Image, Scalar
from jaxstyle.compilation import jit
from jaxstyle.encoder import Encoder
from jaxstyle.evaluate.targets import Targets
from jaxstyle.run.loop import Average, Chunk, Data, Program, Renewal, begin, iterate, no_renewal
from jaxstyle.run.schedule import Scale
from jaxstyle.run.sources import Sources
from jaxstyle.solvers import SolverState

_CHUNK, _CHUNK_LIMIT, _CHUNK_SECONDS = 4, 64, 1.0


@jit(static_argnames=("program",))
def start(
    image: Image, carried: Any, decay: Scalar, encoder: Encoder, program: Program
) -> tuple[SolverState, Average]:
    """Runs :func:`begin` as a program."""
    return begin(image, carried, decay, encoder, program)


@jit(static_argnames=("program",), donate_argnames=("state", "average"))
def advance(
    state: SolverState,
    average: Average,
    renewal: Renewal,
    steps: Array,
    decay: Scalar,
    data: Data,
    program: Program,
) -> Chunk:
    """Runs :func:`iterate` as a program."""
    return iterate(state, average, renewal, steps, decay, data, program, rows=_CHUNK_LIMIT)


class Compiled(NamedTuple):
    """The programs of one size.

    Attributes:
        start: :func:`start` without its static arguments.
        advance: :func:`advance` without its static arguments.
        state: Shapes of the solver's state.
        average: Shapes of the moving average.
        program: The static settings of the programs.
    """

    start: Callable[..., tuple[SolverState, Average]]
    advance: Callable[..., Chunk]
    state: Any
    average: Any
    program: Program


def compile_programs(image: Any, carried: Any, data: Data, program: Program) -> Compiled:
    """Compiles the programs that :func:`chunks` calls; the arguments may be shapes."""
    decay: Any = jax.ShapeDtypeStruct((), jnp.float32)
    layout, width = program.layout, image.shape[1]
    image, carried = layout.shapes((image, carried), width)
    lowered = start.lower(image, carried, decay, data.encoder, program)
    state, average = layout.shapes(lowered.out_info, width)
    steps: Any = jax.ShapeDtypeStruct((), jnp.int32)
    renewal = jax.eval_shape(partial(no_renewal, program=program), data.targets)
    renewal = layout.shapes(renewal, None)
    advancing = advance.lower(state, average, renewal, steps, decay, data, program)
    return Compiled(lowered.compile(), advancing.compile(), state, average, program)


def compile_scales(
    sources: Sources, scales: list[Scale], data: Data, program: Program, enlarged: bool
) -> Iterator[tuple[Targets, Compiled]]:
    """Yields the targets and the programs of each scale.

    Args:
        sources: The pictures.
        scales: The remaining scales.
        data: The data of the loss without targets.
        program: The static settings of the programs.
        enlarged: Whether a coarser scale precedes these.
    """
    state, parts = None, sources.parts(len(scales))
    for scale, part in zip(scales, parts, strict=True):
        scaled, sized = sources.at(scale.shape), program.at(scale.shape)
        targets = scaled.targets(data.encoder, program.objective, program.plan, part)
        image = scaled.scene.image
        if enlarged and state is None:  # The types are the same at every scale.
            state = jax.eval_shape(partial(_state, sized), image, data.encoder)
        carried = state and jax.eval_shape(partial(program.solver.carry, shape=scale.shape), state)
        compiled = compile_programs(image, carried, data._replace(targets=targets), sized)
        state = compiled.state
        yield targets, compiled


def _state(program: Program, image: Image, encoder: Encoder) -> SolverState:
    return begin(image, None, jnp.float32(0), encoder, program)[0]


def chunks(
    image: Image,
    iterations: int,
    data: Data,
    compiled: Compiled,
    *,
    decay: float = 0.0,
    carried: Any = None,
    before: int = 0,
    every: Sequence[int] = (),
    resumed: Chunk | None = None,
) -> Iterator[Chunk]:
    """Yields chunks of iterations, long enough to hide the overhead and short enough to watch.

    Args:
        image: The initial image.
        iterations: Maximum number of iterations.
        data: The data of the loss.
        compiled: The programs, compiled for this size.
        decay: Decay of the moving average of the variables, in [0, 1); 0 for the last variable.
        carried: Data that the solver carries over from a coarser scale.
        before: Number of iterations at coarser scales.
        every: Numbers of iterations; a chunk ends at each multiple of any of them.
        resumed: A chunk to continue from instead; its ``step`` counts all iterations of this size.
    """
    program = compiled.program
    replicate = program.plan.replicate
    factor = replicate(jnp.float32(decay))
    if resumed is None:
        done, (state, average) = 0, compiled.start(image, carried, factor, data.encoder)
        renewal = replicate(no_renewal(data.targets, program))
    else:
        done, renewal = int(resumed.step), resumed.renewal
        state, average = resumed.state, resumed.average
    size = _CHUNK
    while done < iterations and state.finite and not state.stalled:
        started = time.monotonic()
        number = min(size, iterations - done, *(n - (before + done) % n for n in every))
        steps = replicate(jnp.int32(number))
        chunk = compiled.advance(state, average, renewal, steps, factor, data)
        state, average, renewal = chunk.state, chunk.average, chunk.renewal
        done += int(chunk.step)
        if not program.plan.agree(time.monotonic() - started >= _CHUNK_SECONDS):
            size = min(2 * size, _CHUNK_LIMIT)
        yield chunk
