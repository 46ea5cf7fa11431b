"""The schedule of sizes and iterations of a run, from coarse to fine."""

import dataclasses
import math
from typing import NamedTuple

from jaxstyle.errors import InputError
from jaxstyle.losses.loss_weights import LossWeights
from jaxstyle.ops import resize


class Scale(NamedTuple):
    """One size of a run.

    Attributes:
        shape: Height and width in pixels.
        iterations: Number of solver iterations.
        style: Factor of the style weight.
    """

    shape: tuple[int, int]
    iterations: int
    style: float = 1.0

    def weights(self, loss_weights: LossWeights) -> LossWeights:
        """Returns the loss weights of this size."""
        if self.style == 1:
            return loss_weights
        return dataclasses.replace(loss_weights, style=loss_weights.style * self.style)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schedule:
    """Sizes and iterations, from coarse to fine.

    Attributes:
        iterations: Number of solver iterations at the finest scale, ≥ 0.
        scales: Number of scales, ≥ 1.
        coarse_iterations: Number of solver iterations at each coarser scale, ≥ 0.
        coarsest: Coarser scales with a shorter side of fewer pixels are omitted, ≥ 16. The fewer
            positions the content features have, the more the style rearranges the picture.
        scale_factor: Ratio of the sides of one scale to those of the next coarser one, > 1.
        first_iterations: Number of solver iterations at the coarsest of several scales, ≥ 0; None
            for ``coarse_iterations``.
        decline: Factor by which the number of iterations falls from each scale to the next finer
            one, from the coarsest down to ``iterations``, ≥ 1; 1 for no decline.
        coarse_style: Factor of the style weight at coarser scales, ≥ 0. With 0 and a term such as
            nearest-neighbour style, coarser scales place the style, and the finest one adds its
            strokes.
        average: Decay rate of the moving average of images that becomes the result, in [0, 1); 0
            for the last image. For the variable ``sigmoid`` the logits are averaged.
    """

    iterations: int = 50
    scales: int = 3
    coarse_iterations: int = 50
    coarsest: int = 300
    scale_factor: float = 2.0
    first_iterations: int | None = None
    decline: float = 1.0
    coarse_style: float = 1.0
    average: float = 0.0

    def __post_init__(self) -> None:
        least = {
            "iterations": 0,
            "scales": 1,
            "coarse_iterations": 0,
            "first_iterations": 0,
            "coarsest": resize.MIN_SIDE,
        }
        for name, minimum in least.items():
            value = getattr(self, name)
            if value is not None and value < minimum:
                raise InputError(f"{name} {value}: too small; give at least {minimum}")
        if not 1 < self.scale_factor < math.inf:
            raise InputError(f"scale_factor {self.scale_factor}: too small; give a number above 1")
        if not 1 <= self.decline < math.inf:
            raise InputError(f"decline {self.decline}: out of range; give at least 1")
        if not 0 <= self.coarse_style < math.inf:
            raise InputError(f"coarse_style {self.coarse_style}: out of range; give at least 0")
        if not 0 <= self.average < 1:
            raise InputError(f"average {self.average}: out of range; give a number in [0, 1)")

    def scales_of(self, shape: tuple[int, int]) -> list[Scale]:
        """Returns the scales of a run, omitting those that are too small or without iterations.

        Args:
            shape: Height and width of the finest scale, in pixels.

        Examples:
            >>> Schedule(iterations=50, scales=3, coarse_iterations=200).scales_of((600, 800))[0]
            Scale(shape=(300, 400), iterations=200, style=1.0)
        """
        coarse = []
        for i in range(1, self.scales):
            smaller = resize.fit(shape, round(max(shape) / self.scale_factor**i))
            if min(smaller) < self.coarsest:
                break
            coarse.insert(0, smaller)
        planned = [
            Scale(smaller, self._coarse(i), self.coarse_style) for i, smaller in enumerate(coarse)
        ]
        return [scale for scale in [*planned, Scale(shape, self.iterations)] if scale.iterations]

    def _coarse(self, i: int) -> int:
        """Returns the number of iterations of the i-th scale, counted from the coarsest."""
        first = self.coarse_iterations if self.first_iterations is None else self.first_iterations
        if self.decline > 1:
            return max(self.iterations, round(first / self.decline**i))
        return first if i == 0 else self.coarse_iterations


def fraction_done(scales: list[Scale], step: int | float) -> float:
    """Returns the completed fraction of the work, measured in pixels × iterations.

    Args:
        scales: Scales of the run.
        step: Number of completed solver iterations over all scales; may be a mean of several runs.

    Examples:
        >>> fraction_done([Scale((10, 10), 4), Scale((20, 20), 4)], 4)
        0.2
    """
    done, total = 0, 0
    for (h, w), iterations, _ in scales:
        done += h * w * min(max(step, 0), iterations)
        total += h * w * iterations
        step -= iterations
    return done / total
