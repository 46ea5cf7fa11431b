"""Style statistics: sums over the positions of a layer's features, one family per module.

Sums over positions can be computed per tile, per device or under a mask, and added up. ``Sliced``
is the exception: it sorts positions, so its parts do not add up.
"""

from jaxstyle.losses.statistics.base import Additive, Statistic, region_sums
from jaxstyle.losses.statistics.gram import Gram, gram
from jaxstyle.losses.statistics.moments import MeanStd, Wasserstein
from jaxstyle.losses.statistics.sliced import Sliced

STATISTICS: dict[str, Statistic] = {
    "gram": Gram(),
    "wasserstein": Wasserstein(),
    "mean-std": MeanStd(),
    "sliced": Sliced(),
}
"""Statistics by name."""

__all__ = [
    "STATISTICS",
    "Additive",
    "Gram",
    "MeanStd",
    "Sliced",
    "Statistic",
    "Wasserstein",
    "gram",
    "region_sums",
]
