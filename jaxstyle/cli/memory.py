"""The memory that a run takes, estimated before it starts, and the memory that there is.

Where memory runs out, XLA and LLVM often abort the process; no message is left then, and no
picture. So a run takes the fastest way that fits, and one that would not fit is refused. The
estimate is a line through what was measured (docs/benchmarks.md, "Memory that a command takes"):
what every run takes, and bytes per pixel that grow with the features that the network makes of one.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, get_args

import jaxstyle as js
from jaxstyle import files
from jaxstyle.encoder import IMAGE
from jaxstyle.encoder.base import wraps
from jaxstyle.encoder.receptive import joint_field
from jaxstyle.encoder.vgg import block_of
from jaxstyle.losses.objective import Memory
from jaxstyle.ops import resize
from jaxstyle.recipes.recipe import Recipe
from jaxstyle.run.lanes import in_turn
from jaxstyle.tiling.grid import grid_of

MEMORIES: tuple[str, ...] = get_args(Memory)
GIGABYTE = 1e9
_IMAGE = 12  # Bytes of a pixel, float32.
_REMEMBERED = 1.35  # Images for each that L-BFGS remembers.
_MASK = 5 * 4  # Bytes of a region's pixel: as read, as resized, and at the sizes of the layers.
# Of the features, what is there once more for each region. VGG-16, the default recipe at 512² with
# eight regions: 1.73 GB more with high, 0.41 with low; a tile is computed as with high.
_MASKED = {"high": 0.75, "low": 0.17, "tiles": 0.75}


class _Line(NamedTuple):
    """What a run takes.

    Attributes:
        fixed: Bytes that every run takes.
        parameters: Bytes for each byte of the parameters.
        features: Bytes for each byte of the features that the network makes of a picture.
        images: Pictures of the result's size, besides those that L-BFGS remembers.
        window: Pixels whose features are there at once, at most.
    """

    fixed: float
    parameters: float
    features: float
    images: float
    window: float = math.inf


# Pixels of a window: a tile never has more, so that no picture has more of features.
_WINDOW = js.Objective.tile**2
RESIDENT = {
    "high": _Line(0.25e9, 6, 1.7, 3),
    "low": _Line(0.25e9, 1, 0.61, 3),
    "tiles": _Line(0.75e9, 6, 1.7, 4, _WINDOW),
}
# What is allocated and never written to counts, too.
ADDRESSES = {
    "high": _Line(0.25e9, 3, 4.05, 3),
    "low": _Line(0.25e9, 3, 1.0, 3),
    "tiles": _Line(0.75e9, 3, 4.05, 4, _WINDOW),
}
_FEWEST = 3  # Pairs that L-BFGS cannot do without.


Lines = dict[str, _Line]


class Demand(NamedTuple):
    """What decides how much memory a run takes.

    Attributes:
        recipe: How the picture is painted.
        shape: Height and width of the result.
        pixels: Of the largest picture that the network sees, in parts of the result's.
        features: Bytes of the features of a pixel, over all layers that are used.
        parameters: Bytes of the network's parameters, as far as they are used.
        devices: How many with a memory of their own share the picture.
        lanes: How many pictures at once.
        regions: How many regions masks tell apart; 0 without.
        window: Pixels of the largest tile; those of the whole where it cannot be cut.
        pinned: Whether the run has begun before, so that it stays as it is.
    """

    recipe: Recipe
    shape: tuple[int, int]
    pixels: float
    features: float
    parameters: int
    devices: int = 1
    lanes: int = 1
    regions: int = 0
    window: int = _WINDOW
    pinned: bool = False

    @property
    def settled(self) -> "Demand":
        """The same without a choice: ``auto`` is what ``js.paint`` takes it for."""
        return self.with_recipe(memory=self.recipe.make_objective().memory)

    @property
    def resident(self) -> float:
        """Bytes that the run holds in memory."""
        return self.bytes_of(RESIDENT, self.settled.recipe.memory)

    def bytes_of(self, lines: Lines, memory: str, scale: float = 1.0) -> float:
        """Returns how many bytes the run takes of a memory.

        Args:
            lines: Of which kind.
            memory: high, low or tiles.
            scale: Of the sides of all pictures.
        """
        line, recipe = lines[memory], self.recipe
        remembered = 2 * recipe.history if recipe.solver == "lbfgs" else 0
        images = line.images + _REMEMBERED * remembered
        pixels = scale**2 * math.prod(self.shape)
        share = pixels / self.devices
        seen = min(max(1.0, self.pixels) * share, max(line.window, self.window))
        kept = line.features + self.regions * _MASKED[memory]
        a_pixel = images * _IMAGE + self.regions * _MASK
        # Where lanes take turns one has features, and the state of all is there before and after.
        alone, times = (1, 2) if self.lanes > 1 and in_turn() else (self.lanes, 1)
        features = alone * seen * kept * self.features
        state = times * self.lanes * share * a_pixel
        return line.fixed + line.parameters * self.parameters + features + state

    def largest(self, lines: Lines, memory: str, room: float) -> tuple[int, int] | None:
        """Returns height and width of the largest result that fits, None if none does."""
        # Halved until it is known to an eighth of a percent; what is said to fit has a margin.
        fits, scale = 0.0, 1.0
        for step in (0.5**i for i in range(11)):
            scale = fits + step
            fits = scale if self.bytes_of(lines, memory, scale) <= room else fits
        height, width = (int(side * min(1, 0.95 * fits)) for side in self.shape)
        return (height, width) if min(height, width) >= resize.MIN_SIDE else None

    @property
    def memories(self) -> tuple[str, ...]:
        """The ways to compute this, from the largest, which is the fastest, to the smallest."""
        tiled = self.window <= _WINDOW and self.recipe.make_objective().adds_up
        taken = {m: self.bytes_of(RESIDENT, m) for m in (MEMORIES if tiled else MEMORIES[:2])}
        # A picture of one tile is computed in it as a whole.
        smaller = [m for m in taken if taken[m] < taken["high"]]
        return ("high", *sorted(smaller, key=lambda memory: -taken[memory]))

    def choices(self) -> list["Demand"]:
        """Returns what there is to choose from: one, or for ``auto`` all, the largest first."""
        if self.recipe.memory != "auto":
            return [self]
        return [self.with_recipe(memory=memory) for memory in self.memories]

    def with_history(self, room: float, lines: Lines) -> "Demand":
        """Returns this with as many pairs as fit, no more than the recipe's and not too few."""
        demand = self
        while (
            demand.recipe.solver == "lbfgs"
            and demand.recipe.history > _FEWEST
            and demand.bytes_of(lines, demand.recipe.memory) > room
        ):
            demand = demand.with_recipe(history=demand.recipe.history - 1)
        return demand

    def pinned_to(self, settings: Mapping[str, Any]) -> "Demand":
        """Returns this with settings of the recipe that stay as they are."""
        return self._replace(recipe=self.recipe.updated(settings), pinned=True)

    def with_recipe(self, **changes: Any) -> "Demand":
        """Returns this with other settings of the recipe."""
        return self._replace(recipe=self.recipe.replace(**changes))

    def advice(self, lines: Lines, room: float) -> str:
        """Returns which options make a run that fits."""
        if self.pinned:
            return "free some, for a run goes on as it began; or begin anew in another folder"
        memory, memories = self.recipe.memory, self.memories
        following = memories.index(memory) + 1 if memory in memories else 0
        for smaller in memories[following:]:
            taken = self.bytes_of(lines, smaller)
            if taken <= room:
                fits = self.largest(lines, memory, room)
                less = f", or {self._option(fits)}" if fits else ""
                return f"try --memory {smaller}, which takes {taken / GIGABYTE:.1f} GB{less}"
        fits = self.largest(lines, memories[-1], room)
        if fits is None:
            return "no --size fits; free some, or raise the limit"
        return (
            f"try {f'--memory {memories[-1]} and ' * (memory != memories[-1])}{self._option(fits)}"
        )

    def _option(self, shape: tuple[int, int]) -> str:
        if isinstance(self.recipe.size, tuple):
            return f"--size {shape[1]}x{shape[0]}"
        side = "longer" if self.recipe.size == "original" else self.recipe.side
        return f"--size {resize.measure(shape, side)}"


