"""Lanes of one compiled program, each with a picture on its way, filled anew as they are done."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxstyle.compilation import jit
from jaxstyle.encoder import Encoder
from jaxstyle.losses.loss import LossTerms
from jaxstyle.run.loop import Average, Chunk, Data, Program, begin, iterate
from jaxstyle.solvers import SolverState

# Iterations between two looks at who is done.
_CHUNK = 10


@jit(static_argnames=("program",))
def _start(
    images: Array, carried: Any, encoder: Encoder, program: Program
) -> tuple[SolverState, Average]:
    def lane(image: Array, carried: Any) -> tuple[SolverState, Average]:
        return begin(image, carried, jnp.float32(0.0), encoder, program)

    return jax.vmap(lane)(images, carried)


@jit(static_argnames=("program",), donate_argnames=("state", "average"))
def _enter(
    state: SolverState,
    average: Average,
    fresh: Array,
    images: Array,
    carried: Any,
    encoder: Encoder,
    program: Program,
) -> tuple[SolverState, Average]:
    """Puts new settings into the lanes that are free."""

    def choose(new: Array, old: Array) -> Array:
        return jnp.where(fresh.reshape(-1, *(1,) * (new.ndim - 1)), new, old)

    return jax.tree.map(choose, _start(images, carried, encoder, program), (state, average))


@jit(static_argnames=("program", "turns"), donate_argnames=("state", "average"))
def _advance(
    state: SolverState, average: Average, steps: Array, data: Data, program: Program, turns: bool
) -> Chunk:
    def lane(own: tuple[SolverState, Average, Array, Data]) -> Chunk:
        state, average, steps, seated = own
        shared = seated._replace(encoder=data.encoder, extra=data.extra)
        return iterate(state, average, steps, jnp.float32(0.0), shared, program, rows=_CHUNK)

    own = state, average, steps, data._replace(encoder=None, extra=None)
    return jax.lax.map(lane, own) if turns else jax.vmap(lane)(own)


def in_turn() -> bool:
    """Whether lanes take turns: one keeps all cores of a CPU busy, and has its cache to itself."""
    return jax.default_backend() == "cpu" and jax.device_count() == 1


class Done(NamedTuple):
    """What a lane has come to.

    Attributes:
        image: ``f32[h, w, 3]``, not clipped.
        terms: The weighted loss terms after the last iteration.
        step: Solver iterations done.
        evaluations: Evaluations of loss and gradient.
        finite: Whether loss and gradient stayed finite.
        carried: What the solver remembers at the next scale.
    """

    image: Array
    terms: np.ndarray
    step: int
    evaluations: int
    finite: bool
    carried: Any


class Lanes:
    """The lanes of one scale, as the host sees them: who is in which, and how far."""

    def __init__(
        self,
        lanes: int,
        data: Data,
        program: Program,
        iterations: int,
        *,
        carried: Any = None,
        following: tuple[int, int] | None = None,
    ) -> None:
        """Makes lanes that nobody is in.

        Args:
            lanes: How many; if they are more than one, and devices too, some more may be there and
                idle, so that each device has as many.
            data: What the losses are computed from; targets and loss weights with an axis in front,
                of the settings or of length 1.
            program: What is compiled.
            iterations: Of each setting.
            carried: What the solver remembers of the scale before, with an axis of settings.
            following: Height and width of the next scale; None if this is the last.
        """
        devices = jax.device_count() if lanes > 1 else 1
        lanes = -(-lanes // devices) * devices
        self._data, self._carried, self._following = data, carried, following
        self._program, self._iterations = program, iterations
        self._setting = np.full(lanes, -1)
        self._done = np.zeros(lanes, np.int32)
        self._terms = np.zeros((lanes, len(LossTerms._fields)), np.float32)
        self._state: tuple[SolverState, Average] | None = None
        self._chunk: Chunk | None = None
        self._seated: Any = None

    @property
    def busy(self) -> bool:
        """Whether any lane is."""
        return bool((self._setting >= 0).any())

    @property
    def progress(self) -> float:
        """What the lanes that are on their way have done, in settings."""
        return float(self._done[self._setting >= 0].sum() / max(self._iterations, 1))

    def fill(self, waiting: list[Any], images: Array) -> None:
        """Gives free lanes to settings that wait."""
        free = [lane for lane in range(len(self._setting)) if self._setting[lane] < 0]
        fresh = np.zeros(len(self._setting), bool)
        for lane in free[: len(waiting)]:
            self._setting[lane], self._done[lane], fresh[lane] = waiting.pop(0), 0, True
            self._terms[lane] = 0
        if not fresh.any():
            return
        seats = np.maximum(self._setting, 0)
        data = self._data
        targets, weights = _take(data.targets, seats), _take(data.loss_weights, seats)
        self._seated = data._replace(targets=_spread(targets), loss_weights=_spread(weights))
        chosen, carried = _spread((images[seats], _take(self._carried, seats)))
        if self._state is None:
            self._state = _start(chosen, carried, data.encoder, self._program)
        else:
            state, average = self._state
            fresh = _spread(jnp.asarray(fresh))
            self._state = _enter(
                state, average, fresh, chosen, carried, data.encoder, self._program
            )

    def advance(self) -> list[tuple[int, Done]]:
        """Runs some iterations, and returns the settings that are done, which leave their lanes."""
        left = np.where(self._setting >= 0, self._iterations - self._done, 0)
        steps = jnp.asarray(np.minimum(left, _CHUNK), jnp.int32)
        assert self._state is not None  # lanes are filled before they run
        state, average = self._state
        chunk = _advance(state, average, _spread(steps), self._seated, self._program, in_turn())
        self._state, self._chunk = (chunk.state, chunk.average), chunk
        step, terms = np.asarray(chunk.step), np.asarray(chunk.terms)
        finite, stuck = np.asarray(chunk.state.finite), np.asarray(chunk.state.stuck)
        self._done += step
        moved = step > 0
        self._terms[moved] = terms[np.flatnonzero(moved), step[moved] - 1]
        over = (self._setting >= 0) & ((self._done >= self._iterations) | ~finite | stuck)
        lanes = [int(lane) for lane in np.flatnonzero(over)]
        carried = self._carry(chunk.state) if lanes else None
        done = [(int(self._setting[lane]), self._at(lane, carried)) for lane in lanes]
        self._setting[over] = -1
        return done

    def _carry(self, state: SolverState) -> Any:
        """Returns what the solver remembers of every lane at the next scale."""
        if self._following is None:
            return None
        return jax.vmap(partial(self._program.solver.carry, shape=self._following))(state)

    def _at(self, lane: int, carried: Any) -> Done:
        chunk = self._chunk
        assert chunk is not None
        return Done(
            chunk.image[lane],
            self._terms[lane].copy(),
            int(self._done[lane]),
            int(chunk.state.evaluations[lane]),
            bool(chunk.state.finite[lane]),
            jax.tree.map(lambda x: x[lane], carried),
        )

    def unfinished(self) -> dict[int, Array]:
        """Returns the present images of the settings that are on their way."""
        assert self._chunk is not None  # nothing is on its way before it has been advanced
        lanes = map(int, np.flatnonzero(self._setting >= 0))
        return {int(self._setting[lane]): self._chunk.image[lane] for lane in lanes}


def _take(tree: Any, seats: np.ndarray) -> Any:
    """Returns the rows of a tree for each lane; of what all share there is one."""
    return jax.tree.map(lambda x: x[seats % x.shape[0]], tree)


def _spread(tree: Any) -> Any:
    """Puts lanes on all devices, as many on each."""
    devices = jax.devices()
    lanes = jax.tree.leaves(tree)[0].shape[0]
    if len(devices) < 2 or lanes == 1:
        return tree
    mesh = jax.sharding.Mesh(np.array(devices), ("lanes",))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("lanes"))
    return jax.device_put(tree, sharding)
