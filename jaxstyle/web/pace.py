"""How long a picture will take on this machine."""

import os
from collections import deque

from jaxstyle.jobs.job import work_of
from jaxstyle.recipes.recipe import Recipe
from jaxstyle.web.runs import QueuedRun

_REMEMBERED = 8  # runs
# Before the first run: core seconds of the default for a megapixel and an iteration, measured with
# VGG-16, and seconds until the program is compiled.
_CORE_SECONDS, _DEVICE_SECONDS, _PREPARING = 9.0, 0.02, 15.0


class Pace:
    """The speed of this machine, learned from the runs that it has painted.

    Args:
        platform: The platform of the device, on which the first guess depends.
    """

    def __init__(self, platform: str) -> None:
        guess = _CORE_SECONDS / (os.cpu_count() or 1) if platform == "cpu" else _DEVICE_SECONDS
        self._rates = deque([guess], _REMEMBERED)
        self._preparing = _PREPARING
        self._guessed = True

    def learn(self, run: QueuedRun, now: float) -> None:
        """Learns from a run that was painted to its end.

        Args:
            run: The run.
            now: Time of its end, by its clock.
        """
        work = sum(work_of(picture.recipe, picture.shape) for picture in run.results)
        if run.began is None or run.first is None or not work:
            return
        start, fraction = run.first
        if fraction < 1:
            if self._guessed:
                self._rates.clear()
                self._guessed = False
            self._rates.append((now - start) / (work * (1 - fraction)))
            self._preparing = max(0.0, start - run.began - fraction * work * self._rates[-1])

    def seconds(self, recipe: Recipe, shape: tuple[int, int]) -> float:
        """Returns an estimate of the seconds for a picture.

        Args:
            recipe: How it is painted.
            shape: Its height and width.
        """
        rates = sorted(self._rates)
        return self._preparing + work_of(recipe, shape) * rates[len(rates) // 2]
