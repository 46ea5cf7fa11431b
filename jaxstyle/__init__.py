"""Neural style transfer in JAX: a photograph, painted in the manner of a painting."""

from jaxstyle import interrupts as _interrupts  # noqa: F401 - first: the others take seconds
from jaxstyle.errors import InputError
from jaxstyle.files import load_image, save_image
from jaxstyle.objective import LossWeights, Objective
from jaxstyle.presets import preset
from jaxstyle.pretrained import load_encoder
from jaxstyle.recipe import Recipe
from jaxstyle.schedule import Schedule
from jaxstyle.solvers import adam, gradient_descent, lbfgs
from jaxstyle.stats import Gram, MeanStd, Sliced, Stats, Wasserstein, statistics
from jaxstyle.stylize import Progress, Result, stylize
from jaxstyle.targets import Targets, make_targets
from jaxstyle.terms import LossTerms, energy, loss, loss_terms
from jaxstyle.texture import texture
from jaxstyle.vgg import VGG, VGG16, VGG19, Encoder, encode

__version__ = "0.1.0"

__all__ = [
    "VGG",
    "VGG16",
    "VGG19",
    "Encoder",
    "Gram",
    "InputError",
    "LossTerms",
    "LossWeights",
    "MeanStd",
    "Objective",
    "Progress",
    "Recipe",
    "Result",
    "Schedule",
    "Sliced",
    "Stats",
    "Targets",
    "Wasserstein",
    "adam",
    "encode",
    "energy",
    "gradient_descent",
    "lbfgs",
    "load_encoder",
    "load_image",
    "loss",
    "loss_terms",
    "make_targets",
    "preset",
    "save_image",
    "statistics",
    "stylize",
    "texture",
]
