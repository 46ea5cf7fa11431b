"""Lanes of one compiled program; a finished lane takes the next setting."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxstyle.compilation import jit
from jaxstyle.encoder import Encoder
from jaxstyle.run.loop import Average, Chunk, Data, Program, Renewal, begin, iterate, no_renewal
from jaxstyle.solvers import SolverState

# Iterations between two checks for finished lanes.
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
    """Puts new settings into free lanes."""
    return _select(fresh, _start(images, carried, encoder, program), (state, average))


def _select(fresh: Array, new: Any, old: Any) -> Any:
    def choose(new: Array, old: Array) -> Array:
        return jnp.where(fresh.reshape(-1, *(1,) * (new.ndim - 1)), new, old)

    return jax.tree.map(choose, new, old)


@jit(static_argnames=("program", "serial"), donate_argnames=("state", "average"))
def _advance(
    state: SolverState,
    average: Average,
    renewal: Renewal,
    steps: Array,
    data: Data,
    program: Program,
    serial: bool,
) -> Chunk:
    def lane(own: tuple[SolverState, Average, Renewal, Array, Data]) -> Chunk:
        state, average, renewal, steps, seated = own
        shared = seated._replace(encoder=data.encoder)
        zero = jnp.float32(0.0)
        return iterate(state, average, renewal, steps, zero, shared, program, rows=_CHUNK)

    own = state, average, renewal, steps, data._replace(encoder=None)  # pyright: ignore[reportArgumentType]
    return jax.lax.map(lane, own) if serial else jax.vmap(lane)(own)


def serial_lanes(program: Program) -> bool:
    """Returns whether lanes run one after the other.

    On a CPU one lane uses all cores, and has the cache to itself. Under ``vmap`` targets would be
    renewed in every evaluation.
    """
    one_cpu = jax.default_backend() == "cpu" and jax.device_count() == 1
    return one_cpu or bool(program.renewing)


class Done(NamedTuple):
    """The result of a lane.

    Attributes:
        image: ``f32[h, w, 3]``, not clipped.
        terms: The weighted value of each term after the last iteration.
        step: Solver iterations done.
        evaluations: Evaluations of loss and gradient.
        finite: Whether loss and gradient stayed finite.
        carried: What the solver keeps for the next scale.
    """

    image: Array
    terms: np.ndarray
    step: int
    evaluations: int
    finite: bool
    carried: Any


class Lanes:
    """The lanes of one scale, on the host: the setting in each lane, and its progress."""

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
        """Makes free lanes.

        Args:
            lanes: Their number; with several devices it is rounded up, so that each device has the
                same number.
            data: What the losses are computed from; targets and loss weights with an axis in front,
                of the settings or of length 1.
            program: What is compiled, for the size of the scale.
            iterations: Number of iterations of each setting.
            carried: What the solver keeps from the scale before, with an axis of settings.
            following: Height and width of the next scale; None if this is the last.
        """
        devices = jax.device_count() if lanes > 1 else 1
        lanes = -(-lanes // devices) * devices
        self._data, self._carried, self._following = data, carried, following
        self._program, self._iterations = program, iterations
        self._setting = np.full(lanes, -1)
        self._done = np.zeros(lanes, np.int32)
        self._terms = np.zeros((lanes, len(program.names)), np.float32)
        self._state: tuple[SolverState, Average] | None = None
        self._renewal: Renewal | None = None
        self._chunk: Chunk | None = None
        self._seated: Any = None

    @property
    def busy(self) -> bool:
        """Whether any lane has a setting."""
        return bool((self._setting >= 0).any())

    @property
    def progress(self) -> float:
        """What the unfinished settings have done, as a number of settings."""
        return float(self._done[self._setting >= 0].sum() / max(self._iterations, 1))

    def fill(self, waiting: list[Any], images: Array) -> None:
        """Puts waiting settings into free lanes."""
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
        renewal = jax.vmap(partial(no_renewal, program=self._program))(self._seated.targets)
        if self._state is None or self._renewal is None:
            self._state = _start(chosen, carried, data.encoder, self._program)
            self._renewal = renewal
        else:
            new = _spread(jnp.asarray(fresh))
            self._renewal = _select(new, renewal, self._renewal)
            self._state = _enter(*self._state, new, chosen, carried, data.encoder, self._program)

    def advance(self) -> list[tuple[int, Done]]:
        """Runs some iterations, frees the lanes of finished settings and returns those."""
        left = np.where(self._setting >= 0, self._iterations - self._done, 0)
        steps = jnp.asarray(np.minimum(left, _CHUNK), jnp.int32)
        assert self._state is not None  # filled before they run
        assert self._renewal is not None
        program, serial = self._program, serial_lanes(self._program)
        chunk = _advance(*self._state, self._renewal, _spread(steps), self._seated, program, serial)
        self._state, self._chunk = (chunk.state, chunk.average), chunk
        self._renewal = chunk.renewal
        step, terms = np.asarray(chunk.step), np.asarray(chunk.terms)
        finite, stalled = np.asarray(chunk.state.finite), np.asarray(chunk.state.stalled)
        self._done += step
        moved = step > 0
        self._terms[moved] = terms[np.flatnonzero(moved), step[moved] - 1]
        over = (self._setting >= 0) & ((self._done >= self._iterations) | ~finite | stalled)
        lanes = [int(lane) for lane in np.flatnonzero(over)]
        carried = self._carry(chunk.state) if lanes else None
        done = [(int(self._setting[lane]), self._at(lane, carried)) for lane in lanes]
        self._setting[over] = -1
        return done

    def _carry(self, state: SolverState) -> Any:
        """Returns what the solver keeps of every lane for the next scale."""
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
        """Returns the present images of the unfinished settings."""
        assert self._chunk is not None  # called after the first chunk
        lanes = map(int, np.flatnonzero(self._setting >= 0))
        return {int(self._setting[lane]): self._chunk.image[lane] for lane in lanes}


def _take(tree: Any, seats: np.ndarray) -> Any:
    """Returns the rows of a tree for each lane; what all settings share has one row."""
    return jax.tree.map(lambda x: x[seats % x.shape[0]], tree)


def _spread(tree: Any) -> Any:
    """Spreads lanes over all devices."""
    devices = jax.devices()
    lanes = jax.tree.leaves(tree)[0].shape[0]
    if len(devices) < 2 or lanes == 1:
        return tree
    mesh = jax.sharding.Mesh(np.array(devices), ("lanes",))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("lanes"))
    return jax.device_put(tree, sharding)
