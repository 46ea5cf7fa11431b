"""Guide masks: files that paint the regions of a picture in flat colours, one colour a region.

A mask's colours are numbers, not colours to be seen: no profile is applied to them. What a painted
mask suffers on its way into a file, compression noise, antialiased borders, scaling with a soft
filter, makes colours that fill no area; so only colours that do are regions, and the pixels of a
border belong to the regions that it parts.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, UInt16

from jaxstyle.errors import InputError
from jaxstyle.files.decode import decode
from jaxstyle.files.header import Header, read_header
from jaxstyle.files.picture import reading
from jaxstyle.files.regions import (
    LEVEL,
    MAX_REGIONS,
    SMALLEST_SHARE,
    Colours,
    Labels,
    distances,
    find_regions,
    to_levels,
)
from jaxstyle.files.sample_values import turning

_FilePath: TypeAlias = str | os.PathLike[str]
_SAME = 32 * LEVEL  # What a region's colour may differ by from mask to mask.
_TOLERANCE = 0.02  # Of the aspect ratio; a pixel of rounding is allowed in any case.


class Masks(NamedTuple):
    """The regions of a content image and of its style images, in the same order everywhere.

    Attributes:
        content: ``f32[r, h, w]``: 1 inside the region and 0 outside.
        styles: One ``f32[r, h', w']`` for each style; all 0 where that style lacks the region.
        colours: The regions' colours in the content mask, as ``#rrggbb``; where they take 16
            bits, as ``#rrrrggggbbbb``.
        remarks: A line for each file with colours that were too small to be regions.
    """

    content: Float[Array, "r _ _"]
    styles: tuple[Float[Array, "r _ _"], ...]
    colours: tuple[str, ...]
    remarks: tuple[str, ...] = ()


class _Painted(NamedTuple):
    """A mask file: every pixel's region, the regions' colours in ascending order, lost colours."""

    path: Path
    labels: Labels
    colours: Colours
    lost: Colours


def load_masks(
    content_mask: _FilePath,
    style_masks: Sequence[_FilePath],
    *,
    content: _FilePath,
    styles: Sequence[_FilePath],
) -> Masks:
    """Loads masks that say which region of the styles guides which region of the content.

    Each region has one flat colour, the same in all masks (Gatys et al. 2017, arXiv:1611.07865,
    "Controlling Perceptual Factors in Neural Style Transfer", section 4).

    In a file without loss and with no more than ``MAX_REGIONS`` colours, each is a region, however
    small, and even the numbers 0, 1, 2 of 8 or 16 bits are told apart. Only what lies between two
    others by more than 16 levels and is nowhere three pixels wide is the soft edge of these.

    In other files a region is a colour that fills at least 1 % of the mask, somewhere at least
    three pixels wide, and colours within 16 levels of each other are one. Other pixels join the
    region of the nearest colour; on a border, of those that are within eight pixels. ``remarks``
    tell which colours of at least 0.1 % were too small.

    Colours match across masks if they are within 32 levels and nearer than half of what separates
    any two regions of the same mask.

    A mask may have any size of its picture's aspect ratio. Like any picture, it is turned upright
    by its own EXIF orientation. If it has none, and its shape is that of the picture's stored
    pixels rather than of the upright picture, the picture's orientation turns it. Where the shape
    does not tell (square pictures, half turns, mirrorings), a mask without orientation is taken to
    be drawn over the picture as viewers show it, upright.

    Args:
        content_mask: An image file.
        style_masks: An image file for each style.
        content: The content picture's file, read for its size and orientation.
        styles: The style pictures' files.

    Returns:
        Masks at the size of their files; at every position they sum to 1 over the regions. One
        region over all of the content is legal, and means no guidance.

    Raises:
        InputError: A file cannot be read, is no mask, is transparent in places or does not have its
            picture's shape; the number of masks is not that of styles; or a region of the content
            is in no style mask, or one of a style mask is not in the content's.

    Examples:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     mask = Image.new("RGB", (32, 16), "red")
        ...     mask.paste("blue", (0, 0, 8, 16))
        ...     mask.save(f"{folder}/mask.png")
        ...     Image.new("RGB", (64, 32)).save(f"{folder}/photo.jpg")
        ...     mask, photo = f"{folder}/mask.png", f"{folder}/photo.jpg"
        ...     masks = load_masks(mask, [mask], content=photo, styles=[photo])
        >>> masks.colours, masks.content.shape
        (('#0000ff', '#ff0000'), (2, 16, 32))
        >>> masks.content.mean((1, 2)).tolist()
        [0.25, 0.75]
    """
    if len(style_masks) != len(styles):
        count = f"{len(style_masks)} style mask(s) for {len(styles)} style(s)"
        raise InputError(f"{count}; give one mask for each style, in the styles' order")
    guide = _load(Path(content_mask), Path(content))
    painted = [_load(Path(m), Path(p)) for m, p in zip(style_masks, styles, strict=True)]
    matches = [_match(mask, guide) for mask in painted]
    for region, colour in enumerate(guide.colours):
        if painted and not any(region in match for match in matches):
            where = painted[0].path if len(painted) == 1 else "any style mask"
            raise InputError(
                f"{guide.path}: its region {_name(colour)} is not in {where}; paint it there "
                "in this colour too"
            )
    count = len(guide.colours)
    return Masks(
        _planes(guide.labels, count),
        tuple(_planes(match[mask.labels], count) for mask, match in zip(painted, matches)),
        tuple(_name(colour) for colour in guide.colours),
        tuple(_remark(mask) for mask in (guide, *painted) if len(mask.lost)),
    )


def _remark(mask: _Painted) -> str:
    lost = ", ".join(map(_name, mask.lost[:MAX_REGIONS]))
    return (
        f"{mask.path}: {lost}: under {SMALLEST_SHARE:.0%} of the area, counted to the regions of "
        f"the nearest colours; to keep it, save at most {MAX_REGIONS} flat colours as PNG"
    )


def _planes(labels: Labels, count: int) -> Float[Array, "r _ _"]:
    return jnp.asarray(labels == np.arange(count)[:, None, None], jnp.float32)


def _name(colour: UInt16[np.ndarray, "3"]) -> str:
    if (colour % LEVEL).any():
        return f"#{colour.astype('>u2').tobytes().hex()}"
    return f"#{bytes((colour // LEVEL).astype(np.uint8)).hex()}"


def _load(path: Path, picture: Path) -> _Painted:
    with reading(picture) as file:
        wanted = read_header(file)
    with reading(path) as file:
        header = read_header(file)
        file.seek(0)
        colours, opacity = decode(file, managed=False)
    if opacity is not None and opacity.min() < 0.5:
        problem = "is transparent in places; paint every region in an opaque colour"
        raise InputError(f"{path}: {problem}")
    labels, centres, lost = find_regions(path, to_levels(colours), lossy=header.lossy)
    return _Painted(path, _fit(labels, path, header, picture, wanted), centres, lost)


def _fit(labels: Labels, path: Path, header: Header, picture: Path, wanted: Header) -> Labels:
    """Turns a mask that was drawn over the picture's stored pixels; refuses other shapes."""

    def misfit(shape: tuple[int, ...]) -> float:
        ratios = shape[0] * wanted.shape[1], shape[1] * wanted.shape[0]
        return max(ratios) / min(ratios) - 1

    turned = turning(wanted.orientation)(labels)
    # A mask with an orientation of its own has been turned already.
    if header.orientation == 1 and misfit(turned.shape) < misfit(labels.shape):
        labels = turned
    h, w = labels.shape
    if misfit(labels.shape) > max(_TOLERANCE, 1 / min(h, w)):
        height, width = wanted.shape
        raise InputError(
            f"{path}: is {w}×{h} px, another shape than {picture} with {width}×{height} px; draw "
            "the mask over the whole picture"
        )
    return labels


def _match(mask: _Painted, guide: _Painted) -> Integer[np.ndarray, "_"]:
    """Returns, for each region of a mask, the number of the same region in the content's mask."""
    distance = distances(mask.colours, guide.colours)
    gaps = [
        distances(own, own)[~np.eye(len(own), dtype=bool)] for own in (mask.colours, guide.colours)
    ]
    # Nearer than half of every gap, a colour cannot match two, nor two match one.
    limit = min(_SAME, (np.concatenate(gaps).min(initial=65536) - 1) // 2)
    for colour, nearest in zip(mask.colours, distance.min(1)):
        if nearest > limit:
            known = ", ".join(map(_name, guide.colours))
            raise InputError(
                f"{mask.path}: its region {_name(colour)} is not in {guide.path}, which has "
                f"{known}; paint both in the same colours"
            )
    return distance.argmin(1)
