"""Decoding: any file that Pillow or tifffile reads, as upright sRGB colours and opacity.

Pillow keeps only the upper byte of 16-bit colour. Its two 16-bit readers differ in which byte they
keep, though, so reading a file once with each gives both bytes, whatever the compression. TIFF
files deeper than 8 bits go through tifffile first, which knows more layouts but, on its own, fewer
compressions; deep JPEG 2000 goes through imagecodecs.
"""

import sys
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from jaxstyle.errors import InputError
from jaxstyle.files import jpeg2000, png, tiff
from jaxstyle.files.known import check_format
from jaxstyle.files.profiles import Shaper, lab_to_srgb, through_littlecms, to_srgb
from jaxstyle.files.samples import (
    Colours,
    Decoded,
    Opacity,
    aligned,
    check_size,
    quiet_library,
    split,
    turning,
    unit_range,
)

# Left out: EPS and WMF, for which Pillow starts other programs, and formats that are not pictures.
FORMATS = (
    *("AVIF", "BMP", "DDS", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "PCX", "PNG", "PPM", "PSD"),
    *("QOI", "SGI", "TGA", "TIFF", "WEBP"),
)

_BAND_PIXELS = 1 << 18
_LOSSY = {"AVIF", "HEIF", "JPEG", "JPEG2000", "WEBP"}


class Header(NamedTuple):
    """What a file says of its image: upright height and width, EXIF orientation, lossy or not."""

    shape: tuple[int, int]
    orientation: int
    lossy: bool


def read_header(file: BinaryIO) -> Header:
    """Reads the header of a file that :func:`decode` reads, with the same exceptions."""
    check_format(file)
    if file.read(2) in tiff.ORDERS:  # Of those, Pillow cannot open all.
        place = tiff.find_picture(file)
        width, height = place.page.imagewidth, place.page.imagelength
        orientation, lossy = place.orientation, place.lossy
    else:
        image = _open(file)
        check_size(*image.size)
        (width, height), orientation = image.size, _orientation(image)
        lossy = image.format in _LOSSY and not _is_lossless(file, image)
    shape = (width, height) if orientation in (5, 6, 7, 8) else (height, width)
    return Header(shape, orientation if orientation in range(1, 9) else 1, lossy)


def _open(file: BinaryIO) -> ImageFile.ImageFile:
    file.seek(0)
    extra = ("HEIF",) if "HEIF" in Image.OPEN else ()
    return Image.open(file, formats=FORMATS + extra)


def _is_lossless(file: BinaryIO, image: ImageFile.ImageFile) -> bool:
    """Tells whether a WebP or JPEG 2000 file says that it keeps every pixel."""
    if image.format == "WEBP":
        return _has_chunk(file, b"VP8L")
    return image.format == "JPEG2000" and jpeg2000.read_codestream(file).reversible


def _has_chunk(file: BinaryIO, wanted: bytes) -> bool:
    """Tells whether a RIFF file, such as WebP, has a chunk."""
    file.seek(12)
    while len(head := file.read(8)) == 8:
        if head[:4] == wanted:
            return True
        size = int.from_bytes(head[4:], "little")
        file.seek(size + size % 2, 1)
    return False


def decode(file: BinaryIO, *, managed: bool = True) -> Decoded:
    """Decodes the first full-sized frame of an image file.

    Args:
        file: Opened for reading, seekable.
        managed: Whether an RGB or grey profile is applied; without, the colours are the file's
            numbers.

    Returns:
        Colours, ``f32[h, w, 3]``, sRGB in [0, 1], upright; opacity ``f32[h, w]`` in [0, 1] or None.

    Raises:
        InputError: The image cannot be used; the message lacks the file's name.
        Exception: Whatever a decoder raises on a file that is damaged or no image.
    """
    check_format(file)
    if file.read(2) in tiff.ORDERS:
        return _decode_tiff(file, managed)
    image = _open(file)
    check_size(*image.size)
    if image.format == "JPEG2000":
        return _decode_jpeg2000(file, managed, image)
    colours, opacity = _decode_pillow(file, managed, image)
    if image.format == "TGA" and not _alpha_bits(file):
        opacity = None
    return _upright(image, colours, opacity)


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
        return png.shaper_of(file, image) if image.format == "PNG" else _embedded(image)
    finally:
        file.seek(place)  # Pillow goes on reading from where it was.


def _embedded(image: Image.Image) -> bytes | None:
    return image.info.get("icc_profile")