def demand_of(
    encoder: js.VGGEncoder,
    recipe: Recipe,
    shape: tuple[int, int],
    styles: Sequence[tuple[int, int]],
    *,
    devices: int = 1,
    lanes: int = 1,
    shared: bool = False,
    masks: files.Masks | None = None,
) -> Demand:
    """Returns what a run will take.

    Args:
        encoder: That it paints with.
        recipe: How.
        shape: Height and width of the result.
        styles: Heights and widths of the paintings, as they are seen.
        devices: How many with a memory of their own share the picture.
        lanes: How many pictures at once.
        shared: Whether devices share the picture, with a memory of their own or not.
        masks: Where the regions are; None for one region.
    """
    layers = tuple(name for name in recipe.make_objective().layers if name != IMAGE)
    params = encoder.truncate(layers).params
    features = sum(
        layer["bias"].size * encoder.network.dtype.itemsize / 4 ** (block_of(name) - 1)
        for name, layer in params.items()
    )
    # There is no way back through a painting, so that half of it is kept at most.
    pixels = max(math.prod(style) for style in styles) / 2 / math.prod(shape)
    parameters = sum(array.nbytes for layer in params.values() for array in layer.values())
    window = _window_of(encoder, recipe, shape, shared)
    regions = len(masks.content) if masks else 0
    return Demand(recipe, shape, pixels, features, parameters, devices, lanes, regions, window)


def _window_of(encoder: js.VGGEncoder, recipe: Recipe, shape: tuple[int, int], shared: bool) -> int:
    """Returns the pixels of the largest tile: joined borders may leave one, the whole image."""
    if not wraps(encoder):
        return _WINDOW
    if shared:  # Shares of it are not cut.
        return max(math.prod(shape), _WINDOW + 1)
    objective = recipe.make_objective()
    field = joint_field(encoder, objective.layers)
    sizes = [scale.shape for scale in recipe.make_schedule().scales_of(shape)]
    grids = [grid_of(size, field, objective.tile, wrap=True) for size in sizes]
    return max([_WINDOW, *(math.prod(grid.window) for grid in grids)])
