"""Pictures in a terminal: kitty's protocol, sixel, half-blocks, and which of them it supports."""

import base64
import contextlib
import io
import os
import re
import select
import time
from collections.abc import Iterator
from typing import Literal

import numpy as np
from PIL import Image as PillowImage
from rich.color import Color
from rich.segment import Segment
from rich.style import Style

Graphics = Literal["kitty", "sixel", "blocks"]

# A query of kitty's protocol, then one of the device attributes, which every terminal answers.
_QUERY = b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[c"
_ATTRIBUTES = re.compile(rb"\x1b\[\?([\d;]*)c")
_TIMEOUT = 1.0
_PIECE = 4096
_ID = 7421  # of the picture, so that the next one replaces it


def supported_graphics() -> Graphics:
    """Returns the best protocol that the terminal supports, by its answer to a query."""
    return graphics_of(_answer(_QUERY))


def graphics_of(answer: bytes) -> Graphics:
    r"""Reads the terminal's answer.

    Sixel comes first: some terminals that know both, such as WezTerm, know kitty's only in part.

    Examples:
        >>> graphics_of(b"\x1b[?62;4;22c")
        'sixel'
    """
    attributes = _ATTRIBUTES.findall(answer)
    if attributes and b"4" in attributes[-1].split(b";")[1:]:
        return "sixel"
    return "kitty" if b"\x1b_Gi=31;OK" in answer else "blocks"


def _answer(query: bytes) -> bytes:
    """Returns the terminal's answer; nothing if it gives none or cannot be asked."""
    answer, end = b"", time.monotonic() + _TIMEOUT
    with contextlib.suppress(ImportError, OSError), _raw_terminal() as terminal:
        os.write(terminal, query)
        while not _ATTRIBUTES.search(answer):
            if not select.select([terminal], [], [], max(0.0, end - time.monotonic()))[0]:
                break
            answer += os.read(terminal, 1000)
    return answer


@contextlib.contextmanager
def _raw_terminal() -> Iterator[int]:
    """Opens the terminal so that its answer is not shown and needs no end of line."""
    import termios  # not on Windows
    import tty

    terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    try:
        # A process in the background would be stopped.
        if os.tcgetpgrp(terminal) != os.getpgrp():
            raise OSError
        before = termios.tcgetattr(terminal)
        try:
            tty.setcbreak(terminal)
            yield terminal
        finally:
            termios.tcsetattr(terminal, termios.TCSAFLUSH, before)
    finally:
        os.close(terminal)


def kitty(image: PillowImage.Image, columns: int, rows: int) -> str:
    """Returns kitty's escape sequences; the cursor does not move."""
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    text = base64.b64encode(file.getvalue()).decode()
    pieces = [text[i : i + _PIECE] for i in range(0, len(text), _PIECE)]
    # No answers (q=2): nothing would read them.
    keys = f"a=T,f=100,i={_ID},p=1,q=2,C=1,c={columns},r={rows},"
    return "".join(
        f"\x1b_G{'q=2,' if i else keys}m={int(i + 1 < len(pieces))};{piece}\x1b\\"
        for i, piece in enumerate(pieces)
    )


def sixel(image: PillowImage.Image) -> str:
    """Returns sixels of at most 256 colours, one pixel for each pixel."""
    width, height = image.size
    indexed = image.quantize(256, PillowImage.Quantize.MEDIANCUT)
    palette = np.reshape(indexed.getpalette() or [], (-1, 3))
    percent = np.rint(palette / 255 * 100).astype(int)
    indices = np.pad(np.asarray(indexed, int), ((0, -height % 6), (0, 0)), constant_values=-1)
    registers = "".join(f"#{i};2;{r};{g};{b}" for i, (r, g, b) in enumerate(percent))
    bands = "-".join("$".join(_band(indices[y : y + 6])) for y in range(0, height, 6))
    return f'\x1bP0;1q"1;1;{width};{height}{registers}{bands}\x1b\\'


def _band(indices: np.ndarray) -> Iterator[str]:
    """Yields six rows of pixels, one colour at a time, with runs shortened."""
    bits = 1 << np.arange(6)[:, None]
    for index in np.unique(indices[indices >= 0]):
        columns = (bits * (indices == index)).sum(0)
        text = (63 + columns).astype(np.uint8).tobytes().decode()
        yield f"#{index}" + re.sub(r"(.)\1{3,}", lambda run: f"!{len(run[0])}{run[1]}", text)


def blocks(image: PillowImage.Image) -> Iterator[Segment]:
    """Yields half-blocks of two pixels each; rich adapts the colours to the terminal."""
    pixels = np.asarray(image).tolist()
    for upper_row, lower_row in zip(pixels[::2], pixels[1::2], strict=True):
        for upper, lower in zip(upper_row, lower_row, strict=True):
            style = Style(color=Color.from_rgb(*upper), bgcolor=Color.from_rgb(*lower))
            yield Segment("▀", style)
        yield Segment.line()
