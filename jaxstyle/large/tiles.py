"""The loss and its gradient in tiles, as a function by itself."""

import dataclasses

import jax

from jaxstyle.arrays import Image, Scalar
from jaxstyle.encoder import Encoder
from jaxstyle.losses.loss import Extra, loss
from jaxstyle.losses.objective import LossWeights, Objective
from jaxstyle.losses.targets import Targets


def tiled_value_and_grad(
    image: Image,
    targets: Targets,
    loss_weights: LossWeights,
    encoder: Encoder,
    objective: Objective,
    *,
    extra: Extra | None = None,
    tile: int | None = None,
) -> tuple[Scalar, Image]:
    """Returns the loss and its gradient, in memory for the activations of one tile.

    Equal to ``jax.value_and_grad(js.loss)`` but for rounding. A first pass over the tiles adds up
    their statistics; these are compared with the targets once; a second pass pulls the gradient of
    the statistics back through each tile. Pure; works under ``jit`` and in loops.

    Args:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        targets: From :func:`make_targets`, for the same size, encoder and objective.
        loss_weights: Numbers ≥ 0.
        encoder: Network and pretrained parameters; one that tells its receptive fields.
        objective: The same as for the targets.
        extra: A term of one's own, a pure function of the image; none if None.
        tile: Pixels: a tile has no more of them than a square of this side; the objective's if
            None.

    Raises:
        InputError: As for :func:`jaxstyle.loss`; or the statistic is no sum over positions, or the
            encoder does not tell its receptive fields.

    Examples:
        >>> import jax, jaxstyle as js
        >>> encoder = js.load_encoder("random")
        >>> content, style = jax.random.uniform(jax.random.key(0), (2, 40, 56, 3))
        >>> objective = js.Objective(content_layers=("conv2_1",), style_layers=("conv1_1",))
        >>> targets = js.make_targets(content, style, encoder, objective)
        >>> weights = js.LossWeights()
        >>> arguments = content, targets, weights, encoder, objective
        >>> value, gradient = js.tiled_value_and_grad(*arguments, tile=24)
        >>> bool(jax.numpy.allclose(value, js.loss(*arguments), rtol=1e-5)), gradient.shape
        (True, (40, 56, 3))
    """
    tiled = dataclasses.replace(objective, memory="tiles", tile=tile or objective.tile)
    return jax.value_and_grad(loss)(image, targets, loss_weights, encoder, tiled, extra=extra)
