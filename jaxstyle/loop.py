"""The compiled loop: several solver iterations per round trip to the host.

Everything that changes from run to run, pictures, loss weights, parameters, is an argument of the
compiled functions; they recompile for another size, network, objective or solver only.
"""

import time
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxstyle.arrays import Image
from jaxstyle.objective import LossTerms, LossWeights, Objective, Targets, loss_terms
from jaxstyle.solvers import Solver, SolverState
from jaxstyle.vgg import Encoder

Data: TypeAlias = tuple[Targets, LossWeights, Encoder]

_CHUNK, _CHUNK_LIMIT, _CHUNK_SECONDS = 4, 64, 1.0


class Chunk(NamedTuple):
    """What several iterations led to.

    Attributes:
        step: How many of them kept the loss finite.
        state: Of the solver.
        good: The last image whose loss and gradient are finite.
        terms: The loss terms after each iteration; rows from ``step`` on are unused.
    """

    step: Int[Array, ""]
    state: SolverState
    good: Image
    terms: Float[Array, "_ 3"]


def _objective(
    objective: Objective,
    image: Image,
    targets: Targets,
    loss_weights: LossWeights,
    encoder: Encoder,
) -> tuple[Float[Array, ""], LossTerms]:
    terms = loss_terms(image, targets, loss_weights, encoder, objective)
    return terms.loss, terms


@partial(jax.jit, static_argnames=("objective", "solver"))
def start(image: Image, data: Data, objective: Objective, solver: Solver) -> SolverState:
    """Returns the solver's state at the image to start from."""
    return solver.init(partial(_objective, objective), image, *data)


@partial(jax.jit, static_argnames=("objective", "solver"), donate_argnames=("state",))
def advance(
    state: SolverState, steps: Array, data: Data, objective: Objective, solver: Solver
) -> Chunk:
    """Runs up to ``steps`` iterations; stops behind one that is not finite or leads nowhere."""

    def unfinished(chunk: Chunk) -> Bool[Array, ""]:
        return (chunk.step < steps) & chunk.state.finite & ~chunk.state.stuck

    def iterate(chunk: Chunk) -> Chunk:
        state = solver.update(partial(_objective, objective), chunk.state, *data)
        good = jnp.where(state.finite, state.image, chunk.good)
        terms = chunk.terms.at[chunk.step].set(jnp.stack(state.aux))
        return Chunk(chunk.step + state.finite, state, good, terms)

    empty = jnp.zeros((_CHUNK_LIMIT, len(LossTerms._fields)), jnp.float32)
    return jax.lax.while_loop(unfinished, iterate, Chunk(jnp.int32(0), state, state.image, empty))


def chunks(
    image: Image, iterations: int, data: Data, objective: Objective, solver: Solver
) -> Iterator[Chunk]:
    """Yields chunks of iterations, long enough to hide the round trip and short enough to watch."""
    state = start(image, data, objective, solver)
    if not state.finite:
        yield Chunk(jnp.int32(0), state, image, jnp.zeros((0, len(LossTerms._fields))))
    size, done = _CHUNK, 0
    while done < iterations and state.finite and not state.stuck:
        started = time.monotonic()
        chunk = advance(state, jnp.int32(min(size, iterations - done)), data, objective, solver)
        state, done = chunk.state, done + int(chunk.step)
        if time.monotonic() - started < _CHUNK_SECONDS:
            size = min(2 * size, _CHUNK_LIMIT)
        yield chunk
