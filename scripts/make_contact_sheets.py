"""Paint the project's own picture with one setting varied at a time: a contact sheet a setting.

python scripts/make_contact_sheets.py --out docs/recipe
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import tyro
from PIL import Image, ImageDraw, ImageFont

import jaxstyle as js

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
LAYERS = js.Objective().style_layers
FLAT = dict.fromkeys(LAYERS, 1.0)
CAPTION = 22

# Of each sheet, the captions and what differs from the defaults.
SHEETS: dict[str, dict[str, dict[str, Any]]] = {
    "style_weight": {f"style weight {w:g}": {"style": w} for w in (0.3, 1, 3, 10, 100)},
    "tv": {f"TV weight {w:g}": {"tv": w} for w in (0, 3, 30, 100, 300)},
    "palette": {f"palette layer times {w:g}": {"layers": {"image": w}} for w in (0, 1, 5, 20, 100)},
    "layer_weights": {
        "all equal": {"layers": FLAT},
        "conv1_1 times 0.2": {"layers": {"image": 20.0, "conv1_1": 0.2}},
        "conv4_1, conv5_1 times 3": {"layers": {"image": 20.0, "conv4_1": 3.0, "conv5_1": 3.0}},
        "conv4_1, conv5_1 times 0.2": {"layers": {"image": 20.0, "conv4_1": 0.2, "conv5_1": 0.2}},
        "no conv5_1": {"style_layers": LAYERS[:-1]},
    },
    "start": {init: {"init": init} for init in ("content", "matched", "style", "noise")},
    "scales": {f"{n} scale{'s' * (n > 1)}": {"scales": n, "coarsest": 16} for n in (1, 2, 3)},
    "encoder": {
        "bundled, padding zeros": {"padding": "zeros"},
        "bundled, padding replicate": {"padding": "replicate"},
        "bundled, max pooling": {"pooling": "max"},
        "random": {"encoder": "random"},
    },
    "content_layers": {
        name: {"content_layers": tuple(name.split())}
        for name in ("conv3_2", "conv4_2", "conv5_1", "conv3_2 conv4_2")
    },
    "solver": {
        "L-BFGS": {},
        "L-BFGS, history 50": {"solver": js.lbfgs(history=50)},
        "Adam 0.02": {"solver": js.adam(0.02)},
        "Adam 0.05": {"solver": js.adam(0.05)},
    },
}


@dataclasses.dataclass(frozen=True)
class Sheets:
    """Paint the project's own picture with one setting varied at a time."""

    names: tyro.conf.Positional[tuple[str, ...]] = ()
    """Of the sheets to make; all if left out."""
    out: Path = EXAMPLES.parent / "recipe"
    """Folder of the sheets."""
    content: Path = EXAMPLES / "harbour.jpg"
    """The photograph."""
    style: Path = EXAMPLES / "painting.jpg"
    """The painting."""
    size: int = 320
    """Longer side of each picture, in pixels."""


def paint(options: Sheets, change: dict[str, Any]) -> Image.Image:
    """One picture; `change` holds what differs from the defaults."""
    encoder = js.load_encoder(
        change.get("encoder", "bundled"),
        pooling=change.get("pooling"),
        padding=change.get("padding", "replicate"),
    )
    plain = js.LossWeights()
    result = js.stylize(
        encoder,
        js.load_image(options.content, options.size),
        js.load_image(options.style, options.size),
        objective=js.Objective(
            change.get("content_layers", js.Objective.content_layers),
            change.get("style_layers", LAYERS),
        ),
        loss_weights=js.LossWeights(
            style=change.get("style", plain.style),
            tv=change.get("tv", plain.tv),
            style_layers=change.get("layers", plain.style_layers),
        ),
        solver=change.get("solver"),
        schedule=js.Schedule(
            scales=change.get("scales", js.Schedule.scales),
            coarsest=change.get("coarsest", js.Schedule.coarsest),
        ),
        init=change.get("init", "content"),
    )
    return Image.fromarray(np.asarray(jnp.round(result.image * 255)).astype(np.uint8))


def sheet(pictures: dict[str, Image.Image]) -> Image.Image:
    """Pictures side by side in two rows at most, each under its caption."""
    columns = -(-len(pictures) // (2 if len(pictures) > 3 else 1))
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
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.names or SHEETS:
        path = options.out / f"{name}.jpg"
        sheet({c: paint(options, change) for c, change in SHEETS[name].items()}).save(
            path, quality=88
        )
        print(path, flush=True)


if __name__ == "__main__":
    main()
