"""A run whose image several devices share: its targets, and what one size hands to the next."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxstyle.encoder import Encoder
from jaxstyle.large.devices import guides_of, sharded_content_targets, sharded_style_targets
from jaxstyle.large.mesh import Rows, place
from jaxstyle.losses.targets import StyleTargets, Targets
from jaxstyle.losses.tiles import Scratch
from jaxstyle.run.loop import Program
from jaxstyle.run.sources import Sources
from jaxstyle.solvers import Solver, SolverState


def targets_of(
    sources: Sources,
    encoder: Encoder,
    program: Program,
    style: StyleTargets | None = None,
    scratch: Scratch | None = None,
) -> Targets:
    """Returns what the sources of a scale ask for, measured where the program computes.

    Args:
        sources: Of the scale.
        encoder: Network and pretrained parameters.
        program: What is computed, and by which devices.
        style: What the styles ask for, if that is known.
        scratch: Makes arrays for what tiles read in parts; in memory if None.
    """
    objective, mesh, masks = program.objective, program.mesh, sources.content_masks
    if mesh is None:
        return sources.targets(encoder, objective, style, scratch)
    if style is None:
        style = sharded_style_targets(
            sources.styles,
            encoder,
            objective,
            mesh=mesh,
            shape=(sources.content.shape[0], sources.content.shape[1]),
            blend=sources.blend,
            masks=sources.style_masks,
        )
    return Targets(
        sharded_content_targets(sources.content, encoder, objective, mesh=mesh),
        mesh.replicate(style),
        {} if masks is None else guides_of(masks, encoder, objective, mesh),
    )


def carry(state: SolverState, solver: Solver, shape: tuple[int, int], rows: Rows | None) -> Any:
    """Returns what the solver remembers at another scale.

    Args:
        state: Of a smaller one.
        solver: Whose it is.
        shape: Height and width of the other.
        rows: How the images in the state lie on several devices; None if on one.
    """
    carried = partial(solver.carry, shape=shape)
    if rows is not None and jax.tree.leaves(jax.eval_shape(carried, state)):
        whole = jax.tree.map(lambda x: rows.whole(x) if x.ndim == 3 else x, state.inner)
        state = state._replace(inner=whole)
    return carried(state)


def relaid(leaf: Any, wanted: Any, height: int, rows: Rows | None) -> Array:
    """Returns a copy of an array of a checkpoint's as devices hold it, as many as there are now.

    Args:
        leaf: With what hung over the shares that it was in.
        wanted: Its shape and how it shall lie.
        height: Of the image.
        rows: How the rows shall be shared out; None for one device.
    """
    if np.ndim(leaf) >= 3 and np.shape(leaf) != wanted.shape:
        leaf = np.asarray(leaf)[..., :height, :, :]
        leaf = leaf if rows is None else rows.pad(jnp.asarray(leaf), leaf.ndim - 3)
    leaf = jnp.array(leaf)
    return leaf if rows is None else place(leaf, wanted.sharding)
