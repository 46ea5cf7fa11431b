"""Neural style transfer in JAX: paint a photograph in the style of a painting."""

from jaxstyle import interrupts as _interrupts  # noqa: F401 # isort: skip - first: the others take seconds
from jaxstyle import batch, compilation, gallery, instant, perceptual, video
from jaxstyle.encoder import VGG, VGG16, VGG19, Encoder, VGGEncoder, encode
from jaxstyle.errors import InputError
from jaxstyle.evaluate.devices import Devices
from jaxstyle.evaluate.loss import loss, loss_terms, prepare
from jaxstyle.evaluate.mesh import Mesh, mesh
from jaxstyle.evaluate.plan import Plan
from jaxstyle.evaluate.targets import make_targets, style_targets
from jaxstyle.evaluate.tiles import Tiles
from jaxstyle.evaluate.whole import Whole
from jaxstyle.files import load_image, save_image
from jaxstyle.gallery import load_style
from jaxstyle.losses.content import Content
from jaxstyle.losses.custom import ImageTerm
from jaxstyle.losses.laplacian import Laplacian
from jaxstyle.losses.loss_weights import LossWeights
from jaxstyle.losses.nearest import Nearest
from jaxstyle.losses.normalisation import Normalisation
from jaxstyle.losses.objective import Objective
from jaxstyle.losses.pictures import Scene, Styles
from jaxstyle.losses.statistics import Additive, Gram, MeanStd, Sliced, Statistic, Wasserstein
from jaxstyle.losses.style import Style
from jaxstyle.losses.temporal import Temporal
from jaxstyle.losses.term import Size, Target, Term, View, Weight
from jaxstyle.losses.total_variation import TotalVariation
from jaxstyle.losses.transport import SelfSimilarity, Transport
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
    "Content",
    "Devices",
    "Encoder",
    "Gram",
    "ImageTerm",
    "InputError",
    "Laplacian",
    "LossWeights",
    "MeanStd",
    "Mesh",
    "Nearest",
    "Normalisation",
    "Objective",
    "Optimised",
    "Parameterisation",
    "Plan",
    "Progress",
    "Recipe",
    "Result",
    "Scene",
    "Schedule",
    "SelfSimilarity",
    "Size",
    "Sliced",
    "Solver",
    "Statistic",
    "Style",
    "Styles",
    "Swept",
    "Target",
    "Temporal",
    "Term",
    "Tiles",
    "TotalVariation",
    "Transport",
    "VGGEncoder",
    "View",
    "Wasserstein",
    "Weight",
    "Whole",
    "__version__",
    "adam",
    "batch",
    "compilation",
    "encode",
    "from_optax",
    "gallery",
    "gradient_descent",
    "instant",
    "lbfgs",
    "load_calibration",
    "load_encoder",
    "load_image",
    "load_style",
    "loss",
    "loss_terms",
    "make_targets",
    "mesh",
    "optimise",
    "paint",
    "paint_all",
    "perceptual",
    "prepare",
    "preset",
    "save_image",
    "style_targets",
    "stylize",
    "sweep",
    "texture",
    "video",
]
