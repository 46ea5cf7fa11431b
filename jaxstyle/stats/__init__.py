"""Statistics: everything that the objective knows of an image, as sums over positions.

A sum over positions can be taken tile by tile, device by device or under a mask, and added up; so
whoever evaluates the objective in another way calls the same two functions, ``statistics`` and
``energy``, and stays exact.

What of a style layer is summed, and how far two sets of sums are apart, is a :class:`Statistic`,
one family a module. ``Sliced`` is the exception to the rule: it sorts, so its parts do not add up.
"""

from jaxstyle.stats.base import Statistic
from jaxstyle.stats.gram import Gram, gram
from jaxstyle.stats.moments import MeanStd, Wasserstein
from jaxstyle.stats.sliced import Sliced
from jaxstyle.stats.strips import encode_in_strips
from jaxstyle.stats.sums import Stats, masks_at, statistics, style_sums, summarise

__all__ = [
    "Gram",
    "MeanStd",
    "Sliced",
    "Statistic",
    "Stats",
    "Wasserstein",
    "encode_in_strips",
    "gram",
    "masks_at",
    "statistics",
    "style_sums",
    "summarise",
]
