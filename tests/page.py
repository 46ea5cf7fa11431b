"""What the tests of the web page share."""

import io

import numpy as np
from PIL import Image

from jaxstyle.jobs import Painter

# A network without parameters, and a moment to paint.
QUICK = {
    "encoder": "random",
    "size": 32,
    "scales": 1,
    "iterations": 4,
    "content_layers": {"conv2_1": 1.0},
    "style_layers": {"conv1_1": 1.0},
}


class Hooked(Painter):
    """A painter that calls a function before it paints."""

    def __init__(self, before=lambda inputs: None):
        super().__init__(reuse=False)
        self._before = before

    def paint(self, inputs, **options):
        self._before(inputs)
        return super().paint(inputs, **options)


def picture(width=48, height=36, kind="PNG", seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()
