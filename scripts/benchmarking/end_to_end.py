"""``end-to-end``: whole commands, and how soon our way gets where the original's gets."""

import dataclasses
import tempfile
import time
from typing import Any, NamedTuple

import jax
import numpy as np

import jaxstyle as js
from jaxstyle.ops import resize
from jaxstyle.recipes.recipe import Variable

from .options import Measurement, Numbers
from .outcome import Row
from .pictures import example_pictures
from .problem import RECIPE
from .processes import COMMAND, Command

# Our way: coarse to fine, in the default recipe's variable.
OURS: Variable = js.Recipe().variable


class Descent(NamedTuple):
    """What a run did at its finest scale, iteration by iteration.

    Attributes:
        seconds: Since the run began, coarse scales included.
        losses: After each iteration.
        evaluations: Of the whole run.
    """

    seconds: np.ndarray
    losses: np.ndarray
    evaluations: int


def descend(
    encoder: js.VGGEncoder,
    content: jax.Array,
    style: jax.Array,
    schedule: js.Schedule,
    variable: Variable,
    goal: float = 0.0,
) -> Descent:
    """Runs the gatys recipe another way, until the loss at the finest scale is at the goal."""
    shape = resize.shape_of(content)
    coarse = sum(scale.iterations for scale in schedule.scales_of(shape)[:-1])
    points = [(0, 0.0)]
    started = time.perf_counter()

    def watch(progress: js.Progress) -> bool:
        now = time.perf_counter() - started
        if progress.shape != shape:
            points[0] = (0, now)
            return False
        points.append((progress.step - coarse, now))
        return float(progress.terms.loss) <= goal

    changed = {"schedule": schedule, "variable": variable}
    options: dict[str, Any] = RECIPE.make_options() | changed
    result = js.stylize(
        content,
        style,
        encoder,
        **options,
        callback=watch,
    )
    losses = np.sum(result.terms, axis=0)[coarse:]
    steps, times = zip(*points, strict=True)
    at = np.interp(np.arange(1, len(losses) + 1), steps, times)
    return Descent(at, losses, result.evaluations)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EndToEnd(Measurement):
    """Time whole commands, and the gatys recipe as it stands beside our way to its loss."""

    sizes: Numbers = (512,)
    """Sizes of the result: the command's --size, the shorter side for gatys."""
    encoder: str = "vgg16"
    """Of the gatys recipe."""
    rounds: int = 3
    """How often the command is run with a warm cache."""
    command: str = COMMAND
    """Arguments of jaxstyle for the command to be timed; nothing for none."""
    evaluations: int = 500
    """After which the single scale sets the loss to be reached; 0 for no descents."""
    scales: int = 3
    """Of our way."""
    coarse_iterations: int = 100
    """At each coarser scale of it."""

    def measure(self, encoder: js.VGGEncoder) -> list[Row]:
        """Returns rows for every size: the commands, then the descents."""
        rows: list[Row] = []
        for size in self.sizes:
            rows += self._commands(size) if self.command else []
            rows += self._descents(encoder, size) if self.evaluations else []
        return rows

    def _commands(self, size: int) -> list[Row]:
        with tempfile.TemporaryDirectory() as folder:
            seconds = Command(self.command, size, folder).cold_and_warm(self.rounds)
        return [
            {"size": size, "run": f"command, {k} cache", "all [s]": s} for k, s in seconds.items()
        ]

    def _descents(self, encoder: js.VGGEncoder, size: int) -> list[Row]:
        recipe = dataclasses.replace(RECIPE, size=size)
        single = js.Schedule(iterations=self.evaluations, scales=1)
        finer = js.Schedule(
            iterations=self.evaluations,
            scales=self.scales,
            coarse_iterations=self.coarse_iterations,
        )
        pictures = encoder, *example_pictures(recipe)
        # One iteration a scale compiles everything.
        once = dataclasses.replace(finer, iterations=1, coarse_iterations=1)
        descend(*pictures, once, OURS)
        descend(*pictures, dataclasses.replace(once, scales=1), RECIPE.variable)
        alone = descend(*pictures, single, RECIPE.variable)
        last = round(self.evaluations * len(alone.losses) / alone.evaluations) - 1
        seconds, goal = float(alone.seconds[last]), float(alone.losses[last])
        found = descend(*pictures, finer, OURS, goal)
        there = np.flatnonzero(found.losses <= goal)
        reached = float(found.seconds[there[0]]) if there.size else None
        return [
            {"size": size, "run": "gatys, single scale", "all [s]": seconds, "loss": goal},
            {
                "size": size,
                "run": "gatys, our way to the same loss",
                "all [s]": reached,
                "loss": float(found.losses[there[0] if there.size else -1]),
                "/ single scale": reached and reached / seconds,
            },
        ]
