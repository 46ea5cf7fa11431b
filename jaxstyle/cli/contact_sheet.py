"""A contact sheet: large pictures in a grid, with a title and thin labels."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw

from jaxstyle.arrays import Image
from jaxstyle.cli.lettering import fitting, lettering, wrapped

_INK, _PALE, _PAPER = (45, 45, 45), (120, 120, 120), (252, 251, 248)
_COLUMNS = 4  # at most, for a single option


def make_sheet(
    images: Sequence[Image],
    captions: Sequence[Sequence[str]],
    title: str,
    labels: Sequence[Sequence[str]],
) -> Image:
    """Returns a sheet of pictures: rows are values of the first option, columns of the second.

    Args:
        images: Pictures of one or several sizes; fewer than labels if a run was stopped.
        captions: For each picture, the parts of the small text below it; parts are not broken into
            lines. Empty for a sheet without captions.
        title: Title of the sheet; it is wrapped.
        labels: For each of one or two options, its values.

    Returns:
        ``f32[h, w, 3]``, sRGB in [0, 1].
    """
    two = len(labels) > 1
    rows = len(labels[0]) if two else -(-len(labels[0]) // _COLUMNS)
    columns = len(labels[1]) if two else -(-len(labels[0]) // rows)
    width, height = (max(image.shape[axis] for image in images) for axis in (1, 0))
    size = max(11, width // 26)
    line, gap = round(1.6 * size), max(12, width // 20)
    margin = 2 * gap
    below = [_lines(caption, size, width) for caption in captions]
    lines = (not two) + max(map(len, below), default=0)
    cell = width + gap, height + lines * line + gap
    left = margin + two * line
    wide = left + columns * cell[0] - gap + margin
    heading, heading_font = wrapped(title, 2 * size, wide - 2 * margin)
    top = margin + 3 * size * len(heading) + size + two * line
    sheet = PillowImage.new("RGB", (wide, top + rows * cell[1] - gap + margin), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for i, text in enumerate(heading):
        draw.text((margin, margin + i * 3 * size), text, _INK, heading_font)
    if two:
        for column, label in enumerate(labels[1]):
            draw.text((left + column * cell[0], top - line), *_text(label, size, width))
        for row, label in enumerate(labels[0]):
            mask = _rotated(label, size, height)
            sheet.paste(_PALE, (margin, top + row * cell[1] + height - mask.height), mask)
    for i, image in enumerate(images):
        row, column = divmod(i, columns)
        x, y = left + column * cell[0], top + row * cell[1]
        pixels = np.asarray(jnp.round(jnp.clip(image, 0, 1) * 255)).astype(np.uint8)
        sheet.paste(PillowImage.fromarray(pixels), (x, y))
        texts = [] if two else [labels[0][i]]
        for j, text in enumerate(texts + (below[i] if below else [])):
            at = x, y + height + size // 3 + j * line
            draw.text(at, *_text(text, size, width))
    return jnp.asarray(np.asarray(sheet), jnp.float32) / 255


def _text(text: str, size: int, width: int) -> tuple:
    text, font = fitting(text, size, width)
    return text, _PALE, font


def _rotated(text: str, size: int, length: int) -> PillowImage.Image:
    """Returns a mask of a text that is read from bottom to top."""
    text, font = fitting(text, size, length)
    mask = PillowImage.new("L", (max(1, round(font.getlength(text))), round(1.4 * size)))
    ImageDraw.Draw(mask).text((0, 0), text, 255, font)
    return mask.rotate(90, expand=True)


def _lines(parts: Sequence[str], size: int, width: int) -> list[str]:
    """Returns the parts of a caption in lines of at most a width in pixels."""
    lines = [*parts[:1]]
    for part in parts[1:]:
        longer, font = lettering(f"{lines[-1]}  {part}", size)
        if font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(part)
    return lines
