"""How much memory a run needs, estimated before it starts.

Where memory runs out, XLA and LLVM often abort the process, and neither message nor picture is
left. So a run uses the fastest plan that fits, and is refused if none does. The estimate is linear
in what was measured (docs/benchmarks.md, "Memory that a command takes"): a constant for every run,
and bytes per pixel that grow with the features that the network computes for one.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jaxstyle.encoder import IMAGE
from jaxstyle.encoder.receptive import joint_field
from jaxstyle.encoder.vgg import block_of
from jaxstyle.encoder.vgg_encoder import VGGEncoder
from jaxstyle.errors import InputError
from jaxstyle.evaluate.grid import grid_of
from jaxstyle.evaluate.tiles import Tiles
from jaxstyle.ops import resize
from jaxstyle.recipes.recipe import Recipe
from jaxstyle.run.lanes import serial_lanes
from jaxstyle.run.loop import make_program

WHOLE, TILES, SHARED = "whole", "tiles", "shared"
GIGABYTE = 1e9
_IMAGE = 12  # bytes of a pixel, float32
_PER_PAIR = 1.35  # images for each one that L-BFGS stores
_MASK = 5 * 4  # bytes of a region's pixel: as read, as resized, and at the sizes of the layers
# Bytes of a pixel for the vectors of nearest-neighbour style, which every plan holds for the whole
# picture. VGG-16 at 512×384: 2.55 GB with `--preset scene`, 1.38 GB with the default.
_NEAREST = 5900
# The part of the features that exists once more for each region. VGG-16, the default recipe at
# 512² with eight regions: 1.73 GB more; 0.41 GB if activations are recomputed.
_PER_REGION = {WHOLE: 0.75, TILES: 0.75, SHARED: 0.17}


class MemoryLine(NamedTuple):
    """The coefficients of an estimate.

    Attributes:
        fixed: Bytes that every run needs.
        parameters: Bytes per byte of the parameters.
        features: Bytes per byte of the features of a picture.
        images: Images of the result's size, besides those that L-BFGS stores.
        window: Largest number of pixels whose features exist at once.
    """

    fixed: float
    parameters: float
    features: float
    images: float
    window: float = math.inf


_WINDOW = float(Tiles.side**2)
# Devices that share a picture recompute activations.
RESIDENT = {
    WHOLE: MemoryLine(0.25e9, 6, 1.7, 3),
    SHARED: MemoryLine(0.25e9, 1, 0.61, 3),
    TILES: MemoryLine(0.75e9, 6, 1.7, 4, _WINDOW),
}
# Address space also counts what is allocated and never written to.
ADDRESSES = {
    WHOLE: MemoryLine(0.25e9, 3, 4.05, 3),
    SHARED: MemoryLine(0.25e9, 3, 1.0, 3),
    TILES: MemoryLine(0.75e9, 3, 4.05, 4, _WINDOW),
}
_MIN_HISTORY = 3  # pairs that L-BFGS needs

Lines = dict[str, MemoryLine]


class Demand(NamedTuple):
    """What determines how much memory a run needs.

    Attributes:
        recipe: How the picture is painted.
        shape: Height and width of the result.
        pixels: Pixels of the largest picture that the network sees, divided by the result's.
        features: Bytes of the features of a pixel, over all layers in use.
        parameters: Bytes of the network's parameters in use.
        devices: Number of devices with their own memory that share the picture.
        lanes: Number of pictures painted at once.
        regions: Number of regions that masks define; 0 without masks.
        window: Pixels of the largest tile; infinite if the picture cannot be computed in tiles.
        shared: Whether devices share the picture, with their own memory or not.
        pinned: Whether a started run continues, so that its plan must not change.
    """

    recipe: Recipe
    shape: tuple[int, int]
    pixels: float
    features: float
    parameters: int
    devices: int = 1
    lanes: int = 1
    regions: int = 0
    window: float = _WINDOW
    shared: bool = False
    pinned: bool = False

    @property
    def resident(self) -> float:
        """Bytes that the run holds in memory; for ``auto``, by the fastest plan."""
        memory = self.recipe.memory
        return self.bytes_of(RESIDENT, WHOLE if memory == "auto" else memory)

    def bytes_of(self, lines: Lines, memory: str, scale: float = 1.0) -> float:
        """Returns how many bytes the run needs.

        Args:
            lines: The coefficients for each plan.
            memory: The plan: whole or tiles.
            scale: Factor for the sides of all pictures.
        """
        kind = SHARED if self.shared and memory == WHOLE else memory
        line, recipe = lines[kind], self.recipe
        stored = 2 * recipe.history if recipe.solver == "lbfgs" else 0
        images = line.images + _PER_PAIR * stored
        pixels = scale**2 * math.prod(self.shape)
        share = pixels / self.devices
        seen = min(max(1.0, self.pixels) * share, max(line.window, self.window))
        kept = line.features + self.regions * _PER_REGION[kind]
        per_pixel = images * _IMAGE + self.regions * _MASK
        per_pixel += _NEAREST * (recipe.nearest_weight > 0)
        # Lanes that run in turn share one set of features; the states of all exist twice, as the
        # program's input and output.
        at_once, copies = (1, 2) if self._in_turn else (self.lanes, 1)
        features = at_once * seen * kept * self.features
        state = copies * self.lanes * share * per_pixel
        return line.fixed + line.parameters * self.parameters + features + state

    @property
    def _in_turn(self) -> bool:
        recipe = self.recipe
        if self.lanes == 1:
            return False
        return serial_lanes(
            make_program(recipe.make_objective(), recipe.make_solver(), recipe.variable)
        )

    def largest(self, lines: Lines, memory: str, room: float) -> tuple[int, int] | None:
        """Returns height and width of the largest result that fits; None if none does."""
        # Bisection to an eighth of a percent; 0.95 is a margin.
        fits = 0.0
        for step in (0.5**i for i in range(11)):
            if self.bytes_of(lines, memory, fits + step) <= room:
                fits += step
        height, width = (int(side * min(1, 0.95 * fits)) for side in self.shape)
        return (height, width) if min(height, width) >= resize.MIN_SIDE else None

    @property
    def memories(self) -> tuple[str, ...]:
        """The plans that can compute this, the fastest first, if the others need less memory."""
        if self.lanes > 1 or math.isinf(self.window):
            return (WHOLE,)
        needed = {memory: self.bytes_of(RESIDENT, memory) for memory in (WHOLE, TILES)}
        # A picture of a single tile needs no less as a tile.
        return (WHOLE, TILES) if needed[TILES] < needed[WHOLE] else (WHOLE,)

    def choices(self) -> list["Demand"]:
        """Returns the plans to choose from: one, or for ``auto`` all, the fastest first."""
        if self.recipe.memory != "auto":
            return [self]
        return [self.with_recipe(memory=memory) for memory in self.memories]

    def with_history(self, room: float, lines: Lines) -> "Demand":
        """Returns this with the largest history that fits, between the minimum and the recipe's."""
        demand = self
        while (
            demand.recipe.solver == "lbfgs"
            and demand.recipe.history > _MIN_HISTORY
            and demand.bytes_of(lines, demand.recipe.memory) > room
        ):
            demand = demand.with_recipe(history=demand.recipe.history - 1)
        return demand

    def pinned_to(self, settings: Mapping[str, Any]) -> "Demand":
        """Returns this with settings of the recipe that must not change."""
        return self._replace(recipe=self.recipe.updated(settings), pinned=True)

    def with_recipe(self, **changes: Any) -> "Demand":
        """Returns this with some settings of the recipe replaced."""
        return self._replace(recipe=self.recipe.replace(**changes))

    def advice(self, lines: Lines, room: float) -> str:
        """Returns which options give a run that fits."""
        if self.pinned:
            return "free some: a run continues with the plan it started with; or start a new one"
        memory, memories = self.recipe.memory, self.memories
        following = memories.index(memory) + 1 if memory in memories else 0
        for smaller in memories[following:]:
            needed = self.bytes_of(lines, smaller)
            if needed <= room:
                fits = self.largest(lines, memory, room)
                less = f", or {self._size_option(fits)}" if fits else ""
                return f"try --memory {smaller}, which needs {needed / GIGABYTE:.1f} GB{less}"
        fits = self.largest(lines, memories[-1], room)
        if fits is None:
            return "no --size fits; free some, or raise the limit"
        plan = f"--memory {memories[-1]} and " * (memory != memories[-1])
        return f"try {plan}{self._size_option(fits)}"

    def _size_option(self, shape: tuple[int, int]) -> str:
        if isinstance(self.recipe.size, tuple):
            return f"--size {shape[1]}x{shape[0]}"
        side = "longer" if self.recipe.size == "original" else self.recipe.side
        return f"--size {resize.measure(shape, side)}"


