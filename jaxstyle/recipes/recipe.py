"""A recipe: every setting of a picture, as plain values.

The options of the command, TOML files, presets and the metadata of results all use this flat
dataclass. Its ``make_…`` methods return the objects of the library, and its defaults are those of
the library.
"""

import dataclasses
import difflib
import math
from collections.abc import Mapping
from typing import Any, Literal, cast, get_args, get_type_hints

from jaxstyle import solvers
from jaxstyle.encoder import Encoder
from jaxstyle.encoder.vgg import VGG, Padding
from jaxstyle.errors import InputError, choose
from jaxstyle.evaluate.plan import Plan
from jaxstyle.evaluate.tiles import Tiles
from jaxstyle.evaluate.whole import Whole
from jaxstyle.losses.loss_weights import STYLE_LAYERS, LossWeights
from jaxstyle.losses.nearest import Nearest
from jaxstyle.losses.objective import TERMS, Objective
from jaxstyle.losses.statistics import STATISTICS
from jaxstyle.losses.term import Term
from jaxstyle.ops import resize
from jaxstyle.ops.colour import Colour
from jaxstyle.ops.convolution import Precision
from jaxstyle.ops.pooling import Pooling
from jaxstyle.ops.resize import Size, size_text
from jaxstyle.recipes.typed import LayerWeights, typed
from jaxstyle.run.initial_image import Init
from jaxstyle.run.loop import check_combination
from jaxstyle.run.schedule import Schedule

Normalisation = Literal["energy", "mean", "neural-style", "udacity", "keras"]
Variation = Literal["l1", "l2", "isotropic^1.25", "nine-point"]
Variable = Literal["image", "encoder", "sigmoid", "fourier"]
Memory = Literal["auto", "whole", "tiles"]

INSTANT = "instant"
"""Name of the initial image that :mod:`jaxstyle.instant` paints."""

INITS = (*get_args(Init), INSTANT)
"""Names of initial images; any other is a file."""

_OBJECTIVE = Objective()
_NORMALISATION = cast(Normalisation, Objective.normalisation)
_TV = cast(Variation, Objective.tv)
_SEEDS = 2**32
_STRONGEST = 1.5
# Larger values have no use; they would exhaust memory or time before anyone notices.
_MOST = {"history": 1000, "multiple": 1024, "style_scale": 64, "scales": 64, "iterations": 10**9}
_MOST |= dict.fromkeys(("coarse_iterations", "first_iterations", "decay_steps"), 10**9)


