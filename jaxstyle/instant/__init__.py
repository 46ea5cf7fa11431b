"""A picture in one pass of two small networks, instead of an optimisation: a preview in a second.

Magenta's arbitrary stylisation network. The strokes are more generic than those of an optimisation.
"""

from jaxstyle.instant.functions import SIDE, apply, style_vector, transform
from jaxstyle.instant.networks import VECTOR
from jaxstyle.instant.parameters import InstantParams, instant_file, load_instant

__all__ = [
    "SIDE",
    "VECTOR",
    "InstantParams",
    "apply",
    "instant_file",
    "load_instant",
    "style_vector",
    "transform",
]
