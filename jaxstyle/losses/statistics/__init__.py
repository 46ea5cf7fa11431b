"""Style statistics: what of a layer's features is summed over positions, one family a module.

A sum over positions can be taken tile by tile, device by device or under a mask, and added up.
``Sliced`` is the exception to the rule: it sorts, so its parts do not add up.
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
"""The known ones by name."""

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
