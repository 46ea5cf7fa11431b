"""The state of a run, from which another run can continue to the same result."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxstyle.arrays import Image
from jaxstyle.errors import InputError
from jaxstyle.evaluate.targets import Targets
from jaxstyle.run.chunks import Compiled
from jaxstyle.run.loop import Chunk, no_renewal
from jaxstyle.run.schedule import Scale


class Checkpoint(NamedTuple):
    """The state of a run after a chunk of iterations: a pytree, for files of any kind.

    Its arrays belong to the run, which reuses their memory as soon as a callback returns;
    ``jax.device_get`` copies what shall stay.

    Attributes:
        scale: Index of the present scale in the schedule's scales.
        step: Solver iterations done at this scale.
        evaluations: Evaluations of loss and gradient at the coarser scales.
        terms: The weighted value of each term after every iteration of all scales,
            ``{name: f32[steps]}``.
        image: The present image, not clipped.
        leaves: The solver's state, the moving average and renewed targets, as ``jax.tree.leaves``;
            with added rows where devices share the image.
    """

    scale: int
    step: int
    evaluations: int
    terms: dict[str, Float[Array | np.ndarray, "_"]]
    image: Image | np.ndarray
    leaves: list[Any]


def resumed(checkpoint: Checkpoint, compiled: Compiled, targets: Targets) -> Chunk:
    """Returns the last chunk of a checkpoint, for the programs of its scale.

    Raises:
        InputError: The checkpoint belongs to another kind of run.
    """
    program = compiled.program
    renewal = jax.eval_shape(lambda targets: no_renewal(targets, program), targets)
    shapes, structure = jax.tree.flatten((compiled.state, compiled.average, renewal))
    if len(checkpoint.leaves) != len(shapes):
        raise other_run()
    # Copies: the run's programs reuse their memory.
    pairs, height = zip(checkpoint.leaves, shapes, strict=True), checkpoint.image.shape[0]
    leaves = [program.layout.relay(leaf, wanted, height) for leaf, wanted in pairs]
    there, here = ([(a.shape, a.dtype) for a in arrays] for arrays in (leaves, shapes))
    if there != here:
        raise other_run()
    state, average, renewal = jax.tree.unflatten(structure, leaves)
    step, empty = jnp.int32(checkpoint.step), jnp.zeros((0, len(program.names)))
    return Chunk(
        step, state, average, renewal, jnp.array(checkpoint.image), empty, jnp.bool_(False)
    )


def check_scale(checkpoint: Checkpoint, scales: list[Scale]) -> None:
    """Checks that a checkpoint belongs to one of a run's scales.

    Raises:
        InputError: It does not.
    """
    at = checkpoint.scale
    if at >= len(scales) or scales[at].shape != checkpoint.image.shape[:2]:
        raise other_run()


def other_run() -> InputError:
    """Returns the error for a checkpoint of another run."""
    return InputError(
        "checkpoint: of other sizes, another solver or another schedule; continue with the "
        "settings of the run that wrote it"
    )
