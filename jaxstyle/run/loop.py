"""One size: the loop that the solver runs in, pure.

Each turn of the loop is one evaluation of loss and gradient; under ``vmap`` it is one of every lane
that is not done yet.
"""

from functools import partial
from typing import Any, NamedTuple, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxstyle.arrays import Image, Scalar
from jaxstyle.encoder import Encoder, prepared
from jaxstyle.errors import InputError, choose
from jaxstyle.large import sharded
from jaxstyle.large.mesh import Mesh, Rows
from jaxstyle.losses.loss import Extra, LossTerms, loss_terms
from jaxstyle.losses.objective import LossWeights, Objective
from jaxstyle.losses.targets import Targets
from jaxstyle.run.parameterisation import PARAMETERISATIONS, Parameterisation
from jaxstyle.solvers import Solver, SolverState, lbfgs

T = TypeVar("T")


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
        mesh: The devices that share an image; None for one of them.
        rows: How the rows of images of one size are shared out among them.
    """

    objective: Objective
    solver: Solver
    variable: str | Parameterisation = "image"
    mesh: Mesh | None = None
    rows: Rows | None = None

    @property
    def parameterisation(self) -> Parameterisation:
        """The variable that goes by its name."""
        return choose("variable", self.variable, PARAMETERISATIONS)

    def prepare(self, encoder: Encoder) -> Encoder:
        """Returns the encoder as a run takes it, memory allowing with what pays once a run."""
        objective, mesh = self.objective, self.mesh
        if mesh is None:
            return prepared(encoder, objective.layers, ample=objective.memory != "low")
        cut = prepared(encoder, objective.layers, ample=False)
        sharded.check_shared(cut, objective)
        return mesh.replicate(cut)

    def replicate(self, tree: T) -> T:
        """Returns arrays where the program wants what is not shared."""
        return tree if self.mesh is None else self.mesh.replicate(tree)

    def agree(self, wish: bool) -> bool:
        """Returns whether any process that shares the image wishes something; all have to ask."""
        return wish if self.mesh is None else self.mesh.agree(wish)

    def at(self, shape: tuple[int, int]) -> "Program":
        """Returns the program for images of a height and width."""
        if self.mesh is None:
            return self
        return self._replace(rows=sharded.rows_of(shape, self.mesh, self.objective))

    def lay(self, tree: T) -> T:
        """Returns a tree on the host with its images in shares where devices share them."""
        return tree if self.rows is None else self.rows.lay(tree)

    def shapes(self, tree: T, image: Any) -> T:
        """Returns a tree's shapes, and where devices share an image like this one, how it lies."""
        return tree if self.rows is None else self.rows.shapes(tree, image.shape[1])

    def hold(self, tree: T, image: Image) -> T:
        """Returns a tree whose images lie as this one does, in shares where devices share it."""
        return tree if self.rows is None else self.rows.hold(tree, image.shape[1])


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


_Carry: TypeAlias = tuple[Array, SolverState, Average, Array]


def as_partial(extra: Extra | None) -> Any:
    """Returns a function as a pytree: what a ``Partial`` holds is traced, the function static."""
    partly = isinstance(extra, jax.tree_util.Partial)
    return extra if extra is None or partly else jax.tree_util.Partial(extra)


def make_program(
    objective: Objective | None,
    solver: Solver | None,
    variable: str | Parameterisation,
    mesh: Mesh | None = None,
) -> Program:
    """Returns what a verb compiles, from what it was given.

    Raises:
        InputError: Options exclude each other.
    """
    program = Program(objective or Objective(), solver or lbfgs(), variable, mesh)
    check_combination(program.objective, program.solver, variable)
    if mesh is not None and not getattr(program.parameterisation, "pointwise", False):
        raise InputError(
            f"variable {variable}: every pixel depends on all of it, which devices share; choose "
            "image, encoder or sigmoid, or one device"
        )
    return program


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


def begin(
    image: Image, carried: Any, decay: Scalar, encoder: Encoder, program: Program
) -> tuple[SolverState, Average]:
    """Returns the solver's state and the average at the image to start from, not evaluated yet."""
    z = program.parameterisation.from_image(image, encoder)
    zero = jnp.zeros((), image.dtype)
    state = program.solver.init(z, LossTerms(zero, zero, zero, zero), carried)
    return program.hold((state, Average((1 - decay) * z, decay)), image)


def iterate(
    state: SolverState,
    average: Average,
    steps: Array,
    decay: Scalar,
    data: Data,
    program: Program,
    rows: int,
) -> Chunk:
    """Runs up to ``steps`` iterations; stops behind one that is not finite or leads nowhere.

    Args:
        state: Where the solver stands.
        average: The moving average so far.
        steps: Iterations at most.
        decay: Decay of the moving average.
        data: What the loss is computed from.
        program: What is computed.
        rows: Number of rows for the terms, at least as many as steps; static.
    """
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
    return program.hold(Chunk(step, state, average, image, terms), image)


def _objective(
    program: Program,
    z: Image,
    targets: Targets,
    loss_weights: LossWeights,
    encoder: Encoder,
    extra: Extra | None,
) -> tuple[Scalar, LossTerms]:
    image = program.parameterisation.to_image(z, encoder)
    objective, rows = program.objective, program.rows
    of_image = loss_terms if rows is None else partial(sharded.loss_terms, rows=rows)
    terms = of_image(image, targets, loss_weights, encoder, objective, extra=extra)
    return terms.loss, terms
