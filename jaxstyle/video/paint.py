"""Painting the frames of a film, each from the one before it."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from jaxstyle.arrays import Image
from jaxstyle.encoder import Encoder
from jaxstyle.errors import InputError
from jaxstyle.evaluate.plan import Plan
from jaxstyle.losses.pictures import Scene, Styles, as_styles
from jaxstyle.losses.temporal import TEMPORAL
from jaxstyle.ops import resize
from jaxstyle.ops.colour import Colour, match_colour, recolour, restore
from jaxstyle.ops.warp import warp
from jaxstyle.recipes.paint import encoder_of, fit_styles, named_init
from jaxstyle.recipes.recipe import Recipe
from jaxstyle.run.initial_image import Init
from jaxstyle.run.loop import make_program
from jaxstyle.run.prefetch import prefetch
from jaxstyle.run.progress import Callback
from jaxstyle.run.sources import prepare_styles
from jaxstyle.run.stylize import stylize
from jaxstyle.video.motion import Flow, Motion, dis_flow, track

Pixels = UInt8[np.ndarray, "h w 3"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrameSettings:
    """How the frames of a film follow each other."""

    frame_iterations: int = 12
    """Number of iterations for each frame after the first."""
    temporal_weight: float = 400.0
    """Weight of the difference from the warped previous frame; larger values give a steadier film
    and stronger trails."""

    def __post_init__(self) -> None:
        if self.frame_iterations < 0:
            raise InputError(f"frame_iterations {self.frame_iterations}: give at least 0")
        if not 0 <= self.temporal_weight < float("inf"):
            raise InputError(f"temporal_weight {self.temporal_weight}: give a number ≥ 0")


class PaintedFrame(NamedTuple):
    """A painted frame.

    Attributes:
        number: Number of the frame, from 0.
        shot: Number of the shot, from 0: a shot ends at a cut.
        image: The painted frame, ``f32[h, w, 3]``, sRGB in [0, 1].
        canvas: What the next frame starts from, 8 bits: the image, or with ``colour`` luminance
            what is painted before the colours return.
        is_new: Whether it was painted now, not remembered.
    """

    number: int
    shot: int
    image: Image
    canvas: Pixels
    is_new: bool


def paint_frames(
    recipe: Recipe,
    frames: Iterable[Image],
    style: Image | Sequence[Image] | Styles,
    *,
    encoder: Encoder | None = None,
    settings: FrameSettings = FrameSettings(),
    init: Init | Image | None = None,
    plan: Plan | None = None,
    flow: Flow | None = None,
    recall: Callable[[int], Pixels | None] = lambda index: None,
    selects: Callable[[int], bool] = lambda shot: True,
    callback: Callback | None = None,
) -> Iterator[PaintedFrame]:
    """Paints the frames of a film, so that they follow each other without flicker.

    The first frame of a shot is painted as a picture. Each of the others starts from the previous
    painted frame, warped along the optical flow, and the temporal term holds it there (Ruder,
    Dosovitskiy & Brox 2016, "Artistic Style Transfer for Videos"). Nothing compiles after the
    second frame. Flow is computed in a thread, one frame ahead; no more than three frames are in
    memory.

    Args:
        recipe: The recipe of the first frame of a shot; the others have its finest scale.
        frames: Each ``f32[h, w, 3]``, sRGB in [0, 1].
        style: The painting, ``f32[h', w', 3]``, of any size, or several; or
            :class:`~jaxstyle.Styles` with a blend.
        encoder: Network and pretrained parameters; None for the encoder of the recipe.
        settings: How the frames follow each other.
        init: The initial image of each shot; None for that of the recipe.
        plan: Plan that evaluates the sums; None for the plan of the recipe.
        flow: Estimates the optical flow; None for :func:`dis_flow`.
        recall: Returns the canvas of a frame that was painted before, by its number; None to paint
            it.
        selects: Returns whether to paint a shot, by its number; the frames of others are left out.
        callback: Called with the progress of the first frame of each shot; returns True to stop.

    Raises:
        InputError: As for :func:`jaxstyle.paint`; or OpenCV is not installed.

    Examples:
        >>> import jax, jaxstyle as js
        >>> painting, *frames = jax.random.uniform(jax.random.key(0), (3, 24, 32, 3))
        >>> layers = {"content_layers": {"conv2_1": 1.0}, "style_layers": {"conv1_1": 1.0}}
        >>> recipe = js.Recipe(encoder="random", size=32, iterations=2, **layers)
        >>> [painted.image.shape for painted in js.video.paint_frames(recipe, frames, painting)]
        [(24, 32, 3), (24, 32, 3)]
    """
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise InputError("frames: none; give at least one")
    shape = recipe.shape_of(resize.shape_of(first))
    encoder = encoder_of(recipe) if encoder is None else encoder
    plan = recipe.make_plan() if plan is None else plan
    painter = _ShotPainter(recipe, as_styles(style), shape, encoder, settings, plan)
    tracked = track(chain([first], frames), flow or dis_flow(), shape)
    start = named_init(recipe.init) if init is None else init
    shot, canvas = -1, None
    for index, (frame, motion) in enumerate(prefetch(tracked)):
        shot += motion is None
        if not selects(shot):
            continue
        if motion is None:
            painter.begin(frame)
        known = recall(index)
        if known is not None:
            canvas = known
        elif motion is None or canvas is None:
            canvas = painter.first(frame, start, callback)
        else:
            canvas = painter.next(frame, canvas, motion)
        if canvas is None:  # The callback has stopped the painting of a first frame.
            return
        image = restore(recipe.colour, as_image(canvas), frame)
        yield PaintedFrame(index, shot, image, canvas, known is None)


class _ShotPainter:
    """Paints the frames of one shot after the other."""

    def __init__(
        self,
        recipe: Recipe,
        styles: Styles,
        shape: tuple[int, int],
        encoder: Encoder,
        settings: FrameSettings,
        plan: Plan,
    ) -> None:
        self._shape, self._plan = shape, plan
        self._colour: Colour = recipe.colour
        self._styles = fit_styles(styles, recipe, shape)
        self._first = recipe
        self._next = recipe.replace(
            scales=1,
            iterations=settings.frame_iterations,
            average=0.0,
            terms={**recipe.terms, TEMPORAL: settings.temporal_weight},
        )
        program = make_program(
            self._next.make_objective(), recipe.make_solver(), recipe.variable, plan
        )
        self._encoder = program.prepare(encoder)
        self._targets: Styles | None = None

    def begin(self, frame: Image) -> None:
        """Prepares the targets of the paintings for the shot that a frame begins."""
        if self._targets is not None and self._colour == "style":
            return
        scales = self._first.make_schedule().scales_of(self._shape)
        _, images = recolour(self._colour, frame, self._styles.images)
        self._targets = prepare_styles(
            self._styles._replace(images=list(images)),
            self._shape,
            [scale.shape for scale in scales] or [self._shape],
            self._encoder,
            self._first.make_objective(),
            plan=self._plan,
        )._replace(images=list(images))

    def first(self, frame: Image, init: Any, callback: Callback | None) -> Pixels | None:
        """Paints the first frame of a shot; returns None if the callback stops it."""
        return self._paint(self._first, Scene(frame), init=init, callback=callback)

    def next(self, frame: Image, canvas: Pixels, motion: Motion) -> Pixels | None:
        """Paints a frame from the canvas of the previous one."""
        previous = as_image(canvas)
        warped = jnp.clip(warp(previous, motion.flow), 0.0, 1.0)
        trust = motion.trust[..., None]
        # What was hidden starts as the frame in the colours of the painted film.
        bare = jnp.clip(match_colour(frame, previous), 0.0, 1.0)
        start = trust * warped + (1 - trust) * bare
        scene = Scene(frame, data={TEMPORAL: (warped, motion.trust)})
        return self._paint(self._next, scene, init=start)

    def _paint(self, recipe: Recipe, scene: Scene, **options: Any) -> Pixels | None:
        assert self._targets is not None  # begin
        content, _ = recolour(self._colour, scene.image, self._targets.images[:1])
        # The finest ones; none without iterations.
        scales = len(recipe.make_schedule().scales_of(self._shape))
        targets = list(self._targets.targets or ())
        result = stylize(
            scene._replace(image=content),
            self._targets._replace(targets=targets[len(targets) - scales :]),
            self._encoder,
            plan=self._plan,
            **(recipe.make_options() | options),
        )
        return None if result.status == "stopped" else as_pixels(result.image)


def as_pixels(image: Image) -> Pixels:
    """Returns an image in 8 bits."""
    return np.asarray(jnp.rint(255 * jnp.clip(image, 0.0, 1.0)).astype(jnp.uint8))


def as_image(pixels: Pixels) -> Image:
    """Returns pixels of 8 bits as an image."""
    return jnp.asarray(pixels, jnp.float32) / 255
