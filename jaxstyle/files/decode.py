"""Decoding: any file that Pillow or tifffile reads, as upright sRGB colours and opacity.

Pillow keeps one byte of 16-bit colour. Its two 16-bit readers keep different bytes, so reading a
file with each gives both, whatever the compression. tifffile decodes TIFF deeper than 8 bits, and
imagecodecs deep JPEG 2000.
"""

import io
import sys
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from jaxstyle.errors import InputError
from jaxstyle.files import jpeg2000, png, tiff
from jaxstyle.files.code_points import from_nclx
from jaxstyle.files.header import JPEG, open_image, orientation_of
from jaxstyle.files.profiles import Shaper, lab_to_srgb, through_littlecms, to_srgb
from jaxstyle.files.sample_values import (
    Colours,
    Decoded,
    Opacity,
    aligned,
    check_size,
    quiet_library,
    split,
    turning,
    unit_range,
    upright_shape,
)
from jaxstyle.files.signatures import check_format

_BAND_PIXELS = 1 << 18
_END_OF_JPEG = b"\xff\xd9"


def decode(file: BinaryIO, *, managed: bool = True, notes: list[str] | None = None) -> Decoded:
    """Decodes the first full-sized frame of an image file.

    Args:
        file: File opened for reading, seekable.
        managed: Whether a profile of RGB or grey is applied. If not, the colours are the numbers in
            the file.
        notes: A list to append to what is wrong with a file that is decoded all the same.

    Returns:
        Colours, ``f32[h, w, 3]``, sRGB in [0, 1], upright; and opacity, ``f32[h, w]`` in [0, 1], or
        None.

    Raises:
        InputError: The image cannot be used. The message lacks the file's name.
        Exception: Whatever a decoder raises for a file that is damaged or no image.
    """
    check_format(file)
    if file.read(2) in tiff.BYTE_ORDERS:
        return _decode_tiff(file, managed)
    image = open_image(file)
    check_size(*image.size)
    if image.format == "JPEG2000":
        return _decode_jpeg2000(file, managed, image)
    try:
        colours, opacity = _decode_pillow(file, managed, image)
    except OSError as error:
        if image.format not in JPEG or "truncated" not in str(error):
            raise
        file.seek(0)
        image = open_image(io.BytesIO(file.read() + _END_OF_JPEG))
        colours, opacity = _decode_pillow(file, managed, image)
        if notes is not None:
            notes.append("ends early, so its last rows may be grey; copy it again if you can")
    if image.format == "TGA" and not _alpha_bits(file):
        opacity = None
    turn = turning(orientation_of(image))
    return turn(colours), None if opacity is None else turn(opacity)


def _alpha_bits(file: BinaryIO) -> int:
    """Returns how many bits of a TGA file's pixels are opacity (TGA 2.0, C.4.5, field 5.6)."""
    file.seek(17)
    return file.read(1)[0] & 15


def _decode_jpeg2000(file: BinaryIO, managed: bool, image: ImageFile.ImageFile) -> Decoded:
    codestream = jpeg2000.read_codestream(file)
    bits, held = max(codestream.depths), 16 if image.mode == "I;16" else 8
    if bits > held or bits == 9:
        return jpeg2000.decode_deep(file, codestream)
    colours, opacity = _decode_pillow(file, managed, image)
    if image.mode == "P" or min(codestream.depths) != bits:
        return colours, opacity
    # Pillow shifts samples to the upper bits, where the largest is not quite white.
    white = (1 << held) - 1
    scale = np.float32(white / (white & -1 << held - bits))
    return colours * scale, None if opacity is None else opacity * scale


def _profile(file: BinaryIO, image: ImageFile.ImageFile) -> bytes | Shaper | None:
    place = file.tell()
    try:
        if image.format == "PNG":
            return png.colours_of(file, image)
        embedded = image.info.get("icc_profile")
        return from_nclx(file) if not embedded and image.format in ("AVIF", "HEIF") else embedded
    finally:
        file.seek(place)  # Pillow continues to read from here.


def _decode_pillow(file: BinaryIO, managed: bool, image: ImageFile.ImageFile) -> Decoded:
    raw = _raw_mode(image)
    if image.format == "PNG" and "transparency" in image.info:
        image.info["transparency"] = png.transparent_colour(image, raw)
    profile = _profile(file, image) if managed else None
    if ";16" in raw and image.mode in ("RGB", "RGBA") and image.format in ("PNG", "TIFF"):
        samples = _both_bytes(file, image, raw)
        opacity = _keyed_opacity(image, samples)
        colours, opacity = split(unit_range(samples), opacity, premultiplied=raw[:4] == "RGBa")
    elif image.mode.startswith(("I", "F")):
        samples = np.asarray(image)[..., None]
        if image.mode == "I":
            # Pillow's 32-bit integers hold 16-bit values, of PPM and of PNG in older versions.
            if samples.min() < 0 or samples.max() > 65535:
                raise InputError("holds 32-bit integers; save it with 8 or 16 bits per channel")
            samples = samples.astype(np.uint16)
        opacity = _keyed_opacity(image, samples)
        colours, opacity = split(unit_range(samples, 12 if ";12" in raw else None), opacity)
    else:
        colours, opacity = _in_bands(image)
        if image.mode in ("CMYK", "LAB"):
            profile = None
    return to_srgb(colours, profile), opacity


