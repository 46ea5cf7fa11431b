"""A contact sheet: pictures in a grid, with a title, labels along both axes and captions."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from jaxstyle.arrays import Image

_INK, _PALE, _PAPER = (34, 34, 34), (110, 110, 110), (250, 250, 248)
_GAP, _MARGIN = 12, 24
_COLUMNS = 4  # at most, where one option varies
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def make_sheet(
    images: Sequence[Image],
    captions: Sequence[Sequence[str]],
    title: str,
    labels: Sequence[Sequence[str]],
) -> Image:
    """Returns pictures as one: rows are of the first option, columns of the second.

    Args:
        images: Of one or several sizes; fewer than there are labels if a run was stopped.
        captions: For each image what stands below it, in lines as wide as the image at most.
        title: To stand above all.
        labels: For each of one or two options its values.
    """
    two = len(labels) > 1
    columns = len(labels[1]) if two else min(_COLUMNS, len(labels[0]))
    rows = len(labels[0]) if two else -(-len(labels[0]) // columns)
    width, height = (max(image.shape[axis] for image in images) for axis in (1, 0))
    size = max(11, min(18, width // 22))
    big, small = ImageFont.load_default(round(1.4 * size)), ImageFont.load_default(size)
    line = round(1.6 * size)
    left = _MARGIN + (round(max(small.getlength(label) for label in labels[0])) + _GAP) * two
    below = [_lines(caption, small, width) for caption in captions]
    most = max(len(lines) for lines in below)
    cell = width + _GAP, height + (1 + most) * line + _GAP
    top = _MARGIN + round(2.4 * line)
    sheet = PillowImage.new(
        "RGB", (left + columns * cell[0] + _MARGIN, top + rows * cell[1] + _MARGIN), _PAPER
    )
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, _MARGIN), title, _INK, big)
    for i, (image, lines) in enumerate(zip(images, below, strict=False)):
        row, column = divmod(i, columns)
        x, y = left + column * cell[0], top + row * cell[1]
        above = labels[1][column] if two else labels[0][i]
        if not two or row == 0:
            draw.text((x, y), _fitting(above, small, width), _INK, small)
        if two and column == 0:
            draw.text((_MARGIN, y + line + height // 2 - size), labels[0][row], _INK, small)
        pixels = np.asarray(jnp.round(jnp.clip(image, 0, 1) * 255)).astype(np.uint8)
        sheet.paste(PillowImage.fromarray(pixels), (x, y + line))
        for j, told in enumerate(lines, 1):
            place = x, y + j * line + height + 2
            draw.text(place, _fitting(told, small, width), _PALE, small)
    return jnp.asarray(np.asarray(sheet), jnp.float32) / 255


def _lines(parts: Sequence[str], font: _Font, width: int) -> list[str]:
    """Returns parts of a text side by side as long as they fit a width in pixels, then below."""
    lines = [parts[0]]
    for part in parts[1:]:
        longer = f"{lines[-1]}  {part}"
        if font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(part)
    return lines


def _fitting(text: str, font: _Font, width: int) -> str:
    """Returns a text cut to a width in pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
