"""The host verb: paint a content image in the manner of a style image.

Scales run from coarse to fine: large structures settle where an iteration is cheap, and the image
is then enlarged as the next scale's start. Between chunks of compiled iterations the caller hears
of the progress and may stop.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxstyle.arrays import Image, Masks, is_traced
from jaxstyle.configuration import configured
from jaxstyle.encoder import Encoder
from jaxstyle.errors import InputError
from jaxstyle.large.mesh import Mesh, Rows
from jaxstyle.losses.loss import Extra, LossTerms
from jaxstyle.losses.objective import LossWeights, Objective
from jaxstyle.losses.targets import StyleTargets
from jaxstyle.losses.tiles import Scratch
from jaxstyle.ops import resize
from jaxstyle.ops.colour import Colour, recolour, restore
from jaxstyle.run.ahead import ahead
from jaxstyle.run.checkpoint import Checkpoint, check_scale, resumed
from jaxstyle.run.chunks import Compiled, chunks, compile_scales
from jaxstyle.run.loop import Chunk, Data, Program, as_partial, make_program
from jaxstyle.run.parameterisation import Parameterisation
from jaxstyle.run.progress import Callback, Progress, Result, overflowed_in, status_of
from jaxstyle.run.schedule import Scale, Schedule, fraction_done
from jaxstyle.run.shares import carry
from jaxstyle.run.sources import Sources, make_sources
from jaxstyle.run.start import Init, initial_image
from jaxstyle.solvers import Solver


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
    style_targets: Sequence[StyleTargets] | None = None,
    extra: Extra | None = None,
    seed: int = 0,
    callback: Callback | None = None,
    callback_every: Sequence[int] = (),
    resume: Checkpoint | None = None,
    scratch: Scratch | None = None,
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
        style_targets: What the styles ask for at each scale, from ``scale_style_targets``; made
            here if None, as where the content's colours are kept.
        extra: A term of one's own, a pure function of the image at any scale; none if None.
        seed: Seed of the noise.
        callback: Hears of the progress after every chunk of iterations; returns True to stop.
        callback_every: Numbers of iterations, over all scales; a chunk ends at each multiple of any
            of them. The result is the same with and without.
        resume: A ``Progress.checkpoint`` of the same run, to go on from; the end is the same to the
            bit. None begins anew.
        scratch: Makes arrays for what tiles read in parts, as for :func:`jaxstyle.make_targets`.
        mesh: The devices that share the image, from :func:`jaxstyle.mesh`; one if None. Several
            processes all make the same call, and one that stops stops all.

    Returns:
        The image, the loss terms per iteration, the number of evaluations, and how it ended.

    Raises:
        InputError: A layer is none of the encoder's, a picture is under 16 px, numbers of styles,
            shares and masks disagree, options exclude each other, the checkpoint is of a run of
            other sizes, or it is being traced.

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
    for number in callback_every:
        if number < 1:
            raise InputError(f"callback_every {number}: no number of iterations; give 1 or more")
    if resume is not None and mesh is not None and mesh.processes > 1:
        raise InputError("resume: not by several processes; go on in one, with all of its devices")
    if colour == "style":
        sources = sources._replace(made=style_targets)
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
    if sources.made is not None and len(sources.made) != len(scales):
        count = f"{len(sources.made)} for {len(scales)} scales"
        raise InputError(f"style_targets: {count}; make them for this size and schedule")
    first = scales[0].shape if scales else shape
    image = initial_image(init, sources.content, sources.styles[0], first, seed)

    def finished(image: Image) -> Image:
        own_size = resize.resize(content, resize.shape_of(image))
        return restore(colour, jnp.clip(image, 0.0, 1.0), own_size)

    run = _Run(jnp.array(image, jnp.float32), scales, finished, resume)
    for chunk in run.chunks(sources, data, program, schedule.average, callback_every, scratch):
        # Also of what was done before the loss overflowed.
        stop = callback and int(chunk.step) and callback(run.progress(chunk)) and chunk.state.finite
        if program.agree(bool(stop)):
            run.stopped = True
            break
    return run.result(finished(resize.resize(run.image, shape)))


class _Run:
    """A run on its way: what all its chunks have led to.

    Attributes:
        stopped: Whether the callback has asked for it.
    """

    def __init__(
        self,
        image: Image,
        scales: list[Scale],
        finished: Callable[[Image], Image],
        resume: Checkpoint | None,
    ) -> None:
        none = np.zeros((0, len(LossTerms._fields)), np.float32)
        start = resume or Checkpoint(0, 0, 0, none, image, [])
        if resume is not None:
            check_scale(resume, scales)
        self.stopped = False
        self._image = jnp.asarray(start.image)
        self._rows: Rows | None = None
        self._finished = finished
        self._resume = resume
        self._scales, self._scale = scales, int(start.scale)
        self._terms = [np.asarray(start.terms)]
        # What the coarser scales took.
        self._before, self._spent = len(start.terms) - int(start.step), int(start.evaluations)
        self._chunk: Chunk | None = None

    @property
    def image(self) -> Image:
        """The present one, not clipped."""
        return self._image if self._rows is None else self._rows.whole(self._image)

    def chunks(
        self,
        sources: Sources,
        data: Data,
        program: Program,
        decay: float,
        every: Sequence[int],
        scratch: Scratch | None,
    ) -> Iterator[Chunk]:
        """Yields the chunks of all scales, each enlarging what the one before has come to."""
        compiled_scales = compile_scales(
            sources, self._scales[self._scale :], data, program, self._scale > 0, scratch
        )
        # Devices that share an image run one program after the other, in the same order everywhere;
        # and beside a tile of this scale there is no memory for one of the next.
        waits = program.mesh or program.objective.memory == "tiles"
        prepared = compiled_scales if waits else ahead(compiled_scales)
        for scale, targets, compiled in prepared:
            begun = self._enter(scale, compiled)
            image = compiled.program.lay(resize.resize(self.image, scale.shape))
            data, self._rows = data._replace(targets=targets), compiled.program.rows
            for chunk in chunks(
                image,
                scale.iterations,
                data,
                compiled,
                decay=decay,
                before=self._before,
                every=every,
                **begun,
            ):
                self._image, self._chunk = chunk.image, chunk
                self._terms.append(np.asarray(chunk.terms)[: int(chunk.step)])
                yield chunk
                if not chunk.state.finite:
                    return

    def _enter(self, scale: Scale, compiled: Compiled) -> dict[str, Any]:
        """Returns what a scale begins with: a checkpoint, or what the coarser one remembers."""
        resume, self._resume = self._resume, None
        if resume is not None:
            self._chunk = resumed(resume, compiled)
            return {"resumed": self._chunk}
        if self._chunk is None:
            return {}
        self._scale += 1
        self._before, self._spent = self._steps, self._evaluations
        program = compiled.program
        carried = carry(self._chunk.state, program.solver, scale.shape, self._rows)
        return {"carried": program.lay(carried)}

    @property
    def _steps(self) -> int:
        return sum(map(len, self._terms))

    @property
    def _evaluations(self) -> int:
        here = 0 if self._chunk is None else int(self._chunk.state.evaluations)
        return self._spent + here

    def _checkpoint(self, chunk: Chunk, image: Image) -> Checkpoint:
        return Checkpoint(
            self._scale,
            self._steps - self._before,
            self._spent,
            np.concatenate(self._terms),
            image,
            jax.tree.leaves((chunk.state, chunk.average)),
        )

    def progress(self, chunk: Chunk) -> Progress:
        """Returns what a callback hears."""
        image = self.image
        recent: Any = self._terms[-1]
        one_process = self._rows is None or self._rows.mesh.processes == 1
        return Progress(
            step=self._steps,
            steps=sum(scale.iterations for scale in self._scales),
            fraction=fraction_done(self._scales, self._steps),
            shape=resize.shape_of(image),
            # The state's own copy of the terms goes into the next chunk and is gone by then.
            terms=LossTerms(*recent[-1]),
            image=image,
            scale=self._scale + 1,
            scales=len(self._scales),
            recent=LossTerms(*recent.T),
            picture=lambda: self._finished(image),
            checkpoint=self._checkpoint(chunk, image)
            if chunk.state.finite and one_process
            else None,
        )

    def result(self, image: Image) -> Result:
        """Returns how it ended, with the image as it is handed out."""
        terms = LossTerms(*np.concatenate(self._terms).T)
        status, overflowed = "finished", ()
        if self._chunk is not None:
            status, overflowed = status_of(self._chunk), overflowed_in(self._chunk)
        return Result(
            image, terms, self._evaluations, "stopped" if self.stopped else status, overflowed
        )
