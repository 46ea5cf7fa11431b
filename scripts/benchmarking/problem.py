"""What both sides compute: the objective of the gatys recipe on two square pictures."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxstyle as js
from jaxstyle.compilation import jit
from jaxstyle.encoder import prepared
from jaxstyle.encoder.preprocessing import PREPROCESSINGS
from jaxstyle.losses.objective import Memory
from jaxstyle.run import chunks, loop

RECIPE = js.preset("gatys")
OBJECTIVE = RECIPE.make_objective()


class Problem(NamedTuple):
    """Everything that is handed to either side; arrays are NumPy's, so that they can be shipped.

    Attributes:
        params: Of the network, cut after the deepest layer.
        vgg: The network.
        preprocessing: Name of what the network sees.
        content: ``f32[h, w, 3]``, and where the descent starts.
        style: Likewise.
        objective: Of our side.
    """

    params: dict[str, dict[str, np.ndarray]]
    vgg: js.VGG
    preprocessing: str
    content: np.ndarray
    style: np.ndarray
    objective: js.Objective = OBJECTIVE

    @property
    def size(self) -> int:
        """Side of the pictures."""
        return len(self.content)

    @property
    def encoder(self) -> js.VGGEncoder:
        """Ours, not prepared yet."""
        return js.VGGEncoder(
            params=jax.tree.map(jnp.asarray, self.params),
            network=self.vgg,
            preprocessing=PREPROCESSINGS[self.preprocessing],
        )

    @property
    def loss_weights(self) -> js.LossWeights:
        """The recipe's."""
        return RECIPE.make_loss_weights()

    def data(self) -> loop.Data:
        """Returns what our side's loss is computed from."""
        ample = self.objective.memory != "low"
        encoder = prepared(self.encoder, self.objective.layers, ample=ample)
        # In tiles the content's features are written on the host, window by window.
        tiled = self.objective.memory == "tiles"
        make = js.make_targets if tiled else jax.jit(js.make_targets, static_argnums=3)
        pictures = jnp.asarray(self.content), jnp.asarray(self.style)
        targets = make(*pictures, encoder, self.objective)
        return loop.Data(targets, jax.tree.map(jnp.float32, self.loss_weights), encoder)

    def image(self) -> jax.Array:
        """Returns the image to start from."""
        return jnp.asarray(self.content)

    def evaluation(self) -> Callable[[], object]:
        """Returns one evaluation of our loss and gradient, to be called and waited for."""
        image, data = self.image(), self.data()
        return lambda: jax.block_until_ready(evaluate(image, *data[:3], self.objective))


def make_problem(encoder: js.VGGEncoder, size: int, memory: Memory = "high") -> Problem:
    """Makes a problem of smooth random pictures: what they show does not change the time."""
    noise = np.random.default_rng(0).random((2, max(size // 8, 2), max(size // 8, 2), 3), "float32")
    content, style = (
        np.clip(jax.image.resize(n, (size, size, 3), "cubic"), 0, 1).astype("float32")
        for n in noise
    )
    encoder = encoder.truncate(OBJECTIVE.layers)
    params = jax.tree.map(np.asarray, encoder.params)
    objective = dataclasses.replace(OBJECTIVE, memory=memory)
    return Problem(params, encoder.network, encoder.preprocessing.name, content, style, objective)


evaluate = jit(static_argnames=("objective",))(jax.value_and_grad(js.loss))
"""Our loss and gradient, compiled as the library compiles: ``(image, *data, objective)``."""


def begin(
    data: loop.Data, image: jax.Array, program: loop.Program
) -> tuple[loop.SolverState, loop.Average]:
    """Returns what :func:`proceed` goes on from: the loop's state before its first update."""
    return chunks.start(image, None, jnp.float32(0), data.encoder, program)


def proceed(
    before: tuple[loop.SolverState, loop.Average],
    steps: int,
    data: loop.Data,
    program: loop.Program,
) -> loop.Chunk:
    """Runs some iterations of the compiled loop and waits for them; ``before`` is used up."""
    chunk = chunks.advance(*before, jnp.int32(steps), jnp.float32(0), data, program)
    return jax.block_until_ready(chunk)
