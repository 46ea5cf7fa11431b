"""What the tests of the web page share."""

import io

import numpy as np
from PIL import Image

from jaxstyle.web.work import Tools

# A network without parameters, and a moment to paint.
QUICK = {
    "encoder": "random",
    "size": 32,
    "scales": 1,
    "iterations": 4,
    "content_layers": {"conv2_1": 1.0},
    "style_layers": {"conv1_1": 1.0},
}


def tools(**changes):
    own = Tools(None, lambda _, recipe, *rest: (recipe, rest[-1](recipe)))
    return own._replace(**changes)


def picture(width=48, height=36, kind="PNG", seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()
