"""Text on pictures, in a font that has its characters."""

import contextlib
import functools
import textwrap
from typing import Any

from PIL import ImageFont

# Pillow finds these files in the folders of Linux, macOS and Windows.
_FILES = (
    "NotoSansCJK-Regular.ttc",
    "wqy-zenhei.ttc",
    "wqy-microhei.ttc",
    "DroidSansFallbackFull.ttf",
    "Arial Unicode.ttf",
    "Hiragino Sans GB.ttc",
    "msyh.ttc",
    "malgun.ttf",
    "DejaVuSans.ttf",
)
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@functools.cache
def system_fonts(size: int = 12) -> list[ImageFont.FreeTypeFont]:
    """Returns the installed fonts that have more characters than Pillow's own."""
    fonts = []
    for file in _FILES:
        with contextlib.suppress(OSError):
            fonts.append(ImageFont.truetype(file, size))
    return fonts


def lettering(text: str, size: int) -> tuple[str, Font]:
    """Returns a text and the first font that has all of its characters.

    If there is no such font, the characters that Pillow's font lacks are escaped.

    Args:
        text: One line.
        size: Height of the font in pixels.

    Examples:
        >>> lettering("style weight 3", 12)[0]
        'style weight 3'
    """
    default = ImageFont.load_default(size)
    for font in (default, *system_fonts(size)):
        if all(_has(font, c) for c in text):
            return text, font
    return "".join(c if _has(default, c) else ascii(c)[1:-1] for c in text), default


def _has(font: Font, character: str) -> bool:
    """Returns whether a font has a character: a missing one looks like an unassigned one."""
    return character.isspace() or _drawn(font, character) != _drawn(font, "\uffff")


@functools.lru_cache(1024)
def _drawn(font: Font, character: str) -> tuple[tuple[int, int], bytes]:
    mask: Any = font.getmask(character)
    return mask.size, bytes(mask)


def fitting(text: str, size: int, width: int) -> tuple[str, Font]:
    """Returns a text, shortened to a width in pixels, and its font."""
    text, font = lettering(text, size)
    if font.getlength(text) <= width:
        return text, font
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…", font


def wrapped(text: str, size: int, width: int) -> tuple[list[str], Font]:
    """Returns a text in lines of at most a width in pixels, and its font."""
    text, font = lettering(text, size)
    count = len(text)
    while True:
        lines = textwrap.wrap(text, max(1, count)) or [""]
        if count <= 1 or max(map(font.getlength, lines)) <= width:
            return lines, font
        count = count * 19 // 20
