"""The memory that a run takes, estimated before it starts, and the memory that there is.

Where memory runs out, XLA and LLVM often abort the process; no message is left then, and no
picture. So a run that would not fit is refused. The estimate is a line through what was measured
(docs/benchmarks.md, "Memory that a command takes"): what every run takes, and bytes per pixel that
grow with the features that the network makes of one.
"""

import contextlib
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import jax

import jaxstyle as js
from jaxstyle.cli.report import plain
from jaxstyle.encoder import IMAGE
from jaxstyle.encoder.vgg import block_of
from jaxstyle.errors import ResourceError
from jaxstyle.ops import resize
from jaxstyle.recipes.recipe import Recipe

_GIGABYTE = 1e9
_IMAGE = 12  # Bytes of a pixel, float32.
_REMEMBERED = 1.35  # Images for each that L-BFGS remembers.
_CGROUPS = Path("/sys/fs/cgroup")
_FIRST_VERSION = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")
_EXHAUSTED = ("RESOURCE_EXHAUSTED", "bad_alloc", "Unable to allocate", "out of memory")


class _Line(NamedTuple):
    """What a run takes.

    Attributes:
        fixed: Bytes that every run takes.
        parameters: Bytes for each byte of the parameters.
        features: Bytes for each byte of the features that the network makes of a picture.
        images: Pictures of the result's size, besides those that L-BFGS remembers.
    """

    fixed: float
    parameters: float
    features: float
    images: float


_RESIDENT = {"high": _Line(0.25e9, 6, 1.7, 3), "low": _Line(0.25e9, 1, 0.61, 3)}
# What is allocated and never written to counts, too.
_ADDRESSES = {"high": _Line(0.25e9, 3, 4.05, 3), "low": _Line(0.25e9, 3, 1.0, 3)}


