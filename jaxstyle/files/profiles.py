"""Conversion from embedded ICC colour profiles to sRGB.

Profiles of cameras and screens are three tone curves and a 3×3 matrix. They are applied here in
floating point, so that 16-bit images keep their depth. littlecms, which Pillow offers for 8 bits
only, applies all others: CMYK, and tables of colours. A profile that cannot be read is ignored, as
browsers do.
"""

import functools
import io
import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageCms

Colours = Float[np.ndarray, "h w 3"]

# sRGB's primaries as columns of XYZ, adapted to the white point D50 of profiles, with the digits of
# common sRGB profiles, because the last digit makes a visible step near black.
_SRGB_TO_XYZ = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.7141]]
)
SRGB_CHROMATICITIES = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
"""x and y of white, red, green and blue in sRGB."""

_MOST_TAGS = 100  # The limit of littlecms.
_TABLES = {b"A2B0", b"A2B1", b"A2B2", b"D2B0", b"D2B1", b"D2B2"}
_PARAMETERS = {0: "g", 1: "gab", 2: "gabc", 3: "gabcd", 4: "gabcdef"}
_BAND_PIXELS = 1 << 16


class Shaper(NamedTuple):
    """Tone curves from [0, 1] to linear light, and the matrix from there to linear sRGB."""

    curves: tuple[Callable[[np.ndarray], np.ndarray], ...]
    matrix: np.ndarray

    def __call__(self, colours: Colours) -> Colours:
        """Returns sRGB in [0, 1]."""
        channels = [curve(colours[..., i]) for i, curve in enumerate(self.curves)]
        linear = np.clip(np.stack(channels, -1) @ self.matrix.T, 0, 1)
        low = linear * 12.92
        return np.where(linear <= 0.0031308, low, 1.055 * linear ** (1 / 2.4) - 0.055)


class _Broken(Exception):
    """Raised for an invalid profile."""


def srgb_to_linear(x: np.ndarray) -> np.ndarray:
    """Inverts the sRGB transfer function (IEC 61966-2-1)."""
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def from_chromaticities(
    chromaticities: Sequence[float], curve: Callable[[np.ndarray], np.ndarray]
) -> Shaper | None:
    """Returns the conversion from given primaries to sRGB, which maps white to white.

    Args:
        chromaticities: x and y of white, red, green and blue.
        curve: Maps a channel in [0, 1] to linear light.

    Returns:
        The conversion, or None if these primaries are degenerate.
    """
    try:
        matrix = np.linalg.solve(_to_xyz(SRGB_CHROMATICITIES), _to_xyz(chromaticities))
    except (np.linalg.LinAlgError, ZeroDivisionError):
        return None
    return Shaper((curve,) * 3, matrix / matrix.sum(1, keepdims=True))


def _to_xyz(chromaticities: Sequence[float]) -> np.ndarray:
    white, *primaries = [
        np.array([x / y, 1, (1 - x - y) / y])
        for x, y in zip(chromaticities[::2], chromaticities[1::2], strict=True)
    ]
    columns = np.stack(primaries, -1)
    return columns * np.linalg.solve(columns, white)


def to_srgb(colours: Colours, profile: bytes | Shaper | None) -> Colours:
    """Converts RGB values from a profile to sRGB (relative colorimetric intent).

    Args:
        colours: Values in [0, 1], which may be overwritten. Grey images have three equal channels.
        profile: An ICC profile, or a :class:`Shaper`, or None for sRGB.

    Returns:
        sRGB in [0, 1]. The values are unchanged if the profile is broken, or if it is sRGB under
        another name: it changes no colour by one 8-bit step.
    """
    if profile is None:
        return colours
    if isinstance(profile, Shaper):
        return _shape(colours, profile)
    grey = profile[16:20] == b"GRAY"
    if grey and (colours != colours[..., :1]).any():
        return colours  # A profile for grey in a colour image.
    try:
        shaper = _parse(profile)
    except _Broken:
        return colours
    if shaper is not None:
        return _shape(colours, shaper)
    eight_bit = Image.fromarray(np.rint(colours * 255).astype(np.uint8))
    eight_bit = eight_bit.convert("L") if grey else eight_bit
    converted = through_littlecms(eight_bit, profile)
    return colours if converted is None else np.asarray(converted, np.float32) / 255


