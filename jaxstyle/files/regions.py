"""The regions of a painted mask: the colours that count, and the one of them of each pixel."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Integer, UInt16

from jaxstyle.errors import InputError

MAX_REGIONS = 16
"""More regions than this make a file a picture rather than a mask."""

Levels = UInt16[np.ndarray, "_ _ 3"]
Colours = UInt16[np.ndarray, "_ 3"]
Labels = Integer[np.ndarray, "_ _"]

SMALLEST_SHARE = 0.01
LEVEL = 257  # A level of 8 bits in the 16 that colours are counted in.
_SLACK = 6 * LEVEL  # What compression noise spreads a flat colour over,
_REACH = 16 * LEVEL  # and within which colours are one; 16 even steps of grey are 17 apart.
_BORDER = 8  # Pixels: the width of a block of JPEG, in which an edge makes noise.


def to_levels(colours: Float[np.ndarray, "_ _ 3"]) -> Levels:
    """Returns 16-bit levels; those of a file of small numbers as if they had been 8-bit ones."""
    levels = np.rint(colours * 65535).astype(np.uint16)
    return levels * np.uint16(LEVEL if levels.max() < 256 else 1)


def find_regions(path: Path, levels: Levels, *, lossy: bool) -> tuple[Labels, Colours, Colours]:
    """Finds the regions' colours, the one of them that each pixel belongs to, and lost colours."""
    packed = levels @ np.array([1 << 32, 1 << 16, 1], np.uint64)
    values, places = np.unique(packed, return_inverse=True)
    found = np.stack([values >> 32, values >> 16, values], -1).astype(np.uint16)
    # So dark throughout, a file is one of numbers, be they too many.
    few = len(found) <= MAX_REGIONS or found.max() < 4 * MAX_REGIONS * LEVEL
    exact = few and not lossy
    flat = _flat(levels, 0 if exact else _SLACK)
    flat_share = np.bincount(places[flat], minlength=len(found)) / flat.size
    if exact:
        soft = (flat_share == 0) & _between(found, found, LEVEL)  # Rounding: a level at most.
        colours, lost = found[~soft], found[:0]
    else:
        share = np.bincount(places.ravel()) / flat.size
        colours = _centres(found, share, flat_share)
        edge = lossy | _between(found, colours, _REACH)
        lost = _lost(found, np.where(edge, flat_share, share), colours)
    if not 0 < len(colours) <= MAX_REGIONS:
        raise InputError(
            f"{path}: is no mask: {len(colours) or len(found)} colours; paint at most "
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
    """Tells which colours mix two of ``ends`` that are further apart than what counts as one."""
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
    """Tells which pixels are in some block of 3×3 whose levels differ by ``slack`` at most."""
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
    """Returns the regions' colours in ascending order, or none if they leave most of it out.

    Args:
        found: All colours in the file, in ascending order.
        share: The part of all pixels that have each colour.
        flat_share: The part that have it and are flat.
    """
    centres = _apart(found, flat_share)
    if not len(centres):
        return found[:0]
    distance = distances(found, found[centres])
    owner, nearest = distance.argmin(1), distance.min(1)
    large = np.bincount(owner, share * (nearest <= _REACH)) >= SMALLEST_SHARE
    # In a gradient, colours are spread evenly; those of a region are crowded around its own.
    crowded = share[(nearest <= _SLACK // 2) & large[owner]].sum()
    return found[np.sort(centres[large])] if crowded >= 0.5 else found[:0]


def _lost(found: Colours, share: Float[np.ndarray, "_"], colours: Colours) -> Colours:
    """Returns colours that are no region's, the most frequent first."""
    if not len(colours):
        return colours
    rest = distances(found, colours).min(1) > _REACH
    return found[rest][_apart(found[rest], share[rest])]


def _apart(found: Colours, share: Float[np.ndarray, "_"]) -> Integer[np.ndarray, "_"]:
    """Returns the most frequent colours of those within reach of one another."""
    frequent = np.flatnonzero(share >= SMALLEST_SHARE / 10)
    chosen: list[int] = []
    for i in frequent[np.argsort(-share[frequent], kind="stable")]:
        if (distances(found[[i]], found[chosen]) > _REACH).all():
            chosen.append(i)
    return np.array(chosen, np.int64)


def _near(x: Bool[np.ndarray, "_ _"]) -> Bool[np.ndarray, "_ _"]:
    """Tells which pixels are within ``_BORDER`` pixels, along both axes, of a true one."""
    for _ in range(2):
        total = np.cumsum(np.pad(x.T, ((_BORDER + 1, _BORDER), (0, 0))), 0, dtype=np.int32)
        x = total[2 * _BORDER + 1 :] > total[: -2 * _BORDER - 1]
    return x


def distances(a: Colours, b: Colours) -> Integer[np.ndarray, "_ _"]:
    """Returns how many levels colours differ by in the channel that differs most."""
    return np.abs(a[:, None].astype(np.int32) - b).max(-1)
