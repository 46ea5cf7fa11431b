"""Named recipes: those of jaxstyle and of the best-known tools.

Each of the latter reproduces the original's loss (layers, statistic, normalisation, weights,
preprocessing), variable, initial image and solver. If the original computes the total variation on
a scale of 0 to 255, the weight contains the factor 255 to the power of its degree.
"""

import math
from typing import NamedTuple

from jaxstyle.errors import unknown
from jaxstyle.recipes.recipe import Recipe
from jaxstyle.recipes.typed import LayerWeights
from jaxstyle.run.texture import SCHEDULE

_FIRSTS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")


class Preset(NamedTuple):
    """A named recipe.

    Attributes:
        source: Origin of the recipe.
        recipe: The recipe.
    """

    source: str
    recipe: Recipe


def _layers(weights: tuple[float, ...], names: tuple[str, ...] = _FIRSTS) -> LayerWeights:
    return dict(zip(names, weights, strict=True))


PRESETS = {
    "default": Preset("jaxstyle's own; docs/recipe.md explains how it was chosen", Recipe()),
    "scene": Preset(
        "The default with nearest-neighbour style: keeps the scene where the default loses it",
        Recipe(
            nearest_weight=50.0, coarse_style=0.0, coarsest=64, coarse_iterations=30, iterations=40
        ),
    ),
    "draft": Preset(
        "The default, small and with few iterations: a preview", Recipe(size=256, iterations=30)
    ),
    "instant": Preset(
        "Ghiasi et al. 2017, one pass of Magenta's networks instead of an optimisation: a preview "
        "in seconds",
        Recipe(init="instant", iterations=0, scales=1),
    ),
    "best": Preset(
        "The default, larger and with more iterations: the best quality",
        Recipe(size=1024, history=50, iterations=200, coarse_iterations=300),
    ),
    # The authors' loss without their last pass per layer and their colour step; with L-BFGS instead
    # of Adam (a quarter of the evaluations), pixels instead of a Laplacian pyramid, features
    # averaged instead of interpolated, and total variation against the speckle of flat parts.
    "nnst": Preset(
        "Kolkin et al. 2022, 'Neural Neighbor Style Transfer', the optimisation with VGG-16 "
        "(github.com/nkolkin13/NeuralNeighborStyleTransfer)",
        Recipe(
            content_layers={},
            style_layers={},
            nearest_weight=100.0,
            rotate_style=True,
            scales=4,
            coarsest=32,
        ),
    ),
    # The authors' loss with Adam and pixels instead of RMSprop and a Laplacian pyramid, from the
    # photograph. Positions are drawn every 10 iterations, 1024 of image and style, not every
    # iteration and 5000; colours are compared as a palette only; means and covariances are relative
    # to the style's features, because those of the authors' VGG-16 are larger than torchvision's.
    # Each scale has 100 iterations, not 250, and all features are interpolated bilinearly.
    "strotss": Preset(
        "Kolkin, Salavon & Shakhnarovich 2019, 'Style Transfer by Relaxed Optimal Transport and "
        "Self-Similarity' (github.com/nkolkin13/STROTSS)",
        Recipe(
            content_layers={},
            style_layers={},
            terms={"transport": 1.0, "self-similarity": 1.0},
            tv_weight=0.0,
            solver="adam",
            scales=4,
            coarsest=32,
            coarse_iterations=100,
            iterations=100,
        ),
    ),
    "texture": Preset(
        "The default of `jaxstyle texture`: no content, from noise, coarse to fine",
        Recipe(
            content_layers={},
            init="noise",
            variable="fourier",
            scales=SCHEDULE.scales,
            coarsest=SCHEDULE.coarsest,
        ),
    ),
    "print": Preset(
        "The default for prints of 4096 pixels and more; fewer iterations at larger sizes",
        Recipe(size=4096, scales=8, first_iterations=300, decline=3.0, iterations=10),
    ),
    "gatys": Preset(
        "Gatys, Ecker & Bethge 2016, the authors' PyTorch notebook "
        "(github.com/leongatys/PytorchNeuralStyleTransfer)",
        Recipe(
            encoder="vgg19",
            variable="image",
            padding="zeros",
            side="shorter",
            normalisation="mean",
            content_layers={"conv4_2": 1.0},
            style_layers=_layers(tuple(1000 / c**2 for c in (64, 128, 256, 512, 512))),
            content_weight=1.0,
            style_weight=1.0,
            tv_weight=0.0,
            history=100,
            iterations=500,
            scales=1,
        ),
    ),
    "neural-style": Preset(
        "ProGamerGov's neural-style-pt, after J. Johnson's neural-style "
        "(github.com/ProGamerGov/neural-style-pt)",
        Recipe(
            encoder="vgg19",
            variable="image",
            padding="zeros",
            normalisation="neural-style",
            content_layers={"conv4_2": 1.0},
            style_layers=_layers((1.0,) * 5),
            content_weight=5.0,
            style_weight=100.0,
            tv="l1",
            tv_weight=1e-3 * 255,
            init="grey",
            history=100,
            iterations=1000,
            scales=1,
        ),
    ),
    "surma": Preset(
        "G. Surma's style_transfer, with VGG16 (github.com/gsurma/style_transfer)",
        Recipe(
            encoder="vgg16",
            variable="image",
            padding="zeros",
            size=(500, 500),
            normalisation="keras",
            content_layers={"conv2_2": 1.0},
            style_layers=_layers(
                (0.2,) * 5, ("conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3")
            ),
            content_weight=0.02,
            style_weight=4.5,
            tv="isotropic^1.25",
            tv_weight=0.995 * 255**2.5,
            init="noise",
            iterations=200,
            scales=1,
        ),
    ),
    "udacity": Preset(
        "Udacity's PyTorch scholarship notebook 'Style Transfer with Deep Neural Networks', with "
        "VGG19 (github.com/udacity/deep-learning-v2-pytorch)",
        Recipe(
            encoder="vgg19-torch",
            padding="zeros",
            size=400,
            side="shorter",
            stretch_style=True,
            normalisation="udacity",
            content_layers={"conv4_2": 1.0},
            style_layers=_layers((1.0, 0.75, 0.2, 0.2, 0.2)),
            content_weight=1.0,
            style_weight=1e6,
            tv_weight=0.0,
            solver="adam",
            learning_rate=0.003,
            b2=0.999,
            variable="encoder",
            iterations=2000,
            scales=1,
        ),
    ),
    "keras": Preset(
        "The Keras example 'Neural style transfer' "
        "(keras.io/examples/generative/neural_style_transfer)",
        Recipe(
            encoder="vgg19",
            padding="zeros",
            size=400,
            side="height",
            stretch_style=True,
            normalisation="keras",
            content_layers={"conv5_2": 1.0},
            style_layers=_layers((0.2,) * 5),
            content_weight=2.5e-8,
            style_weight=1e-6,
            tv="isotropic^1.25",
            tv_weight=1e-6 * 255**2.5,
            solver="gradient-descent",
            learning_rate=100.0,
            decay=0.96,
            variable="encoder",
            iterations=4000,
            scales=1,
        ),
    ),
    "crowson": Preset(
        "K. Crowson's style-transfer-pytorch (github.com/crowsonkb/style-transfer-pytorch)",
        Recipe(
            encoder="vgg19-torch",
            variable="image",
            padding="replicate-first",
            normalisation="mean",
            statistic="wasserstein",
            content_layers={"conv4_2": 1.0},
            style_layers=_layers(tuple(w / 341 for w in (256, 64, 16, 4, 1))),
            content_weight=0.015,
            style_weight=1.0,
            tv="nine-point",
            tv_weight=2.0,
            solver="adam",
            learning_rate=0.02,
            clamp=True,
            average=0.99,
            scales=5,
            scale_factor=math.sqrt(2),
            coarsest=16,
            iterations=500,
            coarse_iterations=500,
            first_iterations=1000,
        ),
    ),
}


def preset(name: str) -> Recipe:
    """Returns a preset's recipe.

    Args:
        name: A key of ``PRESETS``.

    Raises:
        InputError: The name is unknown.

    Examples:
        >>> preset("gatys").history
        100
    """
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    return PRESETS[name].recipe
