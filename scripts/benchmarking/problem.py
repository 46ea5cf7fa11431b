"""The loss of the gatys recipe on two random pictures: every use of jaxstyle is here."""

import dataclasses
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

import jaxstyle as js
from jaxstyle.encoder.vgg import block_of
from jaxstyle.pretrained import random_encoder
from jaxstyle.recipes.paint import encoder_of, prepare_styles

from .timing import Side, seconds

RECIPE = js.preset("gatys")
PlanName = Literal["whole", "tiles"]


def parse(size: str) -> tuple[int, int]:
    """Returns the height and width of ``512`` or ``512x384``, width first."""
    width, _, height = size.partition("x")
    return int(height or width), int(width)


@dataclasses.dataclass(frozen=True)
class Problem:
    """What both sides compute.

    Attributes:
        encoder_name: Name or file of the encoder.
        shape: Height and width of the pictures.
        plan: How jaxstyle evaluates the sums of the loss.
        tile: Side of a tile in pixels.
        precision: Of jaxstyle's convolutions on accelerators.
    """

    encoder_name: str
    shape: tuple[int, int]
    plan: PlanName = "whole"
    tile: int = js.Tiles.side
    precision: Any = "highest"

    @cached_property
    def objective(self) -> js.Objective:
        """The terms of the loss."""
        return RECIPE.make_objective()

    @cached_property
    def how(self) -> js.Plan:
        """The plan as an object."""
        return js.Tiles(self.tile) if self.plan == "tiles" else js.Whole()

    @cached_property
    def loss_weights(self) -> js.LossWeights:
        """The recipe's."""
        return jax.tree.map(jnp.float32, RECIPE.make_loss_weights())

    @cached_property
    def encoder(self) -> js.VGGEncoder:
        """Network and pretrained parameters, with zero padding and maxima as in PyTorch's code."""
        if self.encoder_name == "random":
            encoder = random_encoder(js.VGG19.clone(pooling="max", padding="zeros"))
        else:
            encoder = js.load_encoder(self.encoder_name, pooling="max", padding="zeros")
        network = encoder.network.clone(precision=self.precision)
        return dataclasses.replace(encoder, network=network).truncate(self.objective.layers)

    @cached_property
    def prepared(self) -> Any:
        """The encoder with everything computed that depends on its parameters alone."""
        return js.prepare(self.encoder, self.objective)

    @cached_property
    def pictures(self) -> tuple[jax.Array, jax.Array]:
        """Smooth noise as content and style; what they show does not change the time."""
        small = tuple(max(side // 8, 2) for side in self.shape)
        noise = np.random.default_rng(0).random((2, *small, 3), "float32")
        content, style = (jax.image.resize(n, (*self.shape, 3), "cubic").clip(0, 1) for n in noise)
        return content, style

    @cached_property
    def targets(self) -> dict[str, js.Target]:
        """The targets of both pictures."""
        return js.make_targets(*self.pictures, self.prepared, self.objective, plan=self.how)

    def gradient(self, image: jax.Array | None = None, **jit: Any) -> tuple[jax.Array, jax.Array]:
        """Returns the loss and its gradient, by default at the content image."""
        return self.value_and_grad(**jit)(self.pictures[0] if image is None else image)

    def value_and_grad(self, **jit: Any) -> Callable[[jax.Array], Any]:
        """Returns the compiled loss and gradient; options are those of ``jax.jit``."""
        compiled = jax.jit(jax.value_and_grad(js.loss), **jit)
        arguments = self.targets, self.loss_weights, self.prepared, self.objective
        return lambda image: jax.block_until_ready(compiled(image, *arguments, plan=self.how))

    def stylize(self, iterations: int) -> js.Result:
        """Runs ``js.stylize`` at one scale."""
        schedule = js.Schedule(iterations=iterations, scales=1)
        settings: dict[str, Any] = {"objective": self.objective, "plan": self.how}
        settings["loss_weights"] = self.loss_weights
        result = js.stylize(
            *self.pictures, self.encoder, solver=js.lbfgs(), schedule=schedule, **settings
        )
        return jax.block_until_ready(result)

    def optimise(self, iterations: int) -> Callable[[], js.Optimised]:
        """Returns a run of ``jax.jit(js.optimise)``."""
        compiled = jax.jit(js.optimise, static_argnames=("iterations", "solver"))
        arguments = self.pictures[0], self.targets, self.loss_weights, self.encoder, self.objective
        options: dict[str, Any] = {"iterations": iterations, "solver": js.lbfgs()}
        options["plan"] = self.how
        return lambda: jax.block_until_ready(compiled(*arguments, **options))

    def sides(self, iterations: int) -> dict[str, Side]:
        """Returns the ways to evaluate loss and gradient: seconds per evaluation of each.

        ``value_and_grad`` is one evaluation by itself with a prepared encoder; ``options`` the
        same with jaxstyle's compiler options; ``optimise`` and ``stylize`` are runs. The targets,
        which ``stylize`` makes, do not count: a run of one iteration is subtracted.
        """
        options = js.compilation.compiler_options()
        plain, tuned = self.value_and_grad(), self.value_and_grad(compiler_options=options)
        image, optimise = self.pictures[0], self.optimise(iterations)

        def timed(run: Callable[[], Any]) -> tuple[float, int]:
            results = []
            return seconds(lambda: results.append(run())), int(results[0].evaluations)

        def of_stylize() -> float:
            (long, many), (short, few) = (
                timed(lambda n=n: self.stylize(n)) for n in (iterations, 1)
            )
            return (long - short) / (many - few)

        def of_optimise() -> float:
            spent, evaluations = timed(optimise)
            return spent / evaluations

        return {
            "value_and_grad": lambda: seconds(lambda: plain(image)),
            "options": lambda: seconds(lambda: tuned(image)),
            "optimise": of_optimise,
            "stylize": of_stylize,
        }

    def operations(self) -> int:
        """Counts the multiplications and additions of one loss and gradient.

        ``2·9·n·i·o`` for each convolution of ``n`` positions, ``i`` to ``o`` channels, and as many
        for its adjoint; ``2·n·c²`` for each Gram matrix, and as many for its gradient.
        """
        total = 0
        for name, parameters in self.encoder.params.items():
            height, width = (side >> (block_of(name) - 1) for side in self.shape)
            inputs, outputs = parameters["kernel"].shape[2:]
            total += 2 * 2 * 9 * height * width * inputs * outputs
            if name in self.objective.style_layers:
                total += 2 * 2 * height * width * outputs**2
        return total


def paint_again(recipe: js.Recipe, content: Path, style: Path) -> Callable[[], object]:
    """Returns a job whose pictures, encoder and style targets are all there: its own loop."""
    photograph, painting = js.load_image(content), js.load_image(style)
    encoder = encoder_of(recipe)
    height, width, _ = photograph.shape
    styles = prepare_styles(recipe, painting, recipe.shape_of((height, width)), encoder)
    return lambda: js.paint(recipe, photograph, styles, encoder=encoder).image.block_until_ready()
