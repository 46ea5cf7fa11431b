"""Where a run stands, handed out so that another one can go on from there to the same end."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxstyle.arrays import Image
from jaxstyle.errors import InputError
from jaxstyle.run.chunks import Compiled
from jaxstyle.run.loop import Chunk
from jaxstyle.run.schedule import Scale
from jaxstyle.run.shares import relaid


class Checkpoint(NamedTuple):
    """Where a run stands after a chunk of iterations: a pytree, for files of any kind.

    Its arrays belong to the run, which goes on in their memory as soon as a callback returns;
    ``jax.device_get`` copies what shall stay.

    Attributes:
        scale: Index of the present scale, of those that the schedule has.
        step: Solver iterations done at this scale.
        evaluations: Evaluations of loss and gradient at the coarser scales.
        terms: The weighted loss terms after every iteration of all scales, ``f32[steps, 4]``.
        image: The present image, not clipped.
        leaves: What the solver remembers and the moving average, as ``jax.tree.leaves`` has them;
            images in it with the rows that hang over where devices share them.
    """

    scale: int
    step: int
    evaluations: int
    terms: Float[Array | np.ndarray, "_ _"]
    image: Image | np.ndarray
    leaves: list[Any]


def resumed(checkpoint: Checkpoint, compiled: Compiled) -> Chunk:
    """Returns what a checkpoint's last chunk led to, for the programs of its scale.

    Raises:
        InputError: It is of another kind of run.
    """
    shapes, structure = jax.tree.flatten((compiled.state, compiled.average))
    height, rows = checkpoint.image.shape[0], compiled.program.rows
    if len(checkpoint.leaves) != len(shapes):
        raise other_run()
    # Copies: the run's memory is given to its programs.
    pairs = zip(checkpoint.leaves, shapes, strict=True)
    leaves = [relaid(leaf, wanted, height, rows) for leaf, wanted in pairs]
    there, here = ([(a.shape, a.dtype) for a in arrays] for arrays in (leaves, shapes))
    if there != here:
        raise other_run()
    state, average = jax.tree.unflatten(structure, leaves)
    terms, image = jnp.asarray(checkpoint.terms), jnp.array(checkpoint.image)
    return Chunk(jnp.int32(checkpoint.step), state, average, image, terms)


def check_scale(checkpoint: Checkpoint, scales: list[Scale]) -> None:
    """Refuses a checkpoint that is of none of a run's scales.

    Raises:
        InputError: It is.
    """
    at = checkpoint.scale
    if at >= len(scales) or scales[at].shape != checkpoint.image.shape[:2]:
        raise other_run()


def other_run() -> InputError:
    """Returns the error for a checkpoint that does not fit."""
    return InputError(
        "resume: a checkpoint of other sizes, or of another solver or schedule; go on with the "
        "settings of the run that it is from"
    )
