"""The pure verb: the whole optimisation at one size, as a function to be transformed."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from jaxstyle.arrays import Image, check_image, is_traced, widen
from jaxstyle.configuration import configured
from jaxstyle.encoder import Encoder
from jaxstyle.errors import InputError
from jaxstyle.evaluate.loss import Terms
from jaxstyle.evaluate.plan import Plan
from jaxstyle.evaluate.targets import Targets
from jaxstyle.evaluate.whole import WHOLE
from jaxstyle.losses.loss_weights import LossWeights
from jaxstyle.losses.objective import Objective
from jaxstyle.run.loop import Data, Tolerance, begin, iterate, make_program, no_renewal
from jaxstyle.run.parameterisation import Parameterisation
from jaxstyle.solvers import Solver


class Optimised(NamedTuple):
    """What :func:`optimise` returns, all arrays.

    Attributes:
        image: ``f32[h, w, 3]``, not clipped.
        terms: The weighted value of each term after every iteration, ``{name: f32[iterations]}``;
            after an early end the last value is repeated.
        iterations: Number of solver iterations.
        evaluations: Number of evaluations of loss and gradient.
        converged: Whether no step lowered the loss any further, or the tolerance was reached.
        finite: Whether loss and gradient stayed finite; else the image is the last good one.
    """

    image: Image
    terms: Terms
    iterations: Int[Array, ""]
    evaluations: Int[Array, ""]
    converged: Bool[Array, ""]
    finite: Bool[Array, ""]


@configured
def optimise(
    image: Image,
    targets: Targets,
    loss_weights: LossWeights,
    encoder: Encoder,
    objective: Objective,
    *,
    iterations: int,
    solver: Solver | None = None,
    variable: str | Parameterisation = "image",
    average: float = 0.0,
    tolerance: float = 0.0,
    patience: int = 10,
    plan: Plan = WHOLE,
) -> Optimised:
    """Minimises the loss over the image, at one size: pure, for ``jit``, ``vmap`` and ``scan``.

    ``image ← argmin loss(image)`` by the solver's steps. Under ``vmap`` a turn of the loop is one
    evaluation of every lane, wherever its line search stands. The function has no derivatives: the
    number of evaluations depends on the numbers. docs/extending.md shows how to differentiate
    through its result.

    Args:
        image: Initial image, ``f32[h, w, 3]``, sRGB in [0, 1].
        targets: From :func:`make_targets`, for the same size, encoder and objective.
        loss_weights: Numbers ≥ 0.
        encoder: Network and pretrained parameters; it is prepared before the loop.
        objective: The terms, as for the targets; static.
        iterations: Maximum number of solver iterations, ≥ 0; static.
        solver: ``lbfgs()`` if None; static.
        variable: What the solver moves, as for :func:`stylize`; static.
        average: Decay of the moving average of images that is the result, in [0, 1); 0 for the last
            image.
        tolerance: Stop when the loss has fallen by less than this fraction in the last ``patience``
            iterations; 0 to run all iterations; static.
        patience: Number of iterations, ≥ 1; static.
        plan: How sums are evaluated; static.

    Raises:
        InputError: As for :func:`jaxstyle.loss`, or options exclude each other.

    Examples:
        Three style weights at once:

        >>> import jax, jaxstyle as js
        >>> encoder = js.load_encoder("random")
        >>> content, style = jax.random.uniform(jax.random.key(0), (2, 32, 32, 3))
        >>> objective = js.Objective(content_layers=("conv2_1",), style_layers=("conv1_1",))
        >>> targets = js.make_targets(content, style, encoder, objective)
        >>> weights = js.LossWeights(style=jax.numpy.array([1.0, 3.0, 10.0]))
        >>> paint = lambda w: js.optimise(content, targets, w, encoder, objective, iterations=3)
        >>> jax.vmap(paint, in_axes=(weights.axes(),))(weights).image.shape
        (3, 32, 32, 3)
    """
    check_image("image", image)
    _check_count("iterations", iterations, 0)
    _check_count("patience", patience, 1)
    shape = image.shape[0], image.shape[1]
    program = make_program(objective, solver, variable, plan).at(shape)
    data = Data(targets, loss_weights, program.prepare(encoder))
    image, layout = widen(jnp.asarray(image)), program.layout
    image = layout.hold(layout.pad(image), shape[1])
    decay = jnp.asarray(average, image.dtype)
    state, mean = begin(image, None, decay, data.encoder, program)
    # At least one row, for the first evaluation of a run without iterations.
    chunk = iterate(
        state,
        mean,
        no_renewal(targets, program),
        jnp.int32(iterations),
        decay,
        data,
        program,
        rows=max(iterations, 1),
        tolerance=Tolerance(tolerance, patience) if tolerance else None,
    )
    last = jnp.minimum(jnp.arange(iterations), jnp.maximum(chunk.step - 1, 0))
    return Optimised(
        image=chunk.image[: shape[0]],
        terms=dict(zip(program.names, chunk.terms[last].T, strict=True)),
        iterations=chunk.step,
        evaluations=chunk.state.evaluations,
        converged=chunk.state.stalled | chunk.slow,
        finite=chunk.state.finite,
    )


def _check_count(name: str, number: int, least: int) -> None:
    if is_traced(number):
        raise InputError(f"{name}: is traced; give a Python integer, which is static")
    if number < least:
        raise InputError(f"{name} {number}: too small; give at least {least}")
