"""The regions of a mask: their colours, and the region of each pixel."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Integer, UInt16

from jaxstyle.errors import InputError

MAX_REGIONS = 16
"""A file with more regions is a picture, not a mask."""

Levels = UInt16[np.ndarray, "_ _ 3"]
Colours = UInt16[np.ndarray, "_ 3"]
Labels = Integer[np.ndarray, "_ _"]

SMALLEST_SHARE = 0.01
LEVEL = 257  # One level of 8 bits, in 16 bits.
_SLACK = 6 * LEVEL  # Spread of a flat colour by compression noise.
_REACH = 16 * LEVEL  # Colours within it are equal; 16 even steps of grey are 17 levels apart.
_BORDER = 8  # Pixels: the width of a JPEG block, across which an edge makes noise.


def to_levels(colours: Float[np.ndarray, "_ _ 3"]) -> Levels:
    """Returns 16-bit levels; small numbers are treated as 8-bit levels."""
    levels = np.rint(colours * 65535).astype(np.uint16)
    return levels * np.uint16(LEVEL if levels.max() < 256 else 1)


def find_regions(path: Path, levels: Levels, *, lossy: bool) -> tuple[Labels, Colours, Colours]:
    """Finds the region of each pixel, the regions' colours, and lost colours."""
    packed = levels @ np.array([1 << 32, 1 << 16, 1], np.uint64)
    values, places = np.unique(packed, return_inverse=True)
    found = np.stack([values >> 32, values >> 16, values], -1).astype(np.uint16)
    # A very dark file consists of region numbers, even if there are too many.
    few = len(found) <= MAX_REGIONS or found.max() < 4 * MAX_REGIONS * LEVEL
    exact = few and not lossy
    flat = _flat(levels, 0 if exact else _SLACK)
    flat_share = np.bincount(places[flat], minlength=len(found)) / flat.size
    if exact:
        soft = (flat_share == 0) & _between(found, found, LEVEL)  # By rounding.
        colours, lost = found[~soft], found[:0]
    else:
        share = np.bincount(places.ravel()) / flat.size
        colours = _centres(found, share, flat_share)
        edge = lossy | _between(found, colours, _REACH)
        lost = _lost(found, np.where(edge, flat_share, share), colours)
    if not 0 < len(colours) <= MAX_REGIONS:
        raise InputError(
            f"{path}: is not a mask: {len(colours) or len(found)} colours; paint at most "
            f"{MAX_REGIONS} regions in flat colours, and save it as PNG"
        )
    costs = (((found[:, None] - colours.astype(np.float32)) / LEVEL) ** 2).sum(-1)
    labels = costs.argmin(-1)[places]
    if len(colours) < len(found):
        settled = flat | (costs.min(-1) == 0)[places] if exact else flat
        beside = [_near(settled & (labels == region))[~settled] for region in range(len(colours))]
        allowed = np.stack(beside, -1)
        allowed |= ~allowed.any(-1, keepdims=True)
        labels[~settled] = np.where(allowed, costs[places[~settled]], np.inf).argmin(-1)
    return labels, colours, lost


def _between(found: Colours, ends: Colours, slack: int) -> Bool[np.ndarray, "_"]:
    """Returns which colours are mixtures of two different ``ends``."""
    points, ends = found.astype(np.float32), ends.astype(np.float32)
    first, second = np.triu_indices(len(ends), 1)
    apart = np.abs(ends[first] - ends[second]).max(-1) > _REACH
    mixed = np.zeros(len(found), bool)
    for start, end in zip(ends[first[apart]], ends[second[apart]]):
        step = end - start
        t = (points - start) @ step / (step @ step)
        off = np.abs(start + t[:, None] * step - points).max(-1)
        mixed |= (t > 1e-4) & (t < 1 - 1e-4) & (off <= slack)
    return mixed


def _flat(levels: Levels, slack: int) -> Bool[np.ndarray, "_ _"]:
    """Returns which pixels are in a block of 3×3 whose levels differ by at most ``slack``."""
    h, w, _ = levels.shape
    blocks = [np.s_[y : h - 2 + y, x : w - 2 + x] for y in range(3) for x in range(3)]
    low, high = levels[blocks[0]].copy(), levels[blocks[0]].copy()
    for block in blocks:
        np.minimum(low, levels[block], out=low)
        np.maximum(high, levels[block], out=high)
    even = (high - low <= slack).all(-1)
    flat = np.zeros((h, w), bool)
    for block in blocks:
        flat[block] |= even
    return flat


def _centres(
    found: Colours, share: Float[np.ndarray, "_"], flat_share: Float[np.ndarray, "_"]
) -> Colours:
    """Returns the regions' colours in ascending order, or none if they cover less than half.

    Args:
        found: All colours of the file, in ascending order.
        share: Fraction of the pixels with each colour.
        flat_share: Fraction of the pixels with each colour that are flat.
    """
    centres = _apart(found, flat_share)
    if not len(centres):
        return found[:0]
    distance = distances(found, found[centres])
    owner, nearest = distance.argmin(1), distance.min(1)
    large = np.bincount(owner, share * (nearest <= _REACH)) >= SMALLEST_SHARE
    # Colours of a gradient are spread evenly; those of a region are close to its own.
    crowded = share[(nearest <= _SLACK // 2) & large[owner]].sum()
    return found[np.sort(centres[large])] if crowded >= 0.5 else found[:0]


def _lost(found: Colours, share: Float[np.ndarray, "_"], colours: Colours) -> Colours:
    """Returns colours that belong to no region, the most frequent first."""
    if not len(colours):
        return colours
    rest = distances(found, colours).min(1) > _REACH
    return found[rest][_apart(found[rest], share[rest])]


def _apart(found: Colours, share: Float[np.ndarray, "_"]) -> Integer[np.ndarray, "_"]:
    """Returns the most frequent colour of each group of equal colours."""
    frequent = np.flatnonzero(share >= SMALLEST_SHARE / 10)
    chosen: list[int] = []
    for i in frequent[np.argsort(-share[frequent], kind="stable")]:
        if (distances(found[[i]], found[chosen]) > _REACH).all():
            chosen.append(i)
    return np.array(chosen, np.int64)


def _near(x: Bool[np.ndarray, "_ _"]) -> Bool[np.ndarray, "_ _"]:
    """Returns which pixels are within ``_BORDER`` pixels of a true one along both axes."""
    for _ in range(2):
        total = np.cumsum(np.pad(x.T, ((_BORDER + 1, _BORDER), (0, 0))), 0, dtype=np.int32)
        x = total[2 * _BORDER + 1 :] > total[: -2 * _BORDER - 1]
    return x


def distances(a: Colours, b: Colours) -> Integer[np.ndarray, "_ _"]:
    """Returns the largest difference of two colours in any channel."""
    return np.abs(a[:, None].astype(np.int32) - b).max(-1)
