"""Decoding: any file that Pillow or tifffile reads, as upright sRGB colours and opacity.

Pillow keeps only the upper byte of 16-bit colour. Its two 16-bit readers differ in which byte they
keep, though, so reading a file once with each gives both bytes, whatever the compression. TIFF
files deeper than 8 bits go through tifffile first, which knows more layouts but, on its own, fewer
compressions.
"""

import sys
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple, TypeAlias

import numpy as np
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from jaxstyle.errors import InputError
from jaxstyle.files.profiles import lab_to_srgb, through_littlecms, to_srgb
from jaxstyle.resize import MIN_SIDE

MAX_PIXELS = 178_000_000
"""Larger images are refused before they are decoded; Pillow's own limit is a little above."""

# Left out: EPS and WMF, for which Pillow starts other programs, and formats that are not pictures.
FORMATS = (
    *("AVIF", "BMP", "DDS", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "PCX", "PNG", "PPM", "PSD"),
    *("QOI", "SGI", "TGA", "TIFF", "WEBP"),
)

Colours: TypeAlias = np.ndarray
Opacity: TypeAlias = np.ndarray | None
Decoded: TypeAlias = tuple[Colours, Opacity]

_ASSOCIATED, _UNASSOCIATED = 1, 2
_WHITE_IS_ZERO, _RGB = 0, 2
_TIFF_ORDERS = (b"II", b"MM")
_HEADER = 1 << 20
_LOSSY = {"AVIF", "JPEG", "JPEG2000", "WEBP"}
_LOSSY_TIFF = {6, 7, 34712, 34892, 50001}  # JPEG, old and new, JPEG 2000, DNG's JPEG, WebP.


class Header(NamedTuple):
    """What a file says of its image: upright height and width, EXIF orientation, lossy or not."""

    shape: tuple[int, int]
    orientation: int
    lossy: bool


def read_header(file: BinaryIO) -> Header:
    """Reads the header of a file that :func:`decode` reads, with the same exceptions."""
    file.seek(0)
    if file.read(2) in _TIFF_ORDERS:  # Of those, Pillow cannot open all.
        import tifffile

        file.seek(0)
        with tifffile.TiffFile(file) as tiff:
            page: Any = tiff.pages[0]
            width, height = page.imagewidth, page.imagelength
            orientation = page.tags.valueof(ExifTags.Base.Orientation, 1)
            lossy = int(page.compression) in _LOSSY_TIFF
    else:
        image = Image.open(file, formats=FORMATS)
        check_size(*image.size)
        (width, height), orientation = image.size, _orientation(image)
        lossy = image.format in _LOSSY and not _is_lossless(file, image)
    shape = (width, height) if orientation in (5, 6, 7, 8) else (height, width)
    return Header(shape, orientation if orientation in range(1, 9) else 1, lossy)


def _is_lossless(file: BinaryIO, image: ImageFile.ImageFile) -> bool:
    """Tells whether a WebP or JPEG 2000 file says that it keeps every pixel."""
    file.seek(0)
    if image.format == "WEBP":
        return _has_chunk(file, b"VP8L")
    if image.format == "JPEG2000":
        start = file.read(_HEADER)
        place = start.find(b"\xff\x52", start.find(b"\xff\x4f\xff\x51"))  # ISO 15444-1, A.6.1.
        return place > 0 and start[place + 13 : place + 14] == b"\1"  # 1: the wavelets 5/3.
    return False


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
    """Decodes the first frame of an image file.

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
    try:
        image = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        file.seek(0)
        if file.read(2) not in _TIFF_ORDERS:
            raise
        return _decode_tiff(file, managed)
    check_size(*image.size)
    if image.format == "TIFF":
        tags: Any = getattr(image, "tag_v2", {})
        if max(tags.get(ExifTags.Base.BitsPerSample, (1,))) > 8 and _photometric(image) <= _RGB:
            return _decode_tiff(file, managed, image)
    return _upright(image, *_decode_pillow(file, managed, image))


def check_size(width: int, height: int) -> None:
    """Refuses images that are too large to be decoded or too small to be of use."""
    if width * height > MAX_PIXELS:
        found, limit = round(width * height / 1e6), MAX_PIXELS // 1_000_000
        raise InputError(f"has {found} megapixels; at most {limit} can be read: reduce it first")
    if min(width, height) < MIN_SIDE:
        raise InputError(
            f"is {width}×{height} px; at least {MIN_SIDE} px on each side are needed: choose a "
            "larger image"
        )


def _decode_pillow(file: BinaryIO, managed: bool, image: ImageFile.ImageFile) -> Decoded:
    raw = _raw_mode(image)
    profile = image.info.get("icc_profile") if managed else None
    if ";16" in raw and image.mode in ("RGB", "RGBA") and image.format in ("PNG", "TIFF"):
        samples = _both_bytes(file, image, raw)
        opacity = _keyed_opacity(image, samples)
        colours, opacity = _split(_unit_range(samples), opacity, premultiplied=raw[:4] == "RGBa")
    elif image.mode.startswith(("I", "F")):
        samples = np.asarray(image)[..., None]
        if image.mode == "I":
            # Pillow's 32-bit integers hold 16-bit values: so do 16-bit PPM and older 16-bit PNG.
            if samples.min() < 0 or samples.max() > 65535:
                raise InputError("holds 32-bit integers; save it with 8 or 16 bits per channel")
            samples = samples.astype(np.uint16)
        opacity = _keyed_opacity(image, samples)
        colours, opacity = _split(_unit_range(samples), opacity)
    else:
        rgb, opacity = _eight_bits(image)
        colours = np.asarray(rgb, np.float32) / 255
        if image.mode in ("CMYK", "LAB"):
            profile = None
    return to_srgb(colours, profile), opacity


def _eight_bits(image: Image.Image) -> tuple[Image.Image, Opacity]:
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
        return image.convert("RGB"), np.asarray(image.getchannel("A"), np.float32) / 255
    return image.convert("RGB"), None


def _raw_mode(image: ImageFile.ImageFile) -> str:
    args = image.tile[0].args if image.tile else None
    return args if isinstance(args, str) else str(args[0] if args else "")


def _both_bytes(file: BinaryIO, image: ImageFile.ImageFile, raw: str) -> np.ndarray:
    """Reads 16-bit colour, ``u16[h, w, c]``, through readers that keep one byte each."""

    def read(raw: str) -> np.ndarray:
        with Image.open(file, formats=(image.format or "",)) as half:
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


def _decode_tiff(
    file: BinaryIO, managed: bool, image: ImageFile.ImageFile | None = None
) -> Decoded:
    """Decodes TIFF of any depth; ``image`` is Pillow's view of the file, where it has one."""
    import tifffile  # Here, because only deep TIFF files need it.

    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        page: Any = tiff.pages[0]
        check_size(page.imagewidth, page.imagelength)
        photometric = int(page.photometric)
        if photometric > _RGB:
            raise InputError("is TIFF of an uncommon kind; save it as RGB with 8 or 16 bits")
        try:
            samples = page.asarray()
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            return _decode_compressed_tiff(file, managed, image)
        layout = {"YX": lambda x: x[..., None], "SYX": lambda x: np.moveaxis(x, 0, -1)}
        samples = layout.get(page.axes, lambda x: x)(samples)
        if not managed and samples.dtype == np.uint32 and samples.max() <= 65535:
            samples = samples.astype(np.uint16)  # Numbers, which as parts of 2³² would vanish.
        values = _unit_range(samples)
        count = 3 if photometric == _RGB else 1
        if photometric == _WHITE_IS_ZERO:
            values[..., :1] = 1 - values[..., :1]
        kind = page.extrasamples[0] if page.extrasamples else _UNASSOCIATED
        values = values[..., : count + (kind in (_ASSOCIATED, _UNASSOCIATED))]
        colours, opacity = _split(values, None, premultiplied=kind == _ASSOCIATED)
        turn = turning(page.tags.valueof(ExifTags.Base.Orientation, 1))
        opacity = None if opacity is None else turn(opacity)
        return turn(to_srgb(colours, page.iccprofile if managed else None)), opacity