class Demand(NamedTuple):
    """What decides how much memory a run takes.

    Attributes:
        recipe: How the picture is painted.
        shape: Height and width of the result.
        pixels: Of the largest picture that the network sees, in parts of the result's.
        features: Bytes of the features of a pixel, over all layers that are used.
        parameters: Bytes of the network's parameters, as far as they are used.
        lanes: How many pictures at once.
    """

    recipe: Recipe
    shape: tuple[int, int]
    pixels: float
    features: float
    parameters: int
    lanes: int = 1

    @property
    def resident(self) -> float:
        """Bytes that the run holds in memory."""
        return self.bytes_of(_RESIDENT, self.recipe.memory)

    def bytes_of(self, lines: dict[str, _Line], memory: str, scale: float = 1.0) -> float:
        """Returns how many bytes the run takes.

        Args:
            lines: Of which kind.
            memory: high or low.
            scale: Of the sides of all pictures.
        """
        line, recipe = lines[memory], self.recipe
        remembered = 2 * recipe.history if recipe.solver == "lbfgs" else 0
        images = line.images + _REMEMBERED * remembered
        pixels = self.lanes * scale**2 * math.prod(self.shape)
        seen = max(1.0, self.pixels) * line.features * self.features
        return line.fixed + line.parameters * self.parameters + pixels * (seen + images * _IMAGE)

    def largest(self, lines: dict[str, _Line], memory: str, room: float) -> tuple[int, int] | None:
        """Returns height and width of the largest result that fits, None if none does."""
        least = self.bytes_of(lines, memory, 0.0)
        scale = math.sqrt(max(0, room - least) / (self.bytes_of(lines, memory) - least))
        height, width = (int(side * min(1, 0.95 * scale)) for side in self.shape)
        return (height, width) if min(height, width) >= resize.MIN_SIDE else None

    def advice(self, lines: dict[str, _Line], room: float) -> str:
        """Returns which options make a run that fits."""
        low = self.recipe.memory == "high"
        if low and self.bytes_of(lines, "low") <= room:
            taken = self.bytes_of(lines, "low") / _GIGABYTE
            fits = self.largest(lines, "high", room)
            smaller = f", or {self._option(fits)}" if fits else ""
            return f"try --memory low, which takes {taken:.1f} GB{smaller}"
        fits = self.largest(lines, "low", room)
        if fits is None:
            return "no --size fits; free some, or raise the limit"
        return f"try {'--memory low and ' * low}{self._option(fits)}"

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
    lanes: int = 1,
) -> Demand:
    """Returns what a run will take.

    Args:
        encoder: That it paints with.
        recipe: How.
        shape: Height and width of the result.
        styles: Heights and widths of the paintings, as they are seen.
        lanes: How many pictures at once.
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
    return Demand(recipe, shape, pixels, features, parameters, lanes)


@contextlib.contextmanager
def watching(demand: Demand) -> Iterator[None]:
    """Refuses a run that takes more memory than there is, before it and, failing that, in it.

    Raises:
        ResourceError: The memory does not suffice; the line says which options make a run that
            fits.
    """
    memory = demand.recipe.memory
    for lines, room, what in _rooms():
        taken = demand.bytes_of(lines, memory)
        if taken > room:
            raise ResourceError(
                f"out of memory: {_named(demand)} would take {taken / _GIGABYTE:.1f} GB {what}, "
                f"and {max(0, room) / _GIGABYTE:.1f} GB are free; {demand.advice(lines, room)}"
            )
    try:
        yield
    except Exception as error:
        if not is_exhausted(error):
            raise
        # What was estimated was too little; so half of the size is a guess with a margin.
        room = demand.bytes_of(_RESIDENT, memory) / 4
        advice = demand.advice(_RESIDENT, room)
        raise ResourceError(f"out of memory: {_named(demand)} did not fit; {advice}") from error


def is_exhausted(error: BaseException) -> bool:
    """Tells whether an error means that there is no memory left."""
    return isinstance(error, MemoryError) or any(word in str(error) for word in _EXHAUSTED)


def _named(demand: Demand) -> str:
    height, width = demand.shape
    return f"{width}×{height} px with --memory {demand.recipe.memory}"


def _rooms() -> Iterator[tuple[dict[str, _Line], float, str]]:
    """Yields the bytes that are free in each place that may run out."""
    device = jax.devices()[0]
    if device.platform != "cpu":
        stats = device.memory_stats() or {}
        if "bytes_limit" in stats:
            free = float(stats["bytes_limit"] - stats.get("bytes_in_use", 0))
            yield _RESIDENT, free, f"of the {plain(device.device_kind)}'s memory"
        return
    free = (_meminfo(), *_cgroups(Path("/proc/self/cgroup")))
    yield _RESIDENT, float(min(free)), "more"
    yield _ADDRESSES, _addresses(), "more of addresses (ulimit -v)"


def _meminfo() -> float:
    """Returns what the system can give, as far as it says so."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        facts = dict(line.split(":", 1) for line in lines)
        return 1024.0 * sum(int(facts[name].split()[0]) for name in ("MemAvailable", "SwapFree"))
    return math.inf


def _cgroups(own_groups: Path) -> Iterator[float]:
    """Yields what each control group above this process has left; of both versions."""
    try:
        groups = [line.split(":", 2) for line in own_groups.read_text().splitlines()]
    except OSError:
        return
    names = {"": ("memory.max", "memory.current", ""), "memory": _FIRST_VERSION}
    for _, controllers, own in groups:
        if controllers not in names:
            continue
        most, used, prefix = names[controllers]
        mounted = _CGROUPS / controllers
        # In containers what is mounted is the group itself, under another name than its own.
        inner = mounted / own.lstrip("/")
        for folder in {mounted, inner, *inner.parents}:
            with contextlib.suppress(OSError, ValueError, KeyError):
                limit, taken = (int((folder / name).read_text()) for name in (most, used))
                lines = (folder / "memory.stat").read_text().splitlines()
                stat = dict(line.split() for line in lines)
                # Files are in the memory only until somebody needs it.
                files = sum(int(stat[f"{prefix}{kind}_file"]) for kind in ("active", "inactive"))
                yield float(limit - max(0, taken - files))


def _addresses() -> float:
    """Returns how many addresses this process may still use."""
    try:
        import resource  # not on Windows

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit == resource.RLIM_INFINITY:
            return math.inf
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        return float(limit - pages * os.sysconf("SC_PAGE_SIZE"))
    except (ImportError, OSError, ValueError):
        return math.inf