def _decode_pillow(file: BinaryIO, managed: bool, image: ImageFile.ImageFile) -> Decoded:
    raw = _raw_mode(image)
    if image.format == "PNG" and "transparency" in image.info:
        image.info["transparency"] = png.key_of(image, raw)
    profile = _profile(file, image) if managed else None
    if ";16" in raw and image.mode in ("RGB", "RGBA") and image.format in ("PNG", "TIFF"):
        samples = _both_bytes(file, image, raw)
        opacity = _keyed_opacity(image, samples)
        colours, opacity = split(unit_range(samples), opacity, premultiplied=raw[:4] == "RGBa")
    elif image.mode.startswith(("I", "F")):
        samples = np.asarray(image)[..., None]
        if image.mode == "I":
            # Pillow's 32-bit integers hold 16-bit values: so do 16-bit PPM and older 16-bit PNG.
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
    """Decodes 8 bits by rows: of whole pictures Pillow and NumPy make copy after copy."""
    width, height = image.size
    image.load()
    # Laid out so that what is upright needs no other copy either.
    orientation = _orientation(image)
    back = turning({6: 8, 8: 6}.get(orientation, orientation))
    upright = (width, height) if orientation in (5, 6, 7, 8) else (height, width)
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
    """Returns an RGB image, in the file's profile or, from inks and Lab, in sRGB; and opacity."""
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
    """Reads 16-bit colour, ``u16[h, w, c]``, through readers that keep one byte each."""

    def read(raw: str) -> np.ndarray:
        with Image.open(file, formats=(image.format or "",)) as half:
            half.seek(image.tell())
            tile = half.tile[0]  # Deep PNG, and TIFF that is compressed, has no second one.
            args = (raw, *tile.args[1:]) if isinstance(tile.args, tuple) else raw
            half.tile = [tile._replace(args=args)]
            return np.asarray(half).astype(np.uint16)

    if raw == "LA;16B":  # Two 16-bit samples are as long as four bytes of RGBA.
        pairs = read("RGBA")
        return (pairs[..., ::2] << 8 | pairs[..., 1::2])[..., [0, 0, 0, 1]]
    raw = raw.replace("a", "A")  # What Pillow would divide by opacity, it would round to a byte.
    little = "L" if sys.byteorder == "little" else "B"
    order = little if raw[-1] == "N" else raw[-1]
    other = "B" if order == "L" else "L"
    return read(raw) << 8 | read(raw[:-1] + other)


def _keyed_opacity(image: Image.Image, samples: np.ndarray) -> Opacity:
    """Returns the opacity of an image in which one colour stands for transparency (PNG's tRNS)."""
    key = image.info.get("transparency")
    return None if key is None else (samples != np.array(key)).any(-1).astype(np.float32)


def _decode_tiff(file: BinaryIO, managed: bool) -> Decoded:
    place = tiff.find_picture(file)
    image = _open_page(file, place)
    if image is not None and (
        place.page.bitspersample <= 8 or int(place.page.photometric) > tiff.RGB
    ):
        return _decode_by_libtiff(file, managed, image)
    try:
        return tiff.decode_page(place.page, managed=managed)
    except tiff.NeedsCodec:
        if image is None or not _is_plain(place.page, image):
            raise InputError(
                'is compressed in an uncommon way; pip install "jaxstyle[formats]" to read it, or '
                "save the TIFF without compression"
            ) from None
        return _decode_by_libtiff(file, managed, image)


def _open_page(file: BinaryIO, place: tiff.Place) -> ImageFile.ImageFile | None:
    """Returns Pillow's view of a page, where it has one."""
    if place.number is None:
        return None
    try:
        image = _open(file)
        if place.number:
            image.seek(place.number)
        return image
    except UnidentifiedImageError:
        return None


def _is_plain(page: Any, image: ImageFile.ImageFile) -> bool:
    """Tells whether a deep page is of a layout that Pillow reads right."""
    return (
        int(page.planarconfig) == 1
        and int(page.photometric) != tiff.WHITE_IS_ZERO
        and image.mode != "I"
        and (page.bitspersample % 8 == 0 or ";12" in _raw_mode(image))
    )


def _decode_by_libtiff(file: BinaryIO, managed: bool, image: ImageFile.ImageFile) -> Decoded:
    with quiet_library():
        return _decode_pillow(file, managed, image)  # Turned by Pillow, as all TIFF files are.


def _upright(image: Image.Image, colours: Colours, opacity: Opacity) -> Decoded:
    """Applies the orientation that is left to apply: TIFF files Pillow turns, and says so."""
    turn = turning(_orientation(image))
    return turn(colours), None if opacity is None else turn(opacity)


def _orientation(image: Image.Image) -> Any:
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # A damaged EXIF block is no reason to refuse the picture.
        return 1