def _decode_compressed_tiff(
    file: BinaryIO, managed: bool, image: ImageFile.ImageFile | None
) -> Decoded:
    """Decodes what Pillow alone can decompress, in the layouts that it reads right."""
    tags: Any = getattr(image, "tag_v2", {})
    planes_apart = tags.get(ExifTags.Base.PlanarConfiguration, 1) != 1
    if (
        image is None
        or planes_apart
        or _photometric(image) == _WHITE_IS_ZERO
        or image.mode == "I"
        or ";12" in _raw_mode(image)
    ):
        raise InputError("is compressed in an uncommon way; save the TIFF without compression")
    return _decode_pillow(file, managed, image)  # Turned by Pillow, as all TIFF files are.


def _photometric(image: Image.Image) -> int:
    tags: Any = getattr(image, "tag_v2", {})
    return tags.get(ExifTags.Base.PhotometricInterpretation, _WHITE_IS_ZERO)


def _unit_range(samples: np.ndarray) -> np.ndarray:
    """Brings samples of any type to [0, 1]; floating-point ones must lie there already."""
    if samples.dtype.kind == "u":
        return np.divide(samples, np.iinfo(samples.dtype).max, dtype=np.float32)
    if samples.dtype.kind != "f":
        raise InputError("holds signed integers; save it with 8 or 16 bits per channel")
    if not np.isfinite(samples).all():
        raise InputError("holds NaN or infinite values; save it again without them")
    low, high = samples.min(), samples.max()
    if low < -0.1 or high > 1.1:  # What resampling overshoots is clipped; another scale is not.
        raise InputError(
            f"holds values from {low:.4g} to {high:.4g}; floating-point images must lie in [0, 1]"
        )
    return np.clip(samples, 0, 1).astype(np.float32)


def _split(values: np.ndarray, opacity: Opacity, *, premultiplied: bool = False) -> Decoded:
    """Splits ``f32[h, w, 1 to 4]`` into three colours and opacity, if the latter is among them."""
    count = values.shape[-1]
    if count in (2, 4):
        opacity = values[..., -1]
        values = values[..., :-1]
    colours = values if values.shape[-1] == 3 else values.repeat(3, -1)
    if premultiplied and opacity is not None:
        divisor = np.where(opacity > 0, opacity, 1)[..., None]
        colours = np.minimum(colours / divisor, 1)
    return colours, opacity


def _upright(image: Image.Image, colours: Colours, opacity: Opacity) -> Decoded:
    """Applies the orientation that is left to apply: TIFF files Pillow turns, and says so."""
    turn = turning(_orientation(image))
    return turn(colours), None if opacity is None else turn(opacity)


def _orientation(image: Image.Image) -> Any:
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # A damaged EXIF block is no reason to refuse the picture.
        return 1


def turning(orientation: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Returns what makes an image upright, by EXIF's orientation: 1 to 8, others mean 1."""

    def turn(x: np.ndarray) -> np.ndarray:
        if orientation in (5, 6, 7, 8):
            x = x.swapaxes(0, 1)
        if orientation in (2, 3, 6, 7):
            x = x[:, ::-1]
        return x[::-1] if orientation in (3, 4, 7, 8) else x

    return turn