def _in_bands(image: Image.Image) -> tuple[Colours, Opacity]:
    """Decodes 8 bits band by band, because Pillow and NumPy would copy the whole several times."""
    width, height = image.size
    image.load()
    # Laid out so that turning it upright needs no copy either.
    orientation = orientation_of(image)
    back = turning({6: 8, 8: 6}.get(orientation, orientation))
    upright = upright_shape(width, height, orientation)
    colours, opacity = back(aligned((*upright, 3))), None
    rows = max(1, _BAND_PIXELS // width)
    for top in range(0, height, rows):
        band = np.s_[top : top + rows]
        part = image.crop((0, top, width, min(top + rows, height)))
        rgb, alpha = _eight_bits(part)
        np.divide(np.asarray(rgb), 255, dtype=np.float32, out=colours[band])
        if alpha is not None:
            opacity = back(aligned(upright)) if opacity is None else opacity
            np.divide(np.asarray(alpha), 255, dtype=np.float32, out=opacity[band])
    return colours, opacity


def _eight_bits(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Returns an RGB image, in the file's profile or, from CMYK and Lab, in sRGB; and opacity."""
    if image.mode == "CMYK":
        profile = image.info.get("icc_profile")
        converted = through_littlecms(image, profile) if profile else None
        return converted or image.convert("RGB"), None
    if image.mode == "LAB":
        return lab_to_srgb(image) or image.convert("RGB"), None
    if image.mode == "La":
        image = image.convert("LA")
    if image.mode in ("LA", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        return image.convert("RGB"), image.getchannel("A")
    return image.convert("RGB"), None


def _raw_mode(image: ImageFile.ImageFile) -> str:
    args = image.tile[0].args if image.tile else None
    return args if isinstance(args, str) else str(args[0] if args else "")


def _both_bytes(file: BinaryIO, image: ImageFile.ImageFile, raw: str) -> np.ndarray:
    """Reads 16-bit colour, ``u16[h, w, c]``, with two readers that keep one byte each."""

    def read(raw: str) -> np.ndarray:
        with open_image(file) as half:
            half.seek(image.tell())
            tile = half.tile[0]  # Deep PNG and compressed TIFF have one tile.
            args = (raw, *tile.args[1:]) if isinstance(tile.args, tuple) else raw
            half.tile = [tile._replace(args=args)]
            return np.asarray(half).astype(np.uint16)

    if raw == "LA;16B":  # Two 16-bit samples are as long as four bytes of RGBA.
        pairs = read("RGBA")
        return (pairs[..., ::2] << 8 | pairs[..., 1::2])[..., [0, 0, 0, 1]]
    raw = raw.replace("a", "A")  # Pillow would round to a byte while it divides by opacity.
    little = "L" if sys.byteorder == "little" else "B"
    order = little if raw[-1] == "N" else raw[-1]
    other = "B" if order == "L" else "L"
    return read(raw) << 8 | read(raw[:-1] + other)


def _keyed_opacity(image: Image.Image, samples: np.ndarray) -> Opacity:
    """Returns the opacity of an image in which one colour means transparent (PNG's tRNS)."""
    key = image.info.get("transparency")
    return None if key is None else (samples != np.array(key)).any(-1).astype(np.float32)


def _decode_tiff(file: BinaryIO, managed: bool) -> Decoded:
    found = tiff.find_picture(file)
    page, image = found.page, _open_page(file, found)
    if image is None or (page.bitspersample > 8 and int(page.photometric) <= tiff.RGB):
        try:
            return tiff.decode_page(page, managed=managed)
        except tiff.NeedsCodec:
            if image is None or not _reads_right(page, image):
                raise InputError(
                    'has an uncommon compression; pip install "jaxstyle[formats]" to read it, or '
                    "save the TIFF without compression"
                ) from None
    with quiet_library():
        return _decode_pillow(file, managed, image)  # Pillow turns TIFF upright itself.


def _open_page(file: BinaryIO, found: tiff.Page) -> ImageFile.ImageFile | None:
    """Opens a page with Pillow, or returns None if it cannot."""
    if found.number is None:
        return None
    try:
        image = open_image(file)
    except UnidentifiedImageError:
        return None
    if found.number:
        image.seek(found.number)
    return image


def _reads_right(page: Any, image: ImageFile.ImageFile) -> bool:
    """Returns whether Pillow reads a deep page correctly."""
    return (
        int(page.planarconfig) == 1
        and int(page.photometric) != tiff.WHITE_IS_ZERO
        and image.mode != "I"
        and (page.bitspersample % 8 == 0 or ";12" in _raw_mode(image))
    )
