"""Neural style transfer in JAX: a photograph, painted in the manner of a painting."""

from jaxstyle import interrupts as _interrupts  # noqa: F401 # isort: skip - first: the others take seconds
from jaxstyle import batch, compilation, perceptual
from jaxstyle.encoder import VGG, VGG16, VGG19, Encoder, VGGEncoder, encode
from jaxstyle.errors import InputError
from jaxstyle.files import load_image, save_image
from jaxstyle.large.devices import sharded_targets, sharded_value_and_grad
from jaxstyle.large.mesh import Mesh, mesh
from jaxstyle.large.tiles import tiled_value_and_grad
from jaxstyle.losses.loss import LossTerms, compare, loss, loss_terms
from jaxstyle.losses.measure import Stats, masks_at, statistics
from jaxstyle.losses.normalisation import Normalisation
from jaxstyle.losses.objective import LossWeights, Objective
from jaxstyle.losses.statistics import Additive, Gram, MeanStd, Sliced, Statistic, Wasserstein
from jaxstyle.losses.targets import (
    ContentTargets,
    StyleTargets,
    Targets,
    content_targets,
    make_targets,
    style_targets,
)
from jaxstyle.pretrained import load_calibration, load_encoder
from jaxstyle.recipes.paint import paint
from jaxstyle.recipes.presets import preset
from jaxstyle.recipes.recipe import Recipe
from jaxstyle.recipes.sweeps import paint_all
from jaxstyle.run.checkpoint import Checkpoint
from jaxstyle.run.optimise import Optimised, optimise
from jaxstyle.run.parameterisation import Parameterisation
from jaxstyle.run.progress import Progress, Result
from jaxstyle.run.schedule import Schedule
from jaxstyle.run.stylize import stylize
from jaxstyle.run.sweep import Swept, sweep
from jaxstyle.run.texture import texture
from jaxstyle.solvers import Solver, adam, from_optax, gradient_descent, lbfgs
from jaxstyle.version import __version__

__all__ = [
    "VGG",
    "VGG16",
    "VGG19",
    "Additive",
    "Checkpoint",
    "ContentTargets",
    "Encoder",
    "Gram",
    "InputError",
    "LossTerms",
    "LossWeights",
    "MeanStd",
    "Mesh",
    "Normalisation",
    "Objective",
    "Optimised",
    "Parameterisation",
    "Progress",
    "Recipe",
    "Result",
    "Schedule",
    "Sliced",
    "Solver",
    "Statistic",
    "Stats",
    "StyleTargets",
    "Swept",
    "Targets",
    "VGGEncoder",
    "Wasserstein",
    "__version__",
    "adam",
    "batch",
    "compare",
    "compilation",
    "content_targets",
    "encode",
    "from_optax",
    "gradient_descent",
    "lbfgs",
    "load_calibration",
    "load_encoder",
    "load_image",
    "loss",
    "loss_terms",
    "make_targets",
    "masks_at",
    "mesh",
    "optimise",
    "paint",
    "paint_all",
    "perceptual",
    "preset",
    "save_image",
    "sharded_targets",
    "sharded_value_and_grad",
    "statistics",
    "style_targets",
    "stylize",
    "sweep",
    "texture",
    "tiled_value_and_grad",
]