def demand_of(
    encoder: VGGEncoder,
    recipe: Recipe,
    shape: tuple[int, int],
    styles: Sequence[tuple[int, int]],
    *,
    devices: int = 1,
    lanes: int = 1,
    shared: bool = False,
    regions: int = 0,
) -> Demand:
    """Returns what determines how much memory a run needs.

    Args:
        encoder: Network and pretrained parameters.
        recipe: How the picture is painted.
        shape: Height and width of the result.
        styles: Heights and widths of the paintings, as the network sees them.
        devices: Number of devices with their own memory that share the picture.
        lanes: Number of pictures painted at once.
        shared: Whether devices share the picture, with their own memory or not.
        regions: Number of regions that masks define; 0 without masks.
    """
    layers = tuple(name for name in recipe.make_objective().layers if name != IMAGE)
    params = encoder.truncate(layers).params
    features = sum(
        layer["bias"].size * encoder.network.dtype.itemsize / 4 ** (block_of(name) - 1)
        for name, layer in params.items()
    )
    # Paintings need no gradient, so at most half of their features exist at once.
    pixels = max(math.prod(style) for style in styles) / 2 / math.prod(shape)
    parameters = sum(array.nbytes for layer in params.values() for array in layer.values())
    window = _window_of(encoder, recipe, shape, shared)
    sizes = pixels, features, parameters
    return Demand(recipe, shape, *sizes, devices, lanes, regions, window, shared)


def _window_of(encoder: VGGEncoder, recipe: Recipe, shape: tuple[int, int], shared: bool) -> float:
    """Returns the pixels of the largest tile; infinite if there are no tiles."""
    objective = recipe.make_objective()
    try:
        Tiles().check(encoder, objective)
    except InputError:
        return math.inf
    if not encoder.wraps:
        return _WINDOW
    if shared:  # A device's share is not cut.
        return math.inf
    field = joint_field(encoder, objective.layers)
    sizes = [scale.shape for scale in recipe.make_schedule().scales_of(shape)]
    grids = [grid_of(size, field, Tiles.side, wrap=True) for size in sizes]
    # Borders that are joined may allow only the whole image as a window.
    largest = max(math.prod(grid.window) for grid in grids)
    return _WINDOW if largest <= _WINDOW else math.inf
