"""Paint the project's own pictures with one setting varied at a time: a contact sheet a setting.

python scripts/make_contact_sheets.py
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import tyro
from PIL import Image, ImageDraw, ImageFont

import jaxstyle as js
from jaxstyle.ops import resize

DOCS = Path(__file__).parent.parent / "docs"
EXAMPLES = DOCS / "examples"
CAPTION = 22
LAYERS = js.Recipe().style_layers
FLAT = dict.fromkeys(LAYERS, 1.0)
DEEP = (20.0, 0.3, 0.5, 1.0, 1.5, 1.5)
SHALLOW = (20.0, 10.0, 5.0, 1.0, 0.5, 0.2)

# The sky, in parts of width and height: of the photograph, and of the painting.
SKIES = {
    "harbour": "0,0 1,0 1,.08 .84,.16 .8,.16 .6,.3 .59,.16 .55,.05 .52,.18 .52,.33 .19,.46 0,.53",
    "painting": "0,0 1,0 1,.55 .8,.49 .7,.48 .53,.57 .27,.57 0,.52",
}


@dataclasses.dataclass(frozen=True)
class Cell:
    """One picture of a sheet: what differs from the defaults."""

    change: dict[str, Any] = dataclasses.field(default_factory=dict)
    preset: str = "default"
    styles: tuple[str, ...] = ("painting",)
    blend: tuple[float, ...] | None = None
    guided: bool = False
    texture: str | None = None  # "free" or "seamless"


def vary(setting: str, *values: Any, **also: Any) -> dict[str, Cell]:
    """A cell for each value of a setting."""
    name = setting.replace("_", " ")
    return {f"{name} {value}": Cell({setting: value} | also) for value in values}


# Of each sheet of docs/recipe.md, how the default recipe was chosen, its cells by caption.
CHOICES: dict[str, dict[str, Cell]] = {
    "style_weight": vary("style_weight", 6.0, 20.0, 60.0, 200.0, 600.0),
    "tv": vary("tv_weight", 0.0, 5.0, 200.0, 2000.0),
    "palette": {
        f"palette layer times {w}": Cell({"style_layers": {**LAYERS, "image": w}})
        for w in (0.0, 1.0, 20.0, 200.0)
    },
    "layer_weights": {
        "default": Cell(),
        "all equal but the palette": Cell({"style_layers": {**FLAT, "image": 20.0}}),
        "deep above shallow": Cell({"style_layers": dict(zip(LAYERS, DEEP, strict=True))}),
        "shallow above deep": Cell({"style_layers": dict(zip(LAYERS, SHALLOW, strict=True))}),
    },
    "content_layers": {
        name.replace("=1", ""): Cell({"content_layers": dict.fromkeys(name.split(), 1.0)})
        for name in ("conv2_2", "conv3_2", "conv4_2", "conv5_1")
    },
    "start": vary("init", "content", "matched", "style", "noise", "grey"),
    "variable": vary("variable", "image", "fourier", "sigmoid"),
    "scales": vary("scales", 1, 2, 3, coarsest=16, coarse_iterations=25),
    "encoder": {
        "default": Cell(),
        "padding zeros": Cell({"padding": "zeros"}),
        "average pooling": Cell({"pooling": "average"}),
        "l2 pooling": Cell({"pooling": "l2"}),
    },
}

# The presets, by the network that is here and of one size; the longest are not run to their end.
PRESETS = {
    f"{name}, {iterations} iterations": Cell(
        {"encoder": "vgg16", "side": "longer", "iterations": iterations} | change, preset=name
    )
    for name, iterations, change in (
        ("default", 50, {}),
        ("draft", 30, {}),
        ("best", 200, {}),
        ("gatys", 500, {}),
        ("neural-style", 1000, {}),
        ("surma", 200, {}),
        ("udacity", 1000, {}),
        ("keras", 1000, {}),
        ("crowson", 100, {"coarse_iterations": 100, "first_iterations": 200}),
    )
}

# And of docs/recipes.md, what each control does.
CONTROLS: dict[str, dict[str, Cell]] = {
    "presets": PRESETS,
    "statistics": {
        "gram": Cell(),
        "wasserstein": Cell({"statistic": "wasserstein"}),
        "mean-std": Cell({"statistic": "mean-std"}),
        "sliced": Cell({"statistic": "sliced", "iterations": 30}),
    },
    "colour": vary("colour", "style", "content", "luminance", "match"),
    "blend": {
        "painting": Cell(),
        "--blend 3,1": Cell(styles=("painting", "window"), blend=(3, 1)),
        "--blend 1,3": Cell(styles=("painting", "window"), blend=(1, 3)),
        "window": Cell(styles=("window",)),
    },
    "guides": {
        "without": Cell(),
        "sky from sky": Cell(guided=True),
    },
    "style_scale": vary("style_scale", 0.5, 1.0, 2.0),
    "tv_kinds": {
        "none": Cell({"tv_weight": 0.0}),
        "l1, 10": Cell({"tv": "l1", "tv_weight": 10.0}),
        "l2, 500": Cell({"tv_weight": 500.0}),
        "isotropic^1.25, 1000": Cell({"tv": "isotropic^1.25", "tv_weight": 1000.0}),
        "nine-point, 500": Cell({"tv": "nine-point", "tv_weight": 500.0}),
    },
    "solvers": {
        "lbfgs": Cell(),
        "adam": Cell({"solver": "adam"}),
        "adam, average .9": Cell({"solver": "adam", "average": 0.9}),
        "adam, normalised gradients": Cell(
            {"solver": "adam", "normalise_gradients": True, "style_weight": 20.0, "tv_weight": 1e-5}
        ),
    },
    "range": {
        "no limit": Cell({"solver": "adam", "variable": "image"}),
        "clamp": Cell({"solver": "adam", "variable": "image", "clamp": True}),
        "variable sigmoid": Cell({"variable": "sigmoid"}),
    },
    "texture": {
        "painting": Cell(texture="free"),
        "painting, seamless, four copies": Cell(texture="seamless"),
        "window, seamless, four copies": Cell(styles=("window",), texture="seamless"),
    },
}
SHEETS = {
    **{name: (DOCS / "recipe", cells) for name, cells in CHOICES.items()},
    **{name: (DOCS / "recipes", cells) for name, cells in CONTROLS.items()},
}


@dataclasses.dataclass(frozen=True)
class Sheets:
    """Paint the project's own pictures with one setting varied at a time."""

    names: tyro.conf.Positional[tuple[str, ...]] = ()
    """Of the sheets to make; all if left out."""
    size: int = 320
    """Longer side of each picture, in pixels."""


