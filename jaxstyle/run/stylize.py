"""The host verb: paint a content picture in the style of another picture.

Scales run from coarse to fine: large structures form where iterations are cheap, and the image is
then enlarged for the next scale. Between chunks of compiled iterations the caller receives the
progress and may stop the run.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxstyle.arrays import Image, check_picture, is_traced
from jaxstyle.configuration import configured
from jaxstyle.encoder import Encoder
from jaxstyle.errors import InputError
from jaxstyle.evaluate.plan import ONE_DEVICE, Layout, Plan
from jaxstyle.losses.loss_weights import LossWeights
from jaxstyle.losses.objective import Objective
from jaxstyle.losses.pictures import Scene, Styles
from jaxstyle.ops import resize
from jaxstyle.ops.colour import Colour, recolour, restore
from jaxstyle.run.checkpoint import Checkpoint, check_scale, resumed
from jaxstyle.run.chunks import Compiled, chunks, compile_scales
from jaxstyle.run.initial_image import Init, initial_image
from jaxstyle.run.loop import Chunk, Data, Program, make_program
from jaxstyle.run.parameterisation import Parameterisation
from jaxstyle.run.prefetch import prefetch
from jaxstyle.run.progress import Callback, Progress, Result, overflowed_in, status_of
from jaxstyle.run.schedule import Scale, Schedule, fraction_done
from jaxstyle.run.sources import Sources, make_sources
from jaxstyle.solvers import Solver

# Distance by which an initial image may leave [0, 1], since it may be the result of a run.
_OUTSIDE = 1.0


@configured
def stylize(
    content: Image | Scene,
    style: Image | Sequence[Image] | Styles,
    encoder: Encoder,
    *,
    objective: Objective | None = None,
    loss_weights: LossWeights | None = None,
    solver: Solver | None = None,
    schedule: Schedule | None = None,
    init: Init | Image | Checkpoint = "content",
    variable: str | Parameterisation = "image",
    colour: Colour = "style",
    seed: int = 0,
    plan: Plan | None = None,
    callback: Callback | None = None,
    callback_every: Sequence[int] = (),
) -> Result:
    """Paints a content picture in the style of another picture.

    Minimises the loss over the image (Gatys, Ecker & Bethge 2016, "Image Style Transfer Using
    Convolutional Neural Networks"), from coarse to fine (Gatys et al. 2017, arXiv:1611.07865). The
    function runs on the host; :func:`jaxstyle.optimise` works under ``jit`` and ``vmap``.

    Args:
        content: ``f32[h, w, 3]``, sRGB in [0, 1], of the size of the result; or a
            :class:`~jaxstyle.Scene` with masks and data.
        style: ``f32[h', w', 3]``, sRGB in [0, 1]; its size determines the size of the strokes. Or
            several, or :class:`~jaxstyle.Styles` with a blend, masks and prepared targets.
        encoder: Network and pretrained parameters.
        objective: The terms; None for ``Objective()``.
        loss_weights: The weights of the terms; None for ``LossWeights()``.
        solver: The solver; None for ``lbfgs()``.
        schedule: Sizes and iterations; None for ``Schedule()``.
        init: The initial image: ``content``, ``matched`` (the content in the style's colours),
            ``style``, ``noise`` or ``grey``, or an array. Or a ``Progress.checkpoint`` of the same
            run, to continue from it to a bitwise equal result.
        variable: The variable that the solver optimises: the ``image``, the input of the
            ``encoder``, the logits of the image (``sigmoid``), which stays in [0, 1], or its
            frequencies, weighted as in photographs (``fourier``); or a
            :class:`~jaxstyle.Parameterisation`.
        colour: ``style``, or a way to preserve the content's colours; see
            :mod:`jaxstyle.ops.colour`.
        seed: Seed of the noise.
        plan: Plan that evaluates the sums; None for ``Whole()``. Several processes all make the
            same call, and if one stops, all stop.
        callback: Called with the progress after every chunk of iterations; returns True to stop.
        callback_every: Numbers of iterations, over all scales; a chunk ends at each multiple of any
            of them. The result does not depend on them.

    Returns:
        The image, the terms after each iteration, the number of evaluations, and the status.

    Raises:
        InputError: A layer is unknown; a picture has a wrong shape, type or range or is smaller
            than 16 px; the numbers of styles, weights and masks differ; options are incompatible;
            the checkpoint belongs to another run; or the function is traced.

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
    if is_traced(content, style, encoder, loss_weights):
        raise InputError("stylize: runs on the host, not under jit, grad or vmap; use js.optimise")
    for number in callback_every:
        if number < 1:
            raise InputError(f"callback_every {number}: too small; give numbers of at least 1")
    program, schedule = make_program(objective, solver, variable, plan), schedule or Schedule()
    sources = make_sources(content, style)
    original, shape = sources.scene.image, resize.shape_of(sources.scene.image)
    scales = schedule.scales_of(shape)
    sources.check_scales(len(scales))
    sources = _recoloured(sources, colour)
    replicate = program.plan.replicate
    data = Data(
        targets={},  # of each scale
        # Convert to one type, because another numeric type would recompile.
        loss_weights=replicate(jax.tree.map(jnp.float32, loss_weights or LossWeights())),
        encoder=program.prepare(encoder),
    )

    def finish(image: Image) -> Image:
        own_size = resize.resize(original, resize.shape_of(image))
        return restore(colour, jnp.clip(image, 0.0, 1.0), own_size)

    run = _Run(_initial(init, sources, scales, seed, program), scales, program, finish)
    for chunk in run.chunks(sources, data, schedule.average, callback_every):
        # Unless the loss overflowed before the first iteration.
        stop = callback and int(chunk.step) and callback(run.progress(chunk)) and chunk.state.finite
        if program.plan.agree(bool(stop)):
            run.stopped = True
            break
    return run.result(finish(resize.resize(run.image, shape)))


def _recoloured(sources: Sources, colour: Colour) -> Sources:
    """Returns the pictures with their colours prepared for the optimisation."""
    if colour == "style":
        return sources
    image, images = recolour(colour, sources.scene.image, sources.styles.images)
    # Targets that were already computed belong to other colours.
    styles = sources.styles._replace(images=list(images), targets=None)
    return Sources(sources.scene._replace(image=image), styles)


def _initial(
    init: Init | Image | Checkpoint,
    sources: Sources,
    scales: list[Scale],
    seed: int,
    program: Program,
) -> Checkpoint:
    """Returns the initial state."""
    if isinstance(init, Checkpoint):
        if program.plan.layout((16, 16), ()).processes > 1:
            raise InputError("checkpoint: not with several processes; continue in one process")
        check_scale(init, scales)
        return init
    if not isinstance(init, str):
        check_picture("init", init, outside=_OUTSIDE)
    scene, styles = sources
    first = scales[0].shape if scales else resize.shape_of(scene.image)
    image = initial_image(init, scene.image, styles.images[0], first, seed)
    terms: dict[str, Any] = {name: np.zeros(0, np.float32) for name in program.names}
    return Checkpoint(0, 0, 0, terms, jnp.array(image, jnp.float32), [])


class _Run:
    """A run and the results of all its chunks so far.

    Attributes:
        stopped: Whether the callback has stopped it.
    """

    def __init__(
        self,
        initial: Checkpoint,
        scales: list[Scale],
        program: Program,
        finish: Callable[[Image], Image],
    ) -> None:
        self.stopped = False
        self._resume = initial if initial.leaves else None
        self._image, self._layout = jnp.asarray(initial.image), ONE_DEVICE
        self._program, self._finish = program, finish
        self._scales, self._scale = scales, int(initial.scale)
        rows = [np.asarray(initial.terms[name]) for name in program.names]
        self._terms = [np.stack(rows, 1) if rows else np.zeros((0, 0), np.float32)]
        # Iterations and evaluations of the coarser scales.
        self._before = len(self._terms[0]) - int(initial.step)
        self._spent = int(initial.evaluations)
        self._chunk: Chunk | None = None

    @property
    def image(self) -> Image:
        """The current image, not clipped."""
        return self._layout.whole(self._image)

    def chunks(
        self, sources: Sources, data: Data, decay: float, every: Sequence[int]
    ) -> Iterator[Chunk]:
        """Yields the chunks of all scales; each scale enlarges the image of the previous one."""
        scales = self._scales[self._scale :]
        compiled_scales = compile_scales(sources, scales, data, self._program, self._scale > 0)
        if not self._program.plan.serial:
            compiled_scales = prefetch(compiled_scales)
        for scale, (targets, compiled) in zip(scales, compiled_scales, strict=True):
            begun, layout = self._enter(scale, compiled, targets), compiled.program.layout
            image = layout.lay(resize.resize(self.image, scale.shape))
            data, self._layout = data._replace(targets=targets), layout
            weighted = data._replace(loss_weights=scale.weights(data.loss_weights))
            for chunk in chunks(
                image,
                scale.iterations,
                weighted,
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

    def _enter(self, scale: Scale, compiled: Compiled, targets: Any) -> dict[str, Any]:
        """Returns the initial data of a scale, from a checkpoint or the coarser scale."""
        resume, self._resume = self._resume, None
        if resume is not None:
            self._chunk = resumed(resume, compiled, targets)
            return {"resumed": self._chunk}
        if self._chunk is None:
            return {}
        self._scale += 1
        self._before, self._spent = self._steps, self._evaluations
        carried = _carry(self._chunk, compiled.program, scale.shape, self._layout)
        return {"carried": compiled.program.layout.lay(carried)}

    @property
    def _steps(self) -> int:
        return sum(map(len, self._terms))

    @property
    def _evaluations(self) -> int:
        here = 0 if self._chunk is None else int(self._chunk.state.evaluations)
        return self._spent + here

    def _named(self, rows: np.ndarray) -> dict[str, Any]:
        return dict(zip(self._program.names, rows.T, strict=True))

    def _checkpoint(self, chunk: Chunk, image: Image) -> Checkpoint | None:
        if self._layout.processes > 1 or not chunk.state.finite:
            return None
        return Checkpoint(
            self._scale,
            self._steps - self._before,
            self._spent,
            self._named(np.concatenate(self._terms)),
            image,
            jax.tree.leaves((chunk.state, chunk.average, chunk.renewal)),
        )

    def progress(self, chunk: Chunk) -> Progress:
        """Returns the argument of the callback."""
        image, recent = self.image, self._terms[-1]
        return Progress(
            step=self._steps,
            steps=sum(scale.iterations for scale in self._scales),
            fraction=fraction_done(self._scales, self._steps),
            shape=resize.shape_of(image),
            # The next chunk overwrites the terms in the state.
            terms=self._named(recent[-1]),
            image=image,
            scale=self._scale + 1,
            scales=len(self._scales),
            recent=self._named(recent),
            picture=lambda: self._finish(image),
            checkpoint=self._checkpoint(chunk, image),
        )

    def result(self, image: Image) -> Result:
        """Returns the result of the run with a finished image."""
        terms = self._named(np.concatenate(self._terms))
        status, overflowed = "finished", ()
        if self._chunk is not None:
            status, overflowed = status_of(self._chunk), overflowed_in(self._chunk, self._program)
        return Result(
            image, terms, self._evaluations, "stopped" if self.stopped else status, overflowed
        )


def _carry(chunk: Chunk, program: Program, shape: tuple[int, int], layout: Layout) -> Any:
    """Returns the data that the solver carries over to the next scale.

    Args:
        chunk: The last chunk of the coarser scale.
        program: The program of the next scale.
        shape: Height and width of the next scale.
        layout: Layout of the images of the coarser scale.
    """
    state, carry = chunk.state, partial(program.solver.carry, shape=shape)
    if not jax.tree.leaves(jax.eval_shape(carry, state)):
        return carry(state)
    whole = jax.tree.map(lambda x: layout.whole(x) if x.ndim == 3 else x, state.inner)
    return carry(state._replace(inner=whole))
