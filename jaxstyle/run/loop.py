"""One size: the compiled loop, as a pure function, and in chunks between which a host may look.

Each turn of the loop is one evaluation of loss and gradient; under ``vmap`` it is one of every lane
that is not done yet. Everything that changes from run to run, pictures, loss weights, parameters,
is an argument; programs are compiled for another size, network, objective or solver only.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxstyle.arrays import Image, Scalar, check_image, widen
from jaxstyle.compilation import jit
from jaxstyle.encoder import Encoder
from jaxstyle.errors import InputError, choose
from jaxstyle.losses.loss import Extra, LossTerms, loss_terms
from jaxstyle.losses.objective import LossWeights, Objective
from jaxstyle.losses.targets import Targets
from jaxstyle.run.parameterisation import PARAMETERISATIONS, Parameterisation
from jaxstyle.solvers import Solver, SolverState, lbfgs

_CHUNK, _CHUNK_LIMIT, _CHUNK_SECONDS = 4, 64, 1.0


class Data(NamedTuple):
    """What the loss is computed from; traced.

    Attributes:
        targets: What the statistics should become.
        loss_weights: How much each term counts.
        encoder: Network and pretrained parameters.
        extra: A term of the caller's own, a ``Partial``, or None.
    """

    targets: Targets
    loss_weights: LossWeights
    encoder: Encoder
    extra: Any = None


class Program(NamedTuple):
    """What is compiled; static.

    Attributes:
        objective: What goes down.
        solver: How.
        variable: What the solver moves.
    """

    objective: Objective
    solver: Solver
    variable: str | Parameterisation = "image"

    @property
    def parameterisation(self) -> Parameterisation:
        """The variable that goes by its name."""
        return choose("variable", self.variable, PARAMETERISATIONS)


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
        state: The solver's.
        average: The moving average of the variables whose loss and gradient are finite; without
            averaging the last of them.
        image: What the average stands for.
        terms: The loss terms after each iteration; rows from ``step`` on are unused.
    """

    step: Int[Array, ""]
    state: SolverState
    average: Average
    image: Image
    terms: Float[Array, "_ _"]


class Optimised(NamedTuple):
    """What :func:`optimise` returns, all arrays.

    Attributes:
        image: ``f32[h, w, 3]``, not clipped.
        terms: The weighted loss terms after every iteration, each ``f32[iterations]``; after an
            early end they stay as they were.
        iterations: Solver iterations done.
        evaluations: Evaluations of loss and gradient.
        converged: Whether no step lowered the loss any further.
        finite: Whether loss and gradient stayed finite; else the image is the last good one.
    """

    image: Image
    terms: LossTerms
    iterations: Int[Array, ""]
    evaluations: Int[Array, ""]
    converged: Bool[Array, ""]
    finite: Bool[Array, ""]


_Carry: TypeAlias = tuple[Array, SolverState, Average, Array]


def as_partial(extra: Extra | None) -> Any:
    """Returns a function as a pytree: what a ``Partial`` holds is traced, the function static."""
    partly = isinstance(extra, jax.tree_util.Partial)
    return extra if extra is None or partly else jax.tree_util.Partial(extra)


def check_combination(
    objective: Objective, solver: Solver, variable: str | Parameterisation
) -> None:
    """Refuses what excludes each other.

    Raises:
        InputError: A line search without a loss's own gradient, or a projection of a variable.
    """
    if objective.normalise_gradients and solver.line_search:
        raise InputError(
            "normalise_gradients: no loss has such a gradient, and this solver compares losses; "
            "choose adam or gradient-descent"
        )
    if solver.clamp and not choose("variable", variable, PARAMETERISATIONS).is_image:
        raise InputError(f"clamp: a projection needs the variable image, not {variable}")


