"""The pure verb: the whole optimisation at one size, as a function to be transformed."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from jaxstyle.arrays import Image, check_image, widen
from jaxstyle.configuration import configured
from jaxstyle.encoder import Encoder
from jaxstyle.large.mesh import Mesh
from jaxstyle.large.sharded import check_shared
from jaxstyle.losses.loss import Extra, LossTerms
from jaxstyle.losses.objective import LossWeights, Objective
from jaxstyle.losses.targets import Targets
from jaxstyle.run.loop import Data, as_partial, begin, iterate, make_program
from jaxstyle.run.parameterisation import Parameterisation
from jaxstyle.solvers import Solver


class Optimised(NamedTuple):
    """What :func:`optimise` returns, all arrays.

    Attributes:
        image: ``f32[h, w, 3]``, not clipped.
        terms: The weighted loss terms after every iteration, each ``f32[iterations]``; after an
            early end they stay as they were.
        iterations: Solver iterations done.
        evaluations: Evaluations of loss and gradient.
        converged: Whether no step lowered the loss any further.
        finite: Whether loss and gradient stayed finite; else the image is the last good one.
    """

    image: Image
    terms: LossTerms
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
    extra: Extra | None = None,
    average: float = 0.0,
    mesh: Mesh | None = None,
) -> Optimised:
    """Minimises the loss over the image, at one size: pure, for ``jit``, ``vmap`` and ``scan``.

    ``image ← argmin loss(image)`` by the solver's steps. Under ``vmap`` a turn of the loop is one
    evaluation of every lane, whatever its line search has come to. It has no derivatives of its
    own: the number of evaluations depends on the numbers.

    Args:
        image: What to start from, ``f32[h, w, 3]``, sRGB in [0, 1].
        targets: From ``make_targets``, for the same size, encoder and objective.
        loss_weights: Numbers ≥ 0.
        encoder: Network and pretrained parameters.
        objective: The same as for the targets; static.
        iterations: Solver iterations at most, ≥ 0; static.
        solver: ``lbfgs()`` if None; static.
        variable: What the solver moves, as for ``stylize``; static.
        extra: A term of one's own, a pure function of the image; none if None.
        average: Decay of the moving average of images that is the result, in [0, 1); 0 for the
            last image.
        mesh: The devices that share the image, from :func:`jaxstyle.mesh`; one if None; static.

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
    program = make_program(objective, solver, variable, mesh)
    if mesh is not None:
        check_shared(encoder, objective)
    program = program.at((image.shape[0], image.shape[1]))
    data = Data(targets, loss_weights, encoder, as_partial(extra))
    height, image = image.shape[0], widen(jnp.asarray(image))
    if program.rows is not None:
        image = program.hold(program.rows.pad(image), image)
    decay = jnp.asarray(average, image.dtype)
    state, mean = begin(image, None, decay, encoder, program)
    steps = jnp.int32(iterations)
    # At least one row, that the first evaluation of a run without iterations has a place.
    chunk = iterate(state, mean, steps, decay, data, program, rows=max(iterations, 1))
    last = jnp.minimum(jnp.arange(iterations), jnp.maximum(chunk.step - 1, 0))
    return Optimised(
        image=chunk.image[:height],
        terms=LossTerms(*chunk.terms[last].T),
        iterations=chunk.step,
        evaluations=chunk.state.evaluations,
        converged=chunk.state.stuck,
        finite=chunk.state.finite,
    )
