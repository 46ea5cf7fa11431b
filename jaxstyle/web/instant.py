"""The instant picture: what the page shows within a second, before anything is painted."""

import io
import threading
from functools import lru_cache

import jax.numpy as jnp
import numpy as np
from PIL import Image as PillowImage

from jaxstyle import instant
from jaxstyle.arrays import Image
from jaxstyle.web.pictures import to_jpeg
from jaxstyle.web.sessions import Upload

# A photograph gets the most similar of these sizes, so that only three programs are compiled.
_SHAPES = ((384, 512), (448, 448), (512, 384))

_ONE_AT_A_TIME = threading.Lock()


def paint_instantly(
    content: Upload, styles: list[Upload], shares: list[float], strength: float
) -> bytes:
    """Returns an instant picture as a JPEG.

    Args:
        content: The photograph.
        styles: The paintings; without any, the photograph keeps its own style.
        shares: Weight of each painting.
        strength: From 0, the style of the photograph, to 1, that of the paintings.
    """
    with _ONE_AT_A_TIME:
        params = instant.load_instant()
        vector = _vector_of(content.preview)
        if styles and sum(shares):
            weights = np.asarray(shares) / sum(shares)
            painted = sum(w * _vector_of(s.preview) for w, s in zip(weights, styles, strict=True))
            vector = strength * painted + (1 - strength) * vector
        height, width = content.shape
        shape = min(_SHAPES, key=lambda s: abs(np.log(s[1] / s[0] * height / width)))
        picture = instant.transform(_decode(content.preview, shape), jnp.asarray(vector), params)
        return to_jpeg(picture)


@lru_cache(maxsize=256)
def _vector_of(preview: bytes) -> np.ndarray:
    style = _decode(preview, (instant.SIDE, instant.SIDE))
    return np.asarray(instant.style_vector(style, instant.load_instant()))


def _decode(preview: bytes, shape: tuple[int, int]) -> Image:
    height, width = shape
    picture = PillowImage.open(io.BytesIO(preview)).resize((width, height))
    return jnp.asarray(picture, jnp.float32) / 255
