"""The compiled loop: several solver iterations per round trip to the host.

Everything that changes from run to run, pictures, loss weights, parameters, is an argument of the
compiled functions; they recompile for another size, network, objective or solver only.
"""

import time
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxstyle.arrays import Image, Scalar
from jaxstyle.compilation import jit
from jaxstyle.objective import LossWeights, Objective
from jaxstyle.parameterisation import Variable, from_image, to_image
from jaxstyle.solvers import Solver, SolverState
from jaxstyle.targets import Targets
from jaxstyle.terms import LossTerms, loss_terms
from jaxstyle.vgg import Encoder

Data: TypeAlias = tuple[Targets, LossWeights, Encoder]

_CHUNK, _CHUNK_LIMIT, _CHUNK_SECONDS = 4, 64, 1.0


class Program(NamedTuple):
    """What is compiled; static.

    Attributes:
        objective: What goes down.
        solver: How.
        variable: What the solver moves.
    """

    objective: Objective
    solver: Solver
    variable: Variable = "image"


class Average(NamedTuple):
    """An exponential moving average of variables on its way.

    Attributes:
        total: ``(1 − d) Σ dᵏ z``, the latest variable first.
        missing: What the factors lack to 1.
    """

    total: Image
    missing: Scalar

    @property
    def value(self) -> Image:
        """The average, without the pull towards 0 that it starts with."""
        return self.total / (1 - self.missing)

    def update(self, z: Image, decay: Scalar) -> "Average":
        """Returns the average with another variable."""
        return Average(decay * self.total + (1 - decay) * z, decay * self.missing)


class Chunk(NamedTuple):
    """What several iterations led to.

    Attributes:
        step: How many of them kept the loss finite.
        state: Of the solver.
        average: The moving average of the variables whose loss and gradient are finite; without
            averaging the last of them.
        image: That the average stands for.
        terms: The loss terms after each iteration; rows from ``step`` on are unused.
    """

    step: Int[Array, ""]
    state: SolverState
    average: Average
    image: Image
    terms: Float[Array, "_ 3"]


_Carry: TypeAlias = tuple[Array, SolverState, Average, Array]


def _objective(
    objective: Objective,
    variable: Variable,
    z: Image,
    targets: Targets,
    loss_weights: LossWeights,
    encoder: Encoder,
) -> tuple[Scalar, LossTerms]:
    image = to_image(variable, z, encoder)
    terms = loss_terms(image, targets, loss_weights, encoder, objective)
    return terms.loss, terms


@jit(static_argnames=("program",))
def start(
    image: Image, carried: Any, decay: Scalar, encoder: Encoder, program: Program
) -> tuple[SolverState, Average]:
    """Returns the solver's state and the average at the image to start from, not evaluated yet."""
    z, zero = from_image(program.variable, image, encoder), jnp.float32(0.0)
    state = program.solver.init(z, LossTerms(zero, zero, zero), carried)
    return state, Average((1 - decay) * z, decay)


@jit(static_argnames=("program",), donate_argnames=("state", "average"))
def advance(
    state: SolverState, average: Average, steps: Array, decay: Scalar, data: Data, program: Program
) -> Chunk:
    """Runs up to ``steps`` iterations; stops behind one that is not finite or leads nowhere."""
    objective, solver, variable = program

    def unfinished(carry: _Carry) -> Bool[Array, ""]:
        step, state, *_ = carry
        return (step < steps) & state.finite & ~state.stuck

    def iterate(carry: _Carry) -> _Carry:
        step, before, average, terms = carry
        state = solver.update(partial(_objective, objective, variable), before, *data)
        # The evaluation that a run begins with is no step.
        moved = state.finite & jnp.isfinite(before.loss)
        average = jax.tree.map(
            lambda new, old: jnp.where(moved, new, old),
            average.update(state.image, decay),
            average,
        )
        return step + moved, state, average, terms.at[step].set(jnp.stack(state.aux))

    empty = jnp.zeros((_CHUNK_LIMIT, len(LossTerms._fields)), jnp.float32)
    step, state, average, terms = jax.lax.while_loop(
        unfinished, iterate, (jnp.int32(0), state, average, empty)
    )
    image = to_image(variable, average.value, data[-1])
    return Chunk(step, state, average, image, terms)


def compile_ahead(image: Image, data: Data, program: Program) -> None:
    """Compiles what :func:`chunks` calls for an image of this shape; meant for another thread."""
    decay = jnp.float32(0.0)
    state, average = start(image, None, decay, data[-1], program)
    advance(state, average, jnp.int32(0), decay, data, program)


def chunks(
    image: Image,
    iterations: int,
    data: Data,
    program: Program,
    *,
    decay: float = 0.0,
    carried: Any = None,
) -> Iterator[Chunk]:
    """Yields chunks of iterations, long enough to hide the round trip and short enough to watch.

    Args:
        image: To start from.
        iterations: How many at most.
        data: What the objective is computed from.
        program: What is compiled.
        decay: Of the moving average of the variables, in [0, 1); 0 for the last of them.
        carried: What the solver remembers of a coarser scale.
    """
    factor = jnp.float32(decay)
    state, average = start(image, carried, factor, data[-1], program)
    size, done = _CHUNK, 0
    while done < iterations and state.finite and not state.stuck:
        started = time.monotonic()
        steps = jnp.int32(min(size, iterations - done))
        chunk = advance(state, average, steps, factor, data, program)
        state, average, done = chunk.state, chunk.average, done + int(chunk.step)
        if time.monotonic() - started < _CHUNK_SECONDS:
            size = min(2 * size, _CHUNK_LIMIT)
        yield chunk
