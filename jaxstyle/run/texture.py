"""Textures from style pictures only: the objective without its content term."""

import dataclasses
from collections.abc import Sequence

import jax.numpy as jnp

from jaxstyle.arrays import Image
from jaxstyle.configuration import configured
from jaxstyle.encoder import Encoder
from jaxstyle.evaluate.plan import Plan
from jaxstyle.losses.loss_weights import LossWeights
from jaxstyle.losses.objective import Objective
from jaxstyle.losses.pictures import Styles
from jaxstyle.run.checkpoint import Checkpoint
from jaxstyle.run.initial_image import Init
from jaxstyle.run.parameterisation import Parameterisation
from jaxstyle.run.progress import Callback, Result
from jaxstyle.run.schedule import Schedule
from jaxstyle.run.stylize import stylize
from jaxstyle.solvers import Solver

SCHEDULE = Schedule(scales=4, coarsest=48)
"""The default schedule of textures. A start from noise needs coarse scales, which lose no scene."""


@configured
def texture(
    style: Image | Sequence[Image] | Styles,
    shape: tuple[int, int],
    encoder: Encoder,
    *,
    objective: Objective | None = None,
    loss_weights: LossWeights | None = None,
    solver: Solver | None = None,
    schedule: Schedule | None = None,
    init: Init | Image | Checkpoint = "noise",
    variable: str | Parameterisation = "fourier",
    seed: int = 0,
    plan: Plan | None = None,
    callback: Callback | None = None,
    callback_every: Sequence[int] = (),
) -> Result:
    """Makes a texture in the style of a picture.

    :func:`jaxstyle.stylize` without content layers (Gatys, Ecker & Bethge 2015, arXiv:1505.07376).
    With an encoder with ``circular`` padding, opposite borders match, so the texture tiles; exactly
    if the sides are multiples of 16, the stride of the deepest features.

    Args:
        style: ``f32[h', w', 3]``, sRGB in [0, 1], or several, or :class:`~jaxstyle.Styles`.
        shape: Height and width of the texture in pixels.
        encoder: Network and pretrained parameters.
        objective: The terms; content layers are ignored.
        loss_weights: The weights of the terms.
        solver: As for ``stylize``.
        schedule: Sizes and iterations; None for :data:`SCHEDULE`.
        init: ``noise``, ``grey`` or ``style``, an image, or a checkpoint.
        variable: As for ``stylize``.
        seed: Seed of the noise.
        plan: As for ``stylize``.
        callback: As for ``stylize``.
        callback_every: As for ``stylize``.

    Raises:
        InputError: As for ``stylize``.

    Examples:
        >>> import jax, jaxstyle as js
        >>> style = jax.random.uniform(jax.random.key(0), (32, 32, 3))
        >>> encoder = js.load_encoder("random", padding="circular")
        >>> objective = js.Objective(style_layers=("image", "conv1_1"))
        >>> schedule = js.Schedule(iterations=2, scales=1)
        >>> texture(style, (16, 48), encoder, objective=objective, schedule=schedule).image.shape
        (16, 48, 3)
    """
    return stylize(
        jnp.full((*shape, 3), 0.5, jnp.float32),
        style,
        encoder,
        objective=dataclasses.replace(objective or Objective(), content_layers=()),
        loss_weights=loss_weights,
        solver=solver,
        schedule=schedule or SCHEDULE,
        init=init,
        variable=variable,
        seed=seed,
        plan=plan,
        callback=callback,
        callback_every=callback_every,
    )
