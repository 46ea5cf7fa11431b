"""A contact sheet: pictures in a grid, with a title, labels along both axes and captions."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw

from jaxstyle.arrays import Image
from jaxstyle.cli.lettering import fitting, lettering, wrapped

_INK, _PALE, _PAPER = (34, 34, 34), (110, 110, 110), (250, 250, 248)
_GAP, _MARGIN = 12, 24
_COLUMNS = 4  # at most, for a single option
_LABEL = 400  # greatest width of a row's label


def make_sheet(
    images: Sequence[Image],
    captions: Sequence[Sequence[str]],
    title: str,
    labels: Sequence[Sequence[str]],
) -> Image:
    """Returns a sheet of pictures: rows are values of the first option, columns of the second.

    Args:
        images: Pictures of one or several sizes; fewer than labels if a run was stopped.
        captions: For each picture, the parts of its caption; a part is never broken into lines.
        title: Title of the sheet, in as many lines as it takes.
        labels: For each of one or two options, its values.

    Returns:
        ``f32[h, w, 3]``, sRGB in [0, 1].
    """
    two = len(labels) > 1
    columns = len(labels[1]) if two else min(_COLUMNS, len(labels[0]))
    rows = len(labels[0]) if two else -(-len(labels[0]) // columns)
    width, height = (max(image.shape[axis] for image in images) for axis in (1, 0))
    size = max(11, min(18, width // 22))
    line = round(1.6 * size)
    beside = [fitting(label, size, _LABEL) for label in labels[0] if two]
    left = _MARGIN + max((round(f.getlength(text)) + _GAP for text, f in beside), default=0)
    below = [_lines(caption, size, width) for caption in captions]
    cell = width + _GAP, height + (1 + max(map(len, below))) * line + _GAP
    wide = left + columns * cell[0] + _MARGIN
    heading, heading_font = wrapped(title, round(1.4 * size), wide - 2 * _MARGIN)
    top = _MARGIN + round(1.4 * line) * len(heading) + line
    sheet = PillowImage.new("RGB", (wide, top + rows * cell[1] + _MARGIN), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for i, text in enumerate(heading):
        draw.text((_MARGIN, _MARGIN + i * round(1.4 * line)), text, _INK, heading_font)
    for i, (image, lines) in enumerate(zip(images, below, strict=False)):
        row, column = divmod(i, columns)
        x, y = left + column * cell[0], top + row * cell[1]
        if not two or row == 0:
            draw.text((x, y), *_text(labels[1][column] if two else labels[0][i], size, width))
        if two and column == 0:
            text, font = beside[row]
            draw.text((_MARGIN, y + line + height // 2 - size), text, _INK, font)
        pixels = np.asarray(jnp.round(jnp.clip(image, 0, 1) * 255)).astype(np.uint8)
        sheet.paste(PillowImage.fromarray(pixels), (x, y + line))
        for j, text in enumerate(lines, 1):
            draw.text((x, y + j * line + height + 2), *_text(text, size, width, _PALE))
    return jnp.asarray(np.asarray(sheet), jnp.float32) / 255


def _text(text: str, size: int, width: int, ink: tuple[int, int, int] = _INK) -> tuple:
    text, font = fitting(text, size, width)
    return text, ink, font


def _lines(parts: Sequence[str], size: int, width: int) -> list[str]:
    """Returns the parts of a caption in lines of at most a width in pixels."""
    lines = [parts[0]]
    for part in parts[1:]:
        longer, font = lettering(f"{lines[-1]}  {part}", size)
        if font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(part)
    return lines
