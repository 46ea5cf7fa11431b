"""Guide masks: files that mark the regions of a picture with flat colours, one per region.

The colours are labels, so no profile is applied to them. Compression noise, antialiased borders and
soft scaling add colours that fill no area. Therefore only colours that fill an area are regions,
and the pixels of a border belong to the regions that it separates.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, UInt16

from jaxstyle.errors import InputError
from jaxstyle.files.header import Header, read_header
from jaxstyle.files.picture import read_file, reading
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
_SAME = 32 * LEVEL  # Largest difference of a region's colour between masks.
_TOLERANCE = 0.02  # Relative, of the aspect ratio; one pixel is always allowed.


class Masks(NamedTuple):
    """The regions of a content image and of its style images, in the same order.

    Attributes:
        content: ``f32[r, h, w]``: 1 inside the region and 0 outside.
        styles: ``f32[r, h', w']`` for each style; all 0 if the style lacks the region.
        colours: The regions' colours in the content mask: ``#rrggbb``, or ``#rrrrggggbbbb`` if they
            need 16 bits.
        remarks: A line for each file with colours whose area was too small for a region.
    """

    content: Float[Array, "r _ _"]
    styles: tuple[Float[Array, "r _ _"], ...]
    colours: tuple[str, ...]
    remarks: tuple[str, ...] = ()


class _Painted(NamedTuple):
    """A mask file: regions of pixels, the regions' colours in ascending order, lost colours."""

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
    """Loads masks, which say which region of the styles guides which region of the content.

    Each region has one flat colour, the same in all masks (Gatys et al. 2017, arXiv:1611.07865,
    "Controlling Perceptual Factors in Neural Style Transfer", section 4).

    In a lossless file with up to ``MAX_REGIONS`` colours, each colour is a region, however small,
    and even 0, 1, 2 of 8 or 16 bits are different colours. The only exception is a colour between
    two others that differ by more than 16 levels, if it is nowhere three pixels wide: that is their
    soft edge.

    In other files a region is a colour that fills at least 1 % of the mask and is somewhere at
    least three pixels wide. Colours within 16 levels are equal. Other pixels join the region of the
    nearest colour; on a border, of the nearest colour within eight pixels. ``remarks`` lists
    colours of at least 0.1 % that were too small.

    Colours of two masks match if they differ by at most 32 levels, and by less than half of the
    smallest difference between regions of the same mask.

    A mask may have any size with its picture's aspect ratio. It is turned upright by its own EXIF
    orientation or, if it has none and its shape is that of the picture's stored pixels, by the
    picture's. If the shape does not decide (square pictures, half turns, mirrorings), the mask is
    assumed to be upright.

    Args:
        content_mask: An image file.
        style_masks: An image file for each style.
        content: The content picture, for its size and orientation.
        styles: The style pictures.

    Returns:
        Masks in the size of their files. At each position they sum to 1 over the regions. A single
        region is allowed, and means no guidance.

    Raises:
        InputError: A file cannot be read, is not a mask, is partly transparent or has another shape
            than its picture; the numbers of masks and styles differ; or a region is missing in the
            content mask or in all style masks.

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
    header, colours, opacity = read_file(path, managed=False)
    if opacity is not None and opacity.min() < 0.5:
        problem = "is transparent in places; paint every region in an opaque colour"
        raise InputError(f"{path}: {problem}")
    labels, centres, lost = find_regions(path, to_levels(colours), lossy=header.lossy)
    return _Painted(path, _fit(labels, path, header, picture, wanted), centres, lost)


def _fit(labels: Labels, path: Path, header: Header, picture: Path, wanted: Header) -> Labels:
    """Turns a mask of the picture's stored pixels upright, and refuses other shapes."""

    def misfit(shape: tuple[int, ...]) -> float:
        ratios = shape[0] * wanted.shape[1], shape[1] * wanted.shape[0]
        return max(ratios) / min(ratios) - 1

    turned = turning(wanted.orientation)(labels)
    # A mask with its own orientation is upright already.
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
    """Returns, for each region of a mask, the number of the same region in the content mask."""
    distance = distances(mask.colours, guide.colours)
    gaps = [
        distances(own, own)[~np.eye(len(own), dtype=bool)] for own in (mask.colours, guide.colours)
    ]
    # Below half of every gap, the match is one to one.
    limit = min(_SAME, (np.concatenate(gaps).min(initial=65536) - 1) // 2)
    for colour, nearest in zip(mask.colours, distance.min(1)):
        if nearest > limit:
            colours = ", ".join(map(_name, guide.colours))
            raise InputError(
                f"{mask.path}: its region {_name(colour)} is not in {guide.path}, which has "
                f"{colours}; paint both in the same colours"
            )
    return distance.argmin(1)
