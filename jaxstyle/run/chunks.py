"""The loop as compiled programs, run in chunks between which a host may look.

Everything that changes from run to run, pictures, loss weights, parameters, is an argument; another
size, network, objective or solver is another program.
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
from jaxstyle.losses.tiles import Scratch
from jaxstyle.run.loop import Average, Chunk, Data, Program, begin, iterate
from jaxstyle.run.schedule import Scale
from jaxstyle.run.shares import targets_of
from jaxstyle.run.sources import Sources
from jaxstyle.solvers import SolverState

_CHUNK, _CHUNK_LIMIT, _CHUNK_SECONDS = 4, 64, 1.0


@jit(static_argnames=("program",))
def start(
    image: Image, carried: Any, decay: Scalar, encoder: Encoder, program: Program
) -> tuple[SolverState, Average]:
    """Is :func:`begin` as a program."""
    return begin(image, carried, decay, encoder, program)


@jit(static_argnames=("program",), donate_argnames=("state", "average"))
def advance(
    state: SolverState, average: Average, steps: Array, decay: Scalar, data: Data, program: Program
) -> Chunk:
    """Is :func:`iterate` as a program."""
    return iterate(state, average, steps, decay, data, program, rows=_CHUNK_LIMIT)


class Compiled(NamedTuple):
    """The programs of one size.

    Attributes:
        start: :func:`start` without its static arguments.
        advance: :func:`advance` likewise.
        state: The solver's, as shapes.
        average: The moving average, likewise.
        program: What has been compiled.
    """

    start: Callable[..., tuple[SolverState, Average]]
    advance: Callable[..., Chunk]
    state: Any
    average: Any
    program: Program


def compile_programs(image: Any, carried: Any, data: Data, program: Program) -> Compiled:
    """Compiles what :func:`chunks` calls; what it is given may be shapes instead of arrays."""
    decay: Any = jax.ShapeDtypeStruct((), jnp.float32)
    image, carried = program.shapes((image, carried), image)
    lowered = start.lower(image, carried, decay, data.encoder, program)
    state, average = program.shapes(lowered.out_info, image)
    steps: Any = jax.ShapeDtypeStruct((), jnp.int32)
    advancing = advance.lower(state, average, steps, decay, data, program)
    return Compiled(lowered.compile(), advancing.compile(), state, average, program)


def compile_scales(
    sources: Sources,
    scales: list[Scale],
    data: Data,
    program: Program,
    enlarged: bool,
    scratch: Scratch | None = None,
) -> Iterator[tuple[Scale, Any, Compiled]]:
    """Yields the scales with their targets and their programs.

    Args:
        sources: The pictures.
        scales: What is to be done.
        data: All but the targets.
        program: What is computed.
        enlarged: Whether a coarser scale than these is done already.
        scratch: Makes arrays for what tiles read in parts; in memory if None.
    """
    state = None
    made_before = (sources.made or [None] * len(scales))[-len(scales) :]
    for scale, made in zip(scales, made_before, strict=True):
        scaled, shared = sources.at(scale.shape), program.at(scale.shape)
        targets = targets_of(scaled, data.encoder, shared, made, scratch)
        if enlarged and state is None:  # Its types are those of any other scale.
            state = jax.eval_shape(partial(_state, program), scaled.content, data.encoder)
        carried = state and jax.eval_shape(partial(program.solver.carry, shape=scale.shape), state)
        compiled = compile_programs(scaled.content, carried, data._replace(targets=targets), shared)
        state = compiled.state
        yield scale, targets, compiled


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
    """Yields chunks of iterations, long enough to hide the round trip and short enough to watch.

    Args:
        image: What to start from.
        iterations: How many at most.
        data: What the loss is computed from.
        compiled: The programs, compiled for this size.
        decay: Decay of the moving average of the variables, in [0, 1); 0 for the last of them.
        carried: What the solver remembers of a coarser scale.
        before: Iterations that were done at coarser scales.
        every: Numbers of iterations; a chunk ends at each multiple of any of them.
        resumed: What to go on from instead: its ``step`` counts all iterations of this size.
    """
    factor = compiled.program.replicate(jnp.float32(decay))
    if resumed is None:
        done, (state, average) = 0, compiled.start(image, carried, factor, data.encoder)
    else:
        done, state, average = int(resumed.step), resumed.state, resumed.average
    size = _CHUNK
    while done < iterations and state.finite and not state.stuck:
        started = time.monotonic()
        number = min(size, iterations - done, *(n - (before + done) % n for n in every))
        steps = compiled.program.replicate(jnp.int32(number))
        chunk = compiled.advance(state, average, steps, factor, data)
        state, average, done = chunk.state, chunk.average, done + int(chunk.step)
        if not compiled.program.agree(time.monotonic() - started >= _CHUNK_SECONDS):
            size = min(2 * size, _CHUNK_LIMIT)
        yield chunk