def sky_masks(name: str, shape: tuple[int, int]) -> jnp.ndarray:
    """Two regions, the sky and the rest, `f32[2, h, w]`."""
    mask = Image.new("L", (shape[1], shape[0]))
    corners = [tuple(map(float, corner.split(","))) for corner in SKIES[name].split()]
    ImageDraw.Draw(mask).polygon([(x * shape[1], y * shape[0]) for x, y in corners], fill=255)
    sky = np.asarray(mask, np.float32) / 255
    return jnp.stack([sky, 1 - sky])


def paint(cell: Cell, size: int) -> Image.Image:
    """Paints one picture."""
    recipe = js.preset("texture" if cell.texture else cell.preset).replace(size=size)
    recipe = recipe.updated(cell.change)
    styles = [js.load_image(EXAMPLES / f"{name}.jpg") for name in cell.styles]
    if cell.texture:
        seamless = cell.texture == "seamless"
        side = (size // 2 if seamless else size) // 16 * 16
        padding = "circular" if seamless else recipe.padding
        image = js.paint(recipe.replace(size=(side, side), padding=padding), None, styles).image
        image = jnp.tile(image, (2, 2, 1)) if seamless else image
    else:
        content = js.load_image(EXAMPLES / "harbour.jpg")
        options: dict[str, Any] = {"blend": cell.blend}
        if cell.guided:
            options["content_masks"] = sky_masks("harbour", resize.shape_of(content))
            options["style_masks"] = [sky_masks("painting", resize.shape_of(styles[0]))]
        image = js.paint(recipe, content, styles, **options).image
    return Image.fromarray(np.asarray(jnp.round(image * 255)).astype(np.uint8))


def sheet(pictures: dict[str, Image.Image]) -> Image.Image:
    """Pictures side by side in few rows, each under its caption."""
    columns = 3 if len(pictures) > 6 else -(-len(pictures) // (2 if len(pictures) > 3 else 1))
    width, height = next(iter(pictures.values())).size
    rows = -(-len(pictures) // columns)
    page = Image.new("RGB", (columns * width, rows * (height + CAPTION)), "white")
    draw = ImageDraw.Draw(page)
    for k, (caption, picture) in enumerate(pictures.items()):
        x, y = k % columns * width, k // columns * (height + CAPTION)
        draw.text((x + 4, y + 3), caption, "black", ImageFont.load_default(14))
        page.paste(picture, (x, y + CAPTION))
    return page


def main() -> None:
    options = tyro.cli(Sheets)
    for name in options.names or SHEETS:
        folder, cells = SHEETS[name]
        folder.mkdir(parents=True, exist_ok=True)
        pictures = {caption: paint(cell, options.size) for caption, cell in cells.items()}
        sheet(pictures).save(folder / f"{name}.jpg", quality=88)
        print(folder / f"{name}.jpg", flush=True)


if __name__ == "__main__":
    main()