def optimise(
    image: Image,
    targets: Targets,
    loss_weights: LossWeights,
    encoder: Encoder,
    objective: Objective,
    *,
    iterations: int,
    solver: Solver | None = None,
    variable: str | Parameterisation = "image",
    extra: Extra | None = None,
    average: float = 0.0,
) -> Optimised:
    """Minimises the loss over the image, at one size: pure, for ``jit``, ``vmap`` and ``scan``.

    ``image ← argmin loss(image)`` by the solver's steps. Under ``vmap`` a turn of the loop is one
    evaluation of every lane, whatever its line search has come to. It has no derivatives of its
    own: the number of evaluations depends on the numbers.

    Args:
        image: What to start from, ``f32[h, w, 3]``, sRGB in [0, 1].
        targets: From ``make_targets``, for the same size, encoder and objective.
        loss_weights: Numbers ≥ 0.
        encoder: Network and pretrained parameters.
        objective: The same as for the targets; static.
        iterations: Solver iterations at most, ≥ 0; static.
        solver: ``lbfgs()`` if None; static.
        variable: What the solver moves, as for ``stylize``; static.
        extra: A term of one's own, a pure function of the image; none if None.
        average: Decay of the moving average of images that is the result, in [0, 1); 0 for the
            last image.

    Raises:
        InputError: As for :func:`jaxstyle.loss`, or options exclude each other.

    Examples:
        Three style weights at once:

        >>> import jax, jaxstyle as js
        >>> encoder = js.load_encoder("random")
        >>> content, style = jax.random.uniform(jax.random.key(0), (2, 32, 32, 3))
        >>> objective = js.Objective(content_layers=("conv2_1",), style_layers=("conv1_1",))
        >>> targets = js.make_targets(content, style, encoder, objective)
        >>> weights = js.LossWeights(style=jax.numpy.array([1.0, 3.0, 10.0]))
        >>> paint = lambda w: js.optimise(content, targets, w, encoder, objective, iterations=3)
        >>> jax.vmap(paint, in_axes=(weights.axes(),))(weights).image.shape
        (3, 32, 32, 3)
    """
    check_image("image", image)
    program = Program(objective, solver or lbfgs(), variable)
    check_combination(*program)
    data = Data(targets, loss_weights, encoder, as_partial(extra))
    image = widen(jnp.asarray(image))
    decay = jnp.asarray(average, image.dtype)
    state, mean = begin(image, None, decay, encoder, program)
    steps = jnp.int32(iterations)
    # At least one row, that the first evaluation of a run without iterations has a place.
    chunk = iterate(state, mean, steps, decay, data, program, rows=max(iterations, 1))
    last = jnp.minimum(jnp.arange(iterations), jnp.maximum(chunk.step - 1, 0))
    return Optimised(
        image=chunk.image,
        terms=LossTerms(*chunk.terms[last].T),
        iterations=chunk.step,
        evaluations=chunk.state.evaluations,
        converged=chunk.state.stuck,
        finite=chunk.state.finite,
    )


def begin(
    image: Image, carried: Any, decay: Scalar, encoder: Encoder, program: Program
) -> tuple[SolverState, Average]:
    """Returns the solver's state and the average at the image to start from, not evaluated yet."""
    z = program.parameterisation.from_image(image, encoder)
    zero = jnp.zeros((), image.dtype)
    state = program.solver.init(z, LossTerms(zero, zero, zero, zero), carried)
    return state, Average((1 - decay) * z, decay)


def iterate(
    state: SolverState,
    average: Average,
    steps: Array,
    decay: Scalar,
    data: Data,
    program: Program,
    rows: int = _CHUNK_LIMIT,
) -> Chunk:
    """Runs up to ``steps`` iterations; stops behind one that is not finite or leads nowhere."""
    fun = partial(_objective, program)

    def unfinished(carry: _Carry) -> Bool[Array, ""]:
        step, state, *_ = carry
        return (step < steps) & state.finite & ~state.stuck

    def evaluate(carry: _Carry) -> _Carry:
        step, before, average, terms = carry
        state = program.solver.update(fun, before, *data)
        moved = state.finite & (state.iterations > before.iterations)
        average = jax.tree.map(
            lambda new, old: jnp.where(moved, new, old),
            average.update(state.image, decay),
            average,
        )
        # Between two steps the row is written again and again, until the next one has its own.
        return step + moved, state, average, terms.at[step].set(jnp.stack(state.aux))

    empty = jnp.zeros((rows, len(LossTerms._fields)), state.loss.dtype)
    step, state, average, terms = jax.lax.while_loop(
        unfinished, evaluate, (jnp.int32(0), state, average, empty)
    )
    image = program.parameterisation.to_image(average.value, data.encoder)
    return Chunk(step, state, average, image, terms)


def _objective(
    program: Program,
    z: Image,
    targets: Targets,
    loss_weights: LossWeights,
    encoder: Encoder,
    extra: Extra | None,
) -> tuple[Scalar, LossTerms]:
    image = program.parameterisation.to_image(z, encoder)
    objective = program.objective
    terms = loss_terms(image, targets, loss_weights, encoder, objective, extra=extra)
    return terms.loss, terms


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
    return iterate(state, average, steps, decay, data, program)


class Compiled(NamedTuple):
    """The programs of one size.

    Attributes:
        start: :func:`start` without its static arguments.
        advance: :func:`advance` likewise.
        state: The solver's, as shapes.
    """

    start: Callable[..., tuple[SolverState, Average]]
    advance: Callable[..., Chunk]
    state: Any


def compile_programs(image: Any, carried: Any, data: Data, program: Program) -> Compiled:
    """Compiles what :func:`chunks` calls; what it is given may be shapes instead of arrays."""
    decay: Any = jax.ShapeDtypeStruct((), jnp.float32)
    lowered = start.lower(image, carried, decay, data.encoder, program)
    state, average = lowered.out_info
    steps: Any = jax.ShapeDtypeStruct((), jnp.int32)
    advancing = advance.lower(state, average, steps, decay, data, program)
    return Compiled(lowered.compile(), advancing.compile(), state)


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
    factor = jnp.float32(decay)
    state, average = compiled.start(image, carried, factor, data.encoder)
    size, done = _CHUNK, 0
    while done < iterations and state.finite and not state.stuck:
        started = time.monotonic()
        steps = jnp.int32(min(size, iterations - done))
        chunk = compiled.advance(state, average, steps, factor, data)
        state, average, done = chunk.state, chunk.average, done + int(chunk.step)
        if time.monotonic() - started < _CHUNK_SECONDS:
            size = min(2 * size, _CHUNK_LIMIT)
        yield chunk
