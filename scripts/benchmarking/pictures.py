"""The project's own pictures, for what depends on what they show."""

import jax

import jaxstyle as js
from jaxstyle.ops import resize

from .processes import ROOT


def example_pictures(
    recipe: js.Recipe, painting: str = "painting.jpg"
) -> tuple[jax.Array, jax.Array]:
    """Returns the example photograph and a painting as a recipe sees them."""
    examples = ROOT / "docs" / "examples"
    content = js.load_image(examples / "harbour.jpg")
    shape = recipe.shape_of(resize.shape_of(content))
    style = js.load_image(examples / painting)
    style = resize.resize(style, recipe.style_shape_of(resize.shape_of(style), shape))
    return resize.resize(content, shape), style
