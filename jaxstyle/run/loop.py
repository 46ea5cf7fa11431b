"""The loop around the solver, at one size. Pure.

Each iteration of the loop is one evaluation of loss and gradient; under ``vmap``, one evaluation of
every unfinished lane.
"""

from functools import partial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxstyle.arrays import Image, Scalar
from jaxstyle.encoder import Encoder
from jaxstyle.encoder.base import check_layers, deep
from jaxstyle.errors import InputError, choose
from jaxstyle.evaluate.loss import Terms, terms_of
from jaxstyle.evaluate.plan import ONE_DEVICE, Layout, Plan, size_of
from jaxstyle.evaluate.targets import Targets
from jaxstyle.evaluate.whole import WHOLE
from jaxstyle.losses.loss_weights import LossWeights
from jaxstyle.losses.objective import Objective
from jaxstyle.losses.term import Target, Term, total
from jaxstyle.ops.derivatives import varying_like
from jaxstyle.run.parameterisation import (
    PARAMETERISATIONS,
    Parameterisation,
    from_image,
    to_image,
)
from jaxstyle.solvers import Solver, SolverState, lbfgs


class Data(NamedTuple):
    """The data of the loss; traced.

    Attributes:
        targets: The targets of the terms.
        loss_weights: The weights of the terms.
        encoder: Network and pretrained parameters.
    """

    targets: Targets
    loss_weights: LossWeights
    encoder: Encoder


