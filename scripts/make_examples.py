"""Render the example pictures: a river town, an oil painting and a stained-glass window.

    pip install -e . && python scripts/make_examples.py --out docs/examples

Everything is computed from fixed seeds with NumPy and Pillow, so the pictures carry no one's
rights.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from PIL import Image

from examples.painting import draw_painting
from examples.town import draw_harbour
from examples.window import draw_window
from jaxstyle.atomic import replacing

MAX_BYTES = 300_000
PICTURES = {"harbour.jpg": draw_harbour, "painting.jpg": draw_painting, "window.jpg": draw_window}


def encode_jpeg(picture: Image.Image) -> bytes:
    """The best quality, at full chroma, that stays under the size limit."""
    for quality in range(95, 40, -1):
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality, subsampling=0, optimize=True)
        if buffer.tell() < MAX_BYTES:
            return buffer.getvalue()
    raise ValueError(f"no quality brings the picture under {MAX_BYTES} bytes; draw it smaller")


def main() -> None:
    """Render every picture into a folder, and print where it is."""
    parser = argparse.ArgumentParser(description="Render the example pictures.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "examples")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for seed, (name, draw) in enumerate(PICTURES.items()):
        with replacing(options.out / name) as temporary:
            temporary.write_bytes(encode_jpeg(draw(np.random.default_rng(seed))))
        print(options.out / name)


if __name__ == "__main__":
    main()
