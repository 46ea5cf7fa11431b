"""The loop as compiled programs, run in chunks between which a host may look.

Everything that changes from run to run, pictures, loss weights, parameters, is an argument; another
size, network, objective or solver is another program.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxstyle.arrays import Image, Scalar
from jaxstyle.compilation import jit
from jaxstyle.encoder import Encoder
from jaxstyle.run.loop import Average, Chunk, Data, Program, begin, iterate
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
        program: What has been compiled.
    """

    start: Callable[..., tuple[SolverState, Average]]
    advance: Callable[..., Chunk]
    state: Any
    program: Program


def compile_programs(image: Any, carried: Any, data: Data, program: Program) -> Compiled:
    """Compiles what :func:`chunks` calls; what it is given may be shapes instead of arrays."""
    decay: Any = jax.ShapeDtypeStruct((), jnp.float32)
    image, carried = program.shapes((image, carried), image)
    lowered = start.lower(image, carried, decay, data.encoder, program)
    state, average = program.shapes(lowered.out_info, image)
    steps: Any = jax.ShapeDtypeStruct((), jnp.int32)
    advancing = advance.lower(state, average, steps, decay, data, program)
    return Compiled(lowered.compile(), advancing.compile(), state, program)


def chunks(
    image: Image,
    iterations: int,
    data: Data,
    compiled: Compiled,
    *,
    decay: float = 0.0,
    carried: Any = None,
) -> Iterator[Chunk]:
    """Yields chunks of iterations, long enough to hide the round trip and short enough to watch.

    Args:
        image: What to start from.
        iterations: How many at most.
        data: What the loss is computed from.
        compiled: The programs, compiled for this size.
        decay: Decay of the moving average of the variables, in [0, 1); 0 for the last of them.
        carried: What the solver remembers of a coarser scale.
    """
    factor = compiled.program.replicate(jnp.float32(decay))
    state, average = compiled.start(image, carried, factor, data.encoder)
    size, done = _CHUNK, 0
    while done < iterations and state.finite and not state.stuck:
        started = time.monotonic()
        steps = compiled.program.replicate(jnp.int32(min(size, iterations - done)))
        chunk = compiled.advance(state, average, steps, factor, data)
        state, average, done = chunk.state, chunk.average, done + int(chunk.step)
        if not compiled.program.agree(time.monotonic() - started >= _CHUNK_SECONDS):
            size = min(2 * size, _CHUNK_LIMIT)
        yield chunk
