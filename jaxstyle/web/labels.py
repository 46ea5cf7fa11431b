"""What the page calls presets, settings and choices, in words for people.

A preset, setting or choice that is not listed here is shown by its own name.
"""

from typing import NamedTuple


class Card(NamedTuple):
    """A preset as the page offers it: a need, and a plain sentence."""

    title: str
    text: str


CARDS = {
    "default": Card("Balanced", "Bold strokes, and the scene stays."),
    "scene": Card("Keep the scene", "Finer strokes, and every detail stays in its place."),
    "draft": Card("Quick look", "Small and fast, to try a pair."),
    "best": Card("Finest", "Large and detailed. Takes its time."),
}
"""Presets that are offered first; the others are under "More looks"."""

GROUPS = {
    "result": "The result",
    "strength": "Strength",
    "size": "Size and detail",
    "machine": "Speed and memory",
    "expert": "For experts",
}
"""Titles of the groups of settings."""

SETTINGS = {
    "size": "Size",
    "side": "Size is that of the",
    "multiple": "Round the sides to a multiple of",
    "style_scale": "Stroke size",
    "stretch_style": "Stretch the painting to the shape of the photograph",
    "style_weight": "Strength",
    "content_weight": "Weight of the photograph",
    "tv_weight": "Smoothness",
    "nearest_weight": "Keep the scene",
    "coarse_style": "Strength at the smaller sizes",
    "rotate_style": "Use the painting rotated, too",
    "style_layers": "Network layers for the style",
    "content_layers": "Network layers for the photograph",
    "terms": "Further terms",
    "statistic": "Style statistic",
    "tv": "Kind of smoothness",
    "normalise_gradients": "Normalise gradients",
    "colour": "Colours",
    "init": "Start from",
    "strength": "Strength of the instant picture",
    "iterations": "Iterations",
    "scales": "Number of sizes, from coarse to fine",
    "scale_factor": "Ratio of two sizes",
    "coarse_iterations": "Iterations at the smaller sizes",
    "first_iterations": "Iterations at the smallest size",
    "decline": "Decline of the iterations from size to size",
    "coarsest": "Smallest size",
    "average": "Average over iterations",
    "history": "Steps that L-BFGS remembers",
    "b1": "Decay rate of the first moment",
    "b2": "Decay rate of the second moment",
    "decay": "Decay of the learning rate",
    "decay_steps": "Iterations for each decay",
    "variable": "What is optimised",
    "clamp": "Keep colours in range",
    "encoder": "Network",
    "seed": "Random seed",
}
"""Names of settings."""

CHOICES = {
    "colour": {
        "style": "The painting's",
        "content": "The photograph's",
        "luminance": "The photograph's, with painted brightness",
        "match": "The photograph's, by histogram",
    },
    "memory": {"auto": "Automatic", "whole": "Fastest", "tiles": "Least memory"},
    "init": {
        "content": "the photograph",
        "matched": "the photograph in the painting's colours",
        "style": "the painting",
        "grey": "a grey picture",
        "instant": "the instant picture",
    },
    "side": {"longer": "longer side", "shorter": "shorter side"},
    "solver": {"lbfgs": "L-BFGS", "adam": "Adam", "gradient-descent": "Gradient descent"},
    "pooling": {"": "as it was trained"},
    "variable": {"image": "the pixels", "encoder": "the network's input"},
}
"""Names of the choices of a setting."""


def label_of(setting: str) -> str:
    """Returns the name of a setting.

    Examples:
        >>> label_of("tv_weight"), label_of("learning_rate")
        ('Smoothness', 'Learning rate')
    """
    return SETTINGS.get(setting, setting.replace("_", " ").capitalize())
