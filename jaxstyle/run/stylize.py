"""The host verb: paint a content image in the manner of a style image.

Scales run from coarse to fine: large structures settle where an iteration is cheap, and the image
is then enlarged as the next scale's start. Between chunks of compiled iterations the caller hears
of the progress and may stop.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxstyle.arrays import Image, Masks, is_traced
from jaxstyle.configuration import configured
from jaxstyle.encoder import Encoder
from jaxstyle.errors import InputError
from jaxstyle.large.devices import sharded_targets
from jaxstyle.large.mesh import Mesh, Rows
from jaxstyle.losses.loss import Extra, LossTerms
from jaxstyle.losses.objective import LossWeights, Objective
from jaxstyle.losses.targets import make_targets
from jaxstyle.ops import resize
from jaxstyle.ops.colour import Colour, recolour, restore
from jaxstyle.run.ahead import ahead
from jaxstyle.run.chunks import Compiled, chunks, compile_programs
from jaxstyle.run.loop import Chunk, Data, Program, as_partial, make_program
from jaxstyle.run.parameterisation import Parameterisation
from jaxstyle.run.schedule import Scale, Schedule, fraction_done
from jaxstyle.run.sources import Sources, make_sources
from jaxstyle.run.start import Init, initial_image
from jaxstyle.solvers import Solver, SolverState

Status = Literal["finished", "converged", "stopped", "non-finite"]


class Progress(NamedTuple):
    """What a callback hears after every chunk.

    Attributes:
        step: Solver iterations done, over all scales.
        steps: Solver iterations planned, over all scales.
        fraction: Part of the work that is done, in [0, 1]: pixels × iterations.
        shape: Height and width of the present scale.
        terms: The weighted loss terms at the present image.
        image: The present image, not clipped.
    """

    step: int
    steps: int
    fraction: float
    shape: tuple[int, int]
    terms: LossTerms
    image: Image


Callback = Callable[[Progress], bool | None]
"""Hears of the progress; returns True to stop the run."""


class Result(NamedTuple):
    """What :func:`stylize` returns.

    Attributes:
        image: ``f32[h, w, 3]``, sRGB in [0, 1].
        terms: The weighted loss terms after every solver iteration, each ``f32[steps]``.
        evaluations: Evaluations of loss and gradient.
        status: ``finished``; ``converged`` before, when no step lowered the loss any further;
            ``stopped`` by the callback; or ``non-finite``, when the loss or its gradient overflowed
            and ``image`` is the last good one.
        overflowed: Where that happened: the names of terms, or ``gradient``; else nothing.
    """

    image: Image
    terms: LossTerms
    evaluations: int
    status: Status
    overflowed: tuple[str, ...] = ()


@configured
def stylize(
    content: Image,
    style: Image | Sequence[Image],
    encoder: Encoder,
    *,
    objective: Objective | None = None,
    loss_weights: LossWeights | None = None,
    solver: Solver | None = None,
    schedule: Schedule | None = None,
    init: Init | Image = "content",
    variable: str | Parameterisation = "image",
    colour: Colour = "style",
    blend: Sequence[float] | None = None,
    content_masks: Masks | None = None,
    style_masks: Sequence[Masks] | None = None,
    extra: Extra | None = None,
    seed: int = 0,
    callback: Callback | None = None,
    mesh: Mesh | None = None,
) -> Result:
    """Paints a content image in the manner of a style image.

    Minimises ``loss(image)`` over the image (Gatys, Ecker & Bethge 2016, "Image Style Transfer
    Using Convolutional Neural Networks"), coarse to fine (Gatys et al. 2017, arXiv:1611.07865). It
    runs on the host; under ``jit``, ``grad`` and ``vmap`` there is :func:`jaxstyle.optimise`.

    Args:
        content: ``f32[h, w, 3]``, sRGB in [0, 1], of the size that the result shall have.
        style: ``f32[h', w', 3]``, sRGB in [0, 1]; its size sets the size of the strokes. Or
            several.
        encoder: Network and pretrained parameters.
        objective: Which layers, statistic and so on; ``Objective()`` if None.
        loss_weights: How much each term counts; ``LossWeights()`` if None.
        solver: ``lbfgs()`` if None.
        schedule: Sizes and iterations; ``Schedule()`` if None.
        init: ``content``, ``matched`` (the content in the style's colours), ``style``, ``noise`` or
            ``grey``, or the image to start from.
        variable: What the solver moves: the ``image``, the ``encoder``'s input, a ``sigmoid``'s
            argument, which keeps the image in [0, 1], or its frequencies, weighted as in
            photographs (``fourier``); or a parameterisation of one's own.
        colour: ``style``, or how the content's colours are kept; see :mod:`jaxstyle.ops.colour`.
        blend: How much each of several styles counts; all alike if None.
        content_masks: One per region, ``f32[r, h, w]`` in [0, 1], adding up to 1 everywhere.
        style_masks: For each style as many, ``f32[r, h', w']``: whose style a region takes over.
        extra: A term of one's own, a pure function of the image at any scale; none if None.
        seed: Seed of the noise.
        callback: Hears of the progress after every chunk of iterations; returns True to stop.
        mesh: The devices that share the image, from :func:`jaxstyle.mesh`; one if None. Several
            processes all make the same call, and one that stops stops all.

    Returns:
        The image, the loss terms per iteration, the number of evaluations, and how it ended.

    Raises:
        InputError: A layer is none of the encoder's, a picture is under 16 px, numbers of styles,
            shares and masks disagree, options exclude each other, or it is being traced.

    Examples:
        >>> import jax, jaxstyle as js
        >>> content, style = jax.random.uniform(jax.random.key(0), (2, 32, 32, 3))
        >>> objective = js.Objective(content_layers=("conv2_1",), style_layers=("conv1_1",))
        >>> schedule = js.Schedule(iterations=5, scales=1)
        >>> encoder = js.load_encoder("random")
        >>> result = js.stylize(content, style, encoder, objective=objective, schedule=schedule)
        >>> result.image.shape, result.status
        ((32, 32, 3), 'finished')
    """
    if is_traced(content, style, encoder, loss_weights, content_masks, style_masks):
        raise InputError("stylize: runs on the host, not under jit, grad or vmap; use js.optimise")
    styles = list(style) if isinstance(style, Sequence) else [style]
    sources = make_sources(content, styles, blend, content_masks, style_masks)
    seen, styles = recolour(colour, sources.content, sources.styles)
    sources = sources._replace(content=seen, styles=list(styles))
    schedule, shape = schedule or Schedule(), resize.shape_of(content)
    program = make_program(objective, solver, variable, mesh)
    data = Data(
        targets=None,  # pyright: ignore[reportArgumentType] # of each scale
        # One type whatever is handed in, or another way of writing a number would recompile.
        loss_weights=program.replicate(jax.tree.map(jnp.float32, loss_weights or LossWeights())),
        encoder=program.prepare(encoder),
        extra=program.replicate(as_partial(extra)),
    )
    scales = schedule.scales_of(shape)
    first = scales[0].shape if scales else shape
    image = initial_image(init, sources.content, sources.styles[0], first, seed)
    run = _Run(jnp.array(image, jnp.float32), scales)
    for chunk in run.chunks(sources, data, program, schedule.average):
        stop = chunk.state.finite and callback and callback(run.progress(chunk))
        if program.agree(bool(stop)):
            run.stopped = True
            break
    image = jnp.clip(resize.resize(run.image, shape), 0.0, 1.0)
    return run.result(restore(colour, image, content))


class _Run:
    """A run on its way: what all its chunks have led to.

    Attributes:
        stopped: Whether the callback has asked for it.
    """

    def __init__(self, image: Image, scales: list[Scale]) -> None:
        self.stopped = False
        self._image, self._rows = image, None
        self._scales = scales
        self._terms = [np.zeros((0, len(LossTerms._fields)), np.float32)]
        self._evaluations = 0
        self._chunk: Chunk | None = None

    @property
    def image(self) -> Image:
        """The present one, not clipped."""
        return self._image if self._rows is None else self._rows.whole(self._image)

    def chunks(
        self, sources: Sources, data: Data, program: Program, decay: float
    ) -> Iterator[Chunk]:
        """Yields the chunks of all scales, each enlarging what the one before has come to."""
        prepared = _prepare(sources, self._scales, data, program)
        # Devices that share an image run one program after the other, in the same order everywhere.
        for scale, targets, compiled in prepared if program.mesh else ahead(prepared):
            before, spent, rows = self._chunk, self._evaluations, compiled.program.rows
            carried = before and _carry(before.state, program.solver, scale.shape, self._rows)
            image, data = resize.resize(self.image, scale.shape), data._replace(targets=targets)
            if rows is not None:
                image, carried = rows.lay((image, carried))
            self._rows = rows
            for chunk in chunks(
                image, scale.iterations, data, compiled, decay=decay, carried=carried
            ):
                self._image, self._chunk = chunk.image, chunk
                self._terms.append(np.asarray(chunk.terms)[: int(chunk.step)])
                self._evaluations = spent + int(chunk.state.evaluations)
                yield chunk
                if not chunk.state.finite:
                    return

    def progress(self, chunk: Chunk) -> Progress:
        """Returns what a callback hears."""
        step = sum(map(len, self._terms))
        # The state's own copy of the terms goes into the next chunk and is gone by then.
        terms = LossTerms(*np.asarray(chunk.terms)[int(chunk.step) - 1])
        fraction = fraction_done(self._scales, step)
        steps = sum(scale.iterations for scale in self._scales)
        image = self.image
        return Progress(step, steps, fraction, resize.shape_of(image), terms, image)

    def result(self, image: Image) -> Result:
        """Returns how it ended, with the image as it is handed out."""
        terms = LossTerms(*np.concatenate(self._terms).T)
        status, overflowed = "finished", ()
        if self._chunk is not None:
            status, overflowed = _status(self._chunk.state), _overflowed(self._chunk)
        return Result(
            image, terms, self._evaluations, "stopped" if self.stopped else status, overflowed
        )


def _status(state: SolverState) -> Status:
    if not state.finite:
        return "non-finite"
    return "converged" if state.stuck else "finished"


def _overflowed(chunk: Chunk) -> tuple[str, ...]:
    """Returns what was not finite in the step behind the last good one."""
    if chunk.state.finite:
        return ()
    terms = np.asarray(chunk.terms)[int(chunk.step)]
    names = zip(LossTerms._fields, np.isfinite(terms), strict=True)
    return tuple(name for name, finite in names if not finite) or ("gradient",)


def _carry(state: SolverState, solver: Solver, shape: tuple[int, int], rows: Rows | None) -> Any:
    """Returns what the solver remembers at another scale."""
    carried = partial(solver.carry, shape=shape)
    if rows is not None and jax.tree.leaves(jax.eval_shape(carried, state)):
        whole = jax.tree.map(lambda x: rows.whole(x) if x.ndim == 3 else x, state.inner)
        state = state._replace(inner=whole)
    return carried(state)


def _prepare(
    sources: Sources, scales: list[Scale], data: Data, program: Program
) -> Iterator[tuple[Scale, Any, Compiled]]:
    """Yields the scales with their targets and their programs."""
    state = None
    for scale in scales:
        scaled, program = sources.at(scale.shape), program.at(scale.shape)
        targets = (
            make_targets if program.mesh is None else partial(sharded_targets, mesh=program.mesh)
        )(
            scaled.content,
            scaled.styles,
            data.encoder,
            program.objective,
            blend=scaled.blend,
            content_masks=scaled.content_masks,
            style_masks=scaled.style_masks,
        )
        carried = state and jax.eval_shape(partial(program.solver.carry, shape=scale.shape), state)
        compiled = compile_programs(
            scaled.content, carried, data._replace(targets=targets), program
        )
        state = compiled.state
        yield scale, targets, compiled