def _shape(colours: Colours, shaper: Shaper) -> Colours:
    probe = np.stack(np.meshgrid(*[np.linspace(0, 1, 17)] * 3), -1).reshape(1, -1, 3)
    if np.abs(shaper(probe) - probe).max() < 1 / 255:
        return colours
    rows = max(1, _BAND_PIXELS // colours.shape[1])
    for top in range(0, len(colours), rows):  # In bands, because temporaries are float64.
        colours[top : top + rows] = shaper(colours[top : top + rows])
    return colours


def through_littlecms(image: Image.Image, profile: bytes) -> Image.Image | None:
    """Converts to sRGB at 8 bits, or returns None if the profile is unreadable or does not fit."""
    try:
        return ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None


def lab_to_srgb(image: Image.Image) -> Image.Image | None:
    """Converts an image of Pillow's mode ``LAB`` to sRGB at 8 bits."""
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    return through_littlecms(image, lab)


@functools.cache
def srgb_profile() -> bytes:
    """Returns an sRGB profile with a fixed date, so that files can be reproduced."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    return bytes(profile)


def _parse(profile: bytes) -> Shaper | None:
    """Reads tone curves and matrix, or returns None if the profile is of another kind.

    Raises:
        _Broken: The curves or the table of contents are invalid.
    """
    try:
        tags = _tags(profile)
        if profile[20:24] != b"XYZ " or _TABLES & tags.keys():
            return None
        if profile[16:20] == b"GRAY":
            return Shaper((_curve(tags[b"kTRC"]),) * 3, np.eye(3))
        if profile[16:20] != b"RGB ":
            return None
        to_xyz = np.stack([_fixed(tags[name], 8, 3) for name in (b"rXYZ", b"gXYZ", b"bXYZ")], -1)
        curves = tuple(_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC"))
        matrix = np.linalg.solve(_SRGB_TO_XYZ, to_xyz)
        white = matrix.sum(1, keepdims=True)
        if np.abs(white - 1).max() > 0.02:
            return None
        # Profiles differ in the last digits of D50, but white must stay white exactly.
        return Shaper(curves, matrix / white)
    except (struct.error, KeyError, ValueError):
        return None


def _tags(profile: bytes) -> dict[bytes, memoryview]:
    """Returns the tags of a profile without copies, because they may overlap."""
    view = memoryview(profile)
    (count,) = struct.unpack_from(">I", profile, 128)
    if count > _MOST_TAGS:
        raise _Broken
    entries = [struct.unpack_from(">4sII", profile, 132 + 12 * i) for i in range(count)]
    return {name: view[offset : offset + size] for name, offset, size in entries}


def _fixed(data: memoryview, offset: int, count: int) -> np.ndarray:
    return np.array(struct.unpack_from(f">{count}i", data, offset)) / 65536


def _curve(tag: memoryview) -> Callable[[np.ndarray], np.ndarray]:
    """Reads a tone curve, sampled evenly over [0, 1]."""
    with np.errstate(all="ignore"):
        values = _sampled(tag)
    if not np.isfinite(values).all() or values.min() == values.max():
        raise _Broken
    positions = np.linspace(0, 1, len(values))
    return lambda x: np.interp(x, positions, values)


def _sampled(tag: memoryview) -> np.ndarray:
    """Samples a tone curve (ICC.1:2010, 10.5 ``curv`` and 10.15 ``para``)."""
    x = np.linspace(0, 1, 4096)
    if tag[:4] == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        if count == 0:
            return x
        values = np.frombuffer(tag, ">u2", count, 12)
        return x ** (values[0] / 256) if count == 1 else values / 65535
    if tag[:4] != b"para":
        raise ValueError("unknown kind of tone curve")
    names = _PARAMETERS[struct.unpack_from(">H", tag, 8)[0]]
    p = dict(zip("gabcdef", (1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0), strict=True))
    p |= dict(zip(names, _fixed(tag, 12, len(names)), strict=True))
    if names in ("gab", "gabc"):  # Here the lower part is constant.
        p |= {"c": 0.0, "d": -p["b"] / p["a"], "e": p["c"], "f": p["c"]}
    power = np.maximum(p["a"] * x + p["b"], 0) ** p["g"] + p["e"]
    return np.where(x >= p["d"], power, p["c"] * x + p["f"])
