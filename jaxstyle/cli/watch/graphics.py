"""Pictures as a terminal understands them: kitty's protocol, iTerm2's, sixel, half-blocks.

Each function returns text that draws a picture from the cursor on, over a number of cells.
"""

import base64
import io
import re
from collections.abc import Iterator

import numpy as np
from PIL import Image as PillowImage
from rich.color import Color
from rich.segment import Segment
from rich.style import Style

from jaxstyle.cli.watch.watcher import Pixels

_PIECE = 4096
_NUMBER = 7421  # Of our picture, that the next one may take its place.


def kitty(pixels: Pixels, columns: int, rows: int) -> str:
    """Returns kitty's escape sequences; the cursor stays, and the picture before goes."""
    text = base64.b64encode(_png(pixels)).decode()
    pieces = [text[i : i + _PIECE] for i in range(0, len(text), _PIECE)]
    # Without an answer (q=2): nobody would read it.
    keys = f"a=T,f=100,i={_NUMBER},p=1,q=2,C=1,c={columns},r={rows},"
    told = []
    for i, piece in enumerate(pieces):
        more = int(i + 1 < len(pieces))
        told.append(f"\x1b_G{keys if i == 0 else 'q=2,'}m={more};{piece}\x1b\\")
    return "".join(told)


def iterm(pixels: Pixels, columns: int, rows: int) -> str:
    """Returns the escape sequence of iTerm2, WezTerm and others."""
    png = _png(pixels)
    keys = f"inline=1;size={len(png)};width={columns};height={rows};preserveAspectRatio=0"
    return f"\x1b]1337;File={keys}:{base64.b64encode(png).decode()}\a"


def sixel(pixels: Pixels, columns: int, rows: int) -> str:
    """Returns sixels of at most 256 colours, pixel for pixel."""
    height, width, _ = pixels.shape
    image = PillowImage.fromarray(pixels).quantize(256, PillowImage.Quantize.MEDIANCUT)
    palette = np.reshape(image.getpalette() or [], (-1, 3))
    percent = np.rint(palette / 255 * 100).astype(int)
    numbers = np.pad(np.asarray(image, int), ((0, -height % 6), (0, 0)), constant_values=-1)
    registers = "".join(f"#{i};2;{r};{g};{b}" for i, (r, g, b) in enumerate(percent))
    bands = "-".join("$".join(_band(numbers[y : y + 6])) for y in range(0, height, 6))
    return f'\x1bP0;1q"1;1;{width};{height}{registers}{bands}\x1b\\'


def _band(numbers: np.ndarray) -> Iterator[str]:
    """Yields, for each colour in six rows of pixels, a character a column, runs shortened."""
    bits = 1 << np.arange(6)[:, None]
    for number in np.unique(numbers[numbers >= 0]):
        columns = (bits * (numbers == number)).sum(0)
        text = (63 + columns).astype(np.uint8).tobytes().decode()
        yield f"#{number}" + re.sub(r"(.)\1{3,}", lambda run: f"!{len(run[0])}{run[1]}", text)


def blocks(pixels: Pixels) -> list[list[Segment]]:
    """Returns rows of half-blocks, whose colours rich fits to the terminal; two pixels a cell."""
    if len(pixels) % 2:
        pixels = np.concatenate([pixels, pixels[-1:]])
    cells = zip(pixels[::2].tolist(), pixels[1::2].tolist(), strict=True)
    return [
        [Segment("▀", _style(upper, lower)) for upper, lower in zip(*row, strict=True)]
        for row in cells
    ]


def pixels_of(image: PillowImage.Image) -> Pixels:
    """Returns a picture's pixels as an array."""
    return np.array(image.convert("RGB"), np.uint8)


def _style(upper: list[int], lower: list[int]) -> Style:
    return Style(color=Color.from_rgb(*upper), bgcolor=Color.from_rgb(*lower))


def _png(pixels: Pixels) -> bytes:
    file = io.BytesIO()
    PillowImage.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()