class Program(NamedTuple):
    """The settings that determine a compiled program; static.

    Attributes:
        objective: The terms of the loss.
        solver: The solver.
        variable: The variable that the solver optimises.
        plan: Plan that evaluates the sums.
        shape: Height and width of the image; None until they are known.
    """

    objective: Objective
    solver: Solver
    variable: str | Parameterisation = "image"
    plan: Plan = WHOLE
    shape: tuple[int, int] | None = None

    @property
    def parameterisation(self) -> Parameterisation:
        """The parameterisation of the variable."""
        return choose("variable", self.variable, PARAMETERISATIONS)

    @property
    def layout(self) -> Layout:
        """The layout of images."""
        if self.shape is None:
            return ONE_DEVICE
        return self.plan.layout(self.shape, self.objective.layers)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the terms."""
        return tuple(self.objective.terms)

    @property
    def renewing(self) -> dict[str, Term]:
        """The terms with targets that are renewed during a run."""
        return {n: t for n, t in self.objective.terms.items() if t.renewal is not None}

    def prepare(self, encoder: Encoder) -> Encoder:
        """Returns the encoder for a run."""
        layers = check_layers(encoder, self.objective.layers)
        self.plan.check(encoder, self.objective)
        return self.plan.prepare(encoder, deep(layers))

    def at(self, shape: tuple[int, int]) -> "Program":
        """Returns the program for images of a height and width."""
        return self._replace(shape=shape)


class Average(NamedTuple):
    """An exponential moving average of the variables.

    Attributes:
        total: ``(1 − d) Σ dᵏ z``, the latest variable first.
        missing: 1 minus the sum of the factors.
    """

    total: Array
    missing: Scalar

    @property
    def value(self) -> Array:
        """The average, corrected for the initial bias towards 0."""
        return self.total / (1 - self.missing)

    def update(self, z: Array, decay: Scalar) -> "Average":
        """Returns the average with another variable."""
        return Average(decay * self.total + (1 - decay) * z, decay * self.missing)


class Renewal(NamedTuple):
    """Renewed targets.

    Attributes:
        at: Number of iterations at the last renewal; −1 before the first.
        targets: The targets of the terms with renewal, by name.
    """

    at: Int[Array, ""]
    targets: dict[str, Target]


class Chunk(NamedTuple):
    """The result of several iterations.

    Attributes:
        step: Number of iterations with a finite loss.
        state: The state of the solver.
        average: The moving average of the variables with finite loss and gradient; without
            averaging, the last of them.
        renewal: Targets that have been renewed.
        image: The image of the average.
        terms: The weighted terms after each iteration, ``f32[rows, terms]``; rows from ``step`` on
            are unused.
        slow: Whether the loss fell by less than the tolerance.
    """

    step: Int[Array, ""]
    state: SolverState
    average: Average
    renewal: Renewal
    image: Image
    terms: Float[Array, "_ _"]
    slow: Bool[Array, ""]


class Tolerance(NamedTuple):
    """Stop if the loss falls by less than a fraction over a number of iterations. Static."""

    fraction: float
    iterations: int


_Carry: TypeAlias = tuple[Array, SolverState, Average, Renewal, Array]


def make_program(
    objective: Objective | None,
    solver: Solver | None,
    variable: str | Parameterisation,
    plan: Plan | None = None,
) -> Program:
    """Returns the program for the given options.

    Raises:
        InputError: Options are incompatible.
    """
    plan = WHOLE if plan is None else plan
    if not isinstance(plan, Plan):
        raise InputError(f"plan {plan!r}: not a plan; give js.Whole(), js.Tiles() or js.Devices()")
    program = Program(objective or Objective(), solver or lbfgs(), variable, plan)
    check_combination(program.objective, program.solver, variable)
    spread = plan.layout((16, 16), ()) is not ONE_DEVICE
    if spread and not getattr(program.parameterisation, "pointwise", False):
        raise InputError(
            f"variable {variable}: every pixel depends on the whole variable, which is spread over "
            "devices; choose image, encoder or sigmoid, or one device"
        )
    return program


def check_combination(
    objective: Objective, solver: Solver, variable: str | Parameterisation
) -> None:
    """Checks that options are compatible.

    Raises:
        InputError: A line search is combined with normalised gradients, or a projection with a
            variable other than the image.
    """
    if objective.normalise_gradients and solver.line_search:
        raise InputError(
            "normalise_gradients: not the gradient of a loss, and this solver compares losses; "
            "choose adam or gradient-descent"
        )
    if solver.clamp and not choose("variable", variable, PARAMETERISATIONS).is_image:
        raise InputError(f"clamp: a projection needs the variable image, not {variable}")


def begin(
    image: Image, carried: Any, decay: Scalar, encoder: Encoder, program: Program
) -> tuple[SolverState, Average]:
    """Returns the state of the solver and the average for the initial image, not yet evaluated."""
    z = from_image(program.parameterisation, image, encoder)
    state = program.solver.init(z, _no_terms(program, image), carried)
    return program.layout.hold((state, Average((1 - decay) * z, decay)), image.shape[1])


def _no_terms(program: Program, like: Array) -> Terms:
    return {name: jnp.zeros((), like.dtype) for name in program.names}


def no_renewal(targets: Targets, program: Program) -> Renewal:
    """Returns the targets that will be renewed, before the first renewal."""
    return Renewal(jnp.int32(-1), {name: targets[name] for name in program.renewing})


def iterate(
    state: SolverState,
    average: Average,
    renewal: Renewal,
    steps: Array,
    decay: Scalar,
    data: Data,
    program: Program,
    rows: int,
    tolerance: Tolerance | None = None,
) -> Chunk:
    """Runs up to ``steps`` iterations; stops after one that is not finite or makes no progress.

    Args:
        state: The state of the solver.
        average: The moving average so far.
        renewal: Renewed targets.
        steps: Maximum number of iterations.
        decay: Decay of the moving average.
        data: The data of the loss.
        program: The static settings.
        rows: Number of rows for the terms, at least ``steps``; static.
        tolerance: When to stop early; static.
    """
    fun = partial(_objective, program)

    def slow(step: Array, terms: Array) -> Bool[Array, ""]:
        if tolerance is None:
            return jnp.bool_(False)
        n, last = tolerance.iterations, jnp.maximum(step - 1, 0)
        before, now = terms[jnp.maximum(last - n, 0)].sum(), terms[last].sum()
        return (step > n) & (before - now < tolerance.fraction * jnp.abs(before))

    def unfinished(carry: _Carry) -> Bool[Array, ""]:
        step, state, _, _, terms = carry
        return (step < steps) & state.finite & ~state.stalled & ~slow(step, terms)

    def evaluate(carry: _Carry) -> _Carry:
        step, before, average, renewal, terms = carry
        if program.renewing:
            before, renewal = _renewed(before, renewal, data, program)
        targets = data.targets | renewal.targets
        state = program.solver.update(fun, before, *data._replace(targets=targets))
        moved = state.finite & (state.iterations > before.iterations)
        average = jax.tree.map(
            lambda new, old: jnp.where(moved, new, old),
            average.update(state.image, decay),
            average,
        )
        # Every evaluation of an iteration overwrites its row.
        row = jnp.stack([state.aux[name] for name in program.names])
        return step + moved, state, average, renewal, terms.at[step].set(row)

    empty = jnp.zeros((rows, len(program.names)), state.loss.dtype)
    carry = jnp.int32(0), state, average, renewal, empty
    carry = varying_like(carry, carry, data, steps)
    step, state, average, renewal, terms = jax.lax.while_loop(unfinished, evaluate, carry)
    image = _to_image(program, average.value, data.encoder)
    chunk = Chunk(step, state, average, renewal, image, terms, slow(step, terms))
    # Every device has the whole of renewed targets, as before their first renewal.
    renewal = program.layout.hold(renewal, None)
    return program.layout.hold(chunk, image.shape[1])._replace(renewal=renewal)


def _to_image(program: Program, z: Array, encoder: Encoder) -> Image:
    return to_image(program.parameterisation, z, program.shape, encoder)


def _objective(
    program: Program, z: Array, targets: Targets, loss_weights: LossWeights, encoder: Encoder
) -> tuple[Scalar, Terms]:
    image = _to_image(program, z, encoder)
    assert program.shape is not None  # Program.at
    terms = terms_of(
        image,
        targets,
        loss_weights,
        encoder,
        program.objective,
        plan=program.plan,
        shape=program.shape,
    )
    return total(terms.values()), terms


def _renewed(
    state: SolverState, renewal: Renewal, data: Data, program: Program
) -> tuple[SolverState, Renewal]:
    """Returns the state and the targets, renewed if the renewal of any term is due."""
    fresh, same = renewal.at < 0, state.iterations == renewal.at
    due = {
        name: fresh | (~same & (state.iterations % term.renewal == 0)) if term.renewal else fresh
        for name, term in program.renewing.items()
    }

    def renew() -> tuple[SolverState, Renewal]:
        image = _to_image(program, state.image, data.encoder)
        assert program.shape is not None  # Program.at
        size = size_of(program.shape, data.encoder, program.objective.layers)

        def observe(layers: tuple[str, ...]) -> Any:
            return program.plan.features(image, data.encoder, layers, size)

        targets = {
            name: jax.lax.cond(
                due[name],
                lambda target, term=term: term.renew(image, target, observe, size),
                lambda target: target,
                renewal.targets[name],
            )
            for name, term in program.renewing.items()
        }
        return _restarted(state, program), Renewal(state.iterations, targets)

    any_due = jnp.stack(list(due.values())).any()
    return jax.lax.cond(any_due, renew, lambda: (state, renewal))


def _restarted(state: SolverState, program: Program) -> SolverState:
    """Returns a state that evaluates its variable again, because the loss has changed."""
    assert program.shape is not None  # Program.at
    carried = program.solver.carry(state, program.shape)
    new = program.solver.init(state.image, state.aux, carried)
    return new._replace(iterations=state.iterations, evaluations=state.evaluations)