def _weighted(layers: tuple[str, ...], weights: Mapping[str, Any]) -> LayerWeights:
    return {name: float(weights.get(name, 1.0)) for name in layers}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """Every setting of a picture."""

    size: Size = 512
    """Size of the result in pixels: the longer side (see --side), WIDTHxHEIGHT to change the aspect
    ratio, or original for the size of the photograph."""
    side: resize.Side = "longer"
    """Side to which a single --size refers."""
    multiple: int = 1
    """Round both sides to a multiple of N pixels, so that similar sizes share a program."""
    style_scale: float = 1.0
    """Size of the painting relative to the result; larger values give larger strokes."""
    stretch_style: bool = False
    """Resize the painting to the aspect ratio of the result."""
    style_weight: float = cast(float, LossWeights.style)
    """Weight of the style; larger values give more of the painting."""
    content_weight: float = cast(float, LossWeights.content)
    """Weight of the content; larger values give more of the photograph."""
    tv_weight: float = cast(float, LossWeights.tv)
    """Weight of the total variation; larger values give smoother pictures."""
    nearest_weight: float = 0.0
    """Weight of the nearest-neighbour style: each place of the result resembles the most similar
    place of the painting, which preserves the scene; 0 for none."""
    rotate_style: bool = False
    """Search rotated copies of the painting, too, for the nearest-neighbour style."""
    style_layers: LayerWeights = dataclasses.field(
        default_factory=lambda: _weighted(_OBJECTIVE.style_layers, STYLE_LAYERS)
    )
    """Layers of the style, and their weights; `image` is the pixels, that is, the palette."""
    content_layers: LayerWeights = dataclasses.field(
        default_factory=lambda: _weighted(_OBJECTIVE.content_layers, {})
    )
    """Layers of the content, and their weights."""
    terms: LayerWeights = dataclasses.field(default_factory=dict)
    """Further terms of the loss, and their weights; laplacian preserves outlines."""
    statistic: Literal["gram", "wasserstein", "mean-std", "sliced"] = "gram"
    """Style statistic to match."""
    normalisation: Normalisation = _NORMALISATION
    """Normalisation of the terms: by the energy of their targets, or as in other tools."""
    tv: Variation = _TV
    """Kind of total variation."""
    normalise_gradients: bool = Objective.normalise_gradients
    """Divide the gradient of each layer by its L1 norm; not with lbfgs."""
    colour: Colour = "style"
    """Colours of the result: those of the style (style), or of the content by matching moments
    (content), by transferring only the luminance (luminance), or by matching histograms (match)."""
    init: str = "content"
    """Initial image: content, matched (content in the colours of the style), style, noise, grey,
    instant (a picture of two feed-forward networks), or a picture file."""
    strength: float = 1.0
    """Strength of the instant picture: 1 for the style of the painting, 0 for the style of the
    photograph."""
    iterations: int = Schedule.iterations
    """Number of iterations at the full size."""
    scales: int = Schedule.scales
    """Number of sizes, from coarse to fine; 1 for the full size only."""
    scale_factor: float = Schedule.scale_factor
    """Ratio of the sides of one size to those of the next smaller one."""
    coarse_iterations: int = Schedule.coarse_iterations
    """Number of iterations at each smaller size."""
    first_iterations: int | None = Schedule.first_iterations
    """Number of iterations at the smallest size; by default, as at the other smaller sizes."""
    decline: float = Schedule.decline
    """Divide the number of iterations by this from one size to the next larger one, down to
    --iterations."""
    coarsest: int = Schedule.coarsest
    """Omit sizes whose shorter side has fewer pixels than this."""
    coarse_style: float = Schedule.coarse_style
    """Factor of the style weight at smaller sizes; 0 leaves them to the other terms."""
    average: float = Schedule.average
    """Decay rate of the moving average of images that becomes the result; 0 for the last image."""
    solver: Literal["lbfgs", "adam", "gradient-descent"] = "lbfgs"
    """Optimisation algorithm."""
    history: int = solvers.lbfgs().history
    """Number of past steps that lbfgs stores."""
    learning_rate: float = solvers.adam().learning_rate
    """Learning rate of adam and gradient-descent."""
    b1: float = solvers.adam().b1
    """Decay rate of the first moment of adam."""
    b2: float = solvers.adam().b2
    """Decay rate of the second moment of adam."""
    decay: float = 1.0
    """Factor by which the learning rate of gradient-descent changes in --decay-steps iterations."""
    decay_steps: int = 100
    """Number of iterations in which the learning rate is multiplied by --decay."""
    variable: Variable = "image"
    """Variable to optimise: the image, the input of the encoder, the logits of the image (sigmoid,
    stays in range), or its frequencies, weighted as in photographs (fourier)."""
    clamp: bool = False
    """Clip the image to its range after each iteration; not with lbfgs."""
    memory: Memory = "auto"
    """whole stores the activations of the whole picture; tiles computes the same loss in more time
    and in memory that hardly grows with the picture; auto chooses whole if it fits."""
    encoder: str = "vgg16"
    """vgg16, random, or a file; vgg19, vgg19-torch and vgg16-torch after `jaxstyle weights
    download`."""
    pooling: Pooling | None = None
    """Pooling of the encoder; by default, the pooling that it was trained with."""
    padding: Padding = "replicate"
    """Padding of images and features."""
    precision: Precision = VGG.precision
    """Precision of convolutions on an accelerator; bf16 also stores activations in bfloat16."""
    seed: int = 0
    """Random seed."""

    def __post_init__(self) -> None:
        for name in ("style_weight", "content_weight", "tv_weight", "nearest_weight"):
            _check_weight(name, getattr(self, name))
        for name in ("style_layers", "content_layers", "terms"):
            for layer, weight in getattr(self, name).items():
                _check_weight(f"{name} {layer}", weight)
        if not 0 < self.style_scale < math.inf:
            raise InputError(f"style_scale {self.style_scale}: out of range; give a number above 0")
        for name, most in _MOST.items():
            if (getattr(self, name) or 0) > most:
                raise InputError(f"{name} {getattr(self, name)}: too large; give at most {most}")
        if not 0 <= self.strength <= _STRONGEST:
            raise InputError(f"strength {self.strength}: out of range; give 0 to {_STRONGEST}")
        if self.strength != 1 and self.init != INSTANT:
            raise InputError("strength: only with init instant; change style_weight instead")
        for size in resize.sides(self.size):
            if size < resize.MIN_SIDE:
                raise InputError(f"size {size}: too small; give at least {resize.MIN_SIDE}")
            if size > resize.MAX_SIDE:
                raise InputError(f"size {size}: too large; give at most {resize.MAX_SIDE}")
        if not 0 <= self.seed < _SEEDS:
            raise InputError(f"seed {self.seed}: out of range; give 0 to {_SEEDS - 1}")
        self.make_schedule()
        objective = self.make_objective()
        check_combination(objective, self.make_solver(), self.variable)
        if self.memory == "tiles":
            Tiles().check(Encoder(), objective)

    def __hash__(self) -> int:
        """Returns a hash, so that a recipe can be a static argument."""
        return hash(repr(self))

    def replace(self, **changes: Any) -> "Recipe":
        """Returns a copy of the recipe with some settings replaced."""
        return dataclasses.replace(self, **changes)

    def shape_of(self, content: tuple[int, int]) -> tuple[int, int]:
        """Returns the height and width of the result for a content image of a shape.

        Raises:
            InputError: A side would be too short.
        """
        if isinstance(self.size, tuple):
            return self.size[1], self.size[0]
        shape = content
        if self.size != "original":
            shape = resize.fit(content, self.size, self.side)
        shape = resize.round_to(shape, self.multiple)
        if min(shape) < resize.MIN_SIDE:
            least = resize.MIN_SIDE
            raise InputError(f"size {self.size}: the shorter side would be under {least} px")
        return shape

    def style_shape_of(self, style: tuple[int, int], result: tuple[int, int]) -> tuple[int, int]:
        """Returns the height and width to which a style image is resized.

        Raises:
            InputError: A side would be too short.
        """
        if self.stretch_style or isinstance(self.size, tuple):
            shape = round(result[0] * self.style_scale), round(result[1] * self.style_scale)
        else:
            side = resize.measure(result, self.side)
            shape = resize.fit(style, round(side * self.style_scale), self.side)
        shape = resize.round_to(shape, self.multiple)
        scale, least, most = self.style_scale, resize.MIN_SIDE, resize.MAX_SIDE
        if min(shape) < least:
            raise InputError(f"style_scale {scale}: the painting's side would be under {least} px")
        if max(shape) > most:
            raise InputError(f"style_scale {scale}: the painting's side would be over {most} px")
        return shape

    def make_objective(self) -> Objective:
        """Returns the objective."""
        return Objective(
            content_layers=tuple(self.content_layers),
            style_layers=tuple(self.style_layers),
            statistic=STATISTICS[self.statistic],
            normalisation=self.normalisation,
            tv=self.tv,
            normalise_gradients=self.normalise_gradients,
            extra={name: choose("term", name, TERMS) for name in self.terms} | self._nearest,
        )

    @property
    def _nearest(self) -> dict[str, Term]:
        """The term of the nearest-neighbour style, if it has a weight."""
        turns = (0, 1, 2, 3) if self.rotate_style else (0,)
        return {"nearest": Nearest(turns=turns)} if self.nearest_weight else {}

    def make_plan(self) -> Plan:
        """Returns the plan; for ``auto`` it is ``Whole``, regardless of the available memory."""
        return Tiles() if self.memory == "tiles" else Whole()

    def make_loss_weights(self) -> LossWeights:
        """Returns the loss weights."""
        return LossWeights(
            content=self.content_weight,
            style=self.style_weight,
            tv=self.tv_weight,
            content_layers=dict(self.content_layers),
            style_layers=dict(self.style_layers),
            extra=dict(self.terms) | dict.fromkeys(self._nearest, self.nearest_weight),
        )

    def make_solver(self) -> solvers.Solver:
        """Returns the solver."""
        if self.solver == "lbfgs":
            if self.clamp:
                raise InputError(
                    "clamp: lbfgs cannot; choose adam and variable image, or variable sigmoid"
                )
            return solvers.lbfgs(history=self.history)
        if self.solver == "adam":
            return solvers.adam(self.learning_rate, b1=self.b1, b2=self.b2, clamp=self.clamp)
        return solvers.gradient_descent(
            self.learning_rate, decay=self.decay, decay_steps=self.decay_steps, clamp=self.clamp
        )

    def make_schedule(self) -> Schedule:
        """Returns the schedule of sizes and iterations."""
        fields = (field.name for field in dataclasses.fields(Schedule))
        return Schedule(**{name: getattr(self, name) for name in fields})

    def make_options(self) -> dict[str, Any]:
        """Returns the options that ``stylize`` and ``texture`` share, as keyword arguments."""
        return {
            "objective": self.make_objective(),
            "loss_weights": self.make_loss_weights(),
            "solver": self.make_solver(),
            "schedule": self.make_schedule(),
            "variable": self.variable,
            "seed": self.seed,
        }

    def to_table(self) -> dict[str, Any]:
        """Returns the recipe as a TOML table; None is omitted."""
        table = {k: v for k, v in dataclasses.asdict(self).items() if v is not None}
        return table | {"size": size_text(self.size) if isinstance(self.size, tuple) else self.size}

    def updated(self, table: Mapping[str, Any]) -> "Recipe":
        """Returns a copy of the recipe with values from a TOML table.

        Args:
            table: Names and values as :meth:`to_table` writes them.

        Raises:
            InputError: A name is unknown, or its value is invalid.

        Examples:
            >>> Recipe().updated({"style_weight": 2, "size": "640x480"}).size
            (640, 480)
        """
        kinds = get_type_hints(Recipe)
        for name in table:
            if name not in kinds:
                near = difflib.get_close_matches(name, kinds, 1)
                raise InputError(f"{name}: no such setting" + "".join(f"; {n}?" for n in near))
        return dataclasses.replace(
            self, **{name: typed(name, value, kinds[name]) for name, value in table.items()}
        )


def _check_weight(name: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise InputError(f"{name} {value}: not a weight; give a number ≥ 0")
