"""Headers: what a file says about its image, without its pixels."""

import io
from typing import Any, BinaryIO, NamedTuple

from PIL import ExifTags, Image, ImageFile

from jaxstyle.files import jpeg2000, png, tiff
from jaxstyle.files.photo_info import PhotoInfo, read_photo_info
from jaxstyle.files.sample_values import check_size, upright_shape
from jaxstyle.files.signatures import check_format

# Without EPS and WMF, for which Pillow starts other programs, and formats that are not pictures.
FORMATS = (
    *("AVIF", "BMP", "DDS", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "PCX", "PNG", "PPM", "PSD"),
    *("QOI", "SGI", "TGA", "TIFF", "WEBP"),
)
DESCRIPTION = "Description"
"""Name of PNG's text chunk that describes an image."""

JPEG = ("JPEG", "MPO")

_LOSSY = {*JPEG, "AVIF", "HEIF", "JPEG2000", "WEBP"}


class Header(NamedTuple):
    """The header of an image file.

    Attributes:
        shape: Height and width, upright.
        orientation: EXIF orientation, 1 to 8.
        lossy: Whether the compression may have changed pixels.
        description: The description of the image, or an empty string.
        photo_info: Date, author and resolution.
    """

    shape: tuple[int, int]
    orientation: int
    lossy: bool
    description: str
    photo_info: PhotoInfo


def read_header(file: BinaryIO) -> Header:
    """Reads the header of a file; raises as ``decode``."""
    check_format(file)
    if file.read(2) in tiff.BYTE_ORDERS:  # Pillow cannot open all of them.
        found = tiff.find_picture(file)
        size, page = (found.page.imagewidth, found.page.imagelength), found.page
        about = found.lossy, page.description, found.photo_info
        orientation = found.orientation
    else:
        image = open_image(file)
        check_size(*image.size)
        size, orientation = image.size, orientation_of(image)
        about = _is_lossy(file, image), _description(image), _photo_info(image)
    orientation = orientation if orientation in range(1, 9) else 1
    return Header(upright_shape(*size, orientation), orientation, *about)


def open_image(file: BinaryIO | io.BytesIO) -> ImageFile.ImageFile:
    """Opens an image with Pillow."""
    file.seek(0)
    if file.read(len(png.SIGNATURE)) == png.SIGNATURE:
        file = png.without_large_text(file)
    file.seek(0)
    extra = ("HEIF",) if "HEIF" in Image.OPEN else ()
    return Image.open(file, formats=FORMATS + extra)


def _exif(image: Image.Image) -> Image.Exif:
    try:
        return image.getexif()
    except Exception:  # A damaged EXIF block is no reason to refuse the picture.
        return Image.Exif()


def orientation_of(image: Image.Image) -> Any:
    """Returns the EXIF orientation of an image, which a damaged file can make anything."""
    return _exif(image).get(ExifTags.Base.Orientation, 1)


def _description(image: Image.Image) -> str:
    text = image.info.get(DESCRIPTION)
    text = _exif(image).get(ExifTags.Base.ImageDescription) if text is None else text
    return text if isinstance(text, str) else ""


def _photo_info(image: Image.Image) -> PhotoInfo:
    tags = _exif(image)
    try:
        taken = tags.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal)
    except Exception:  # Damaged, as above.
        taken = None
    # Pillow makes a resolution up for JPEG files that have none.
    made_up = image.format in JPEG and not image.info.get("jfif_unit")
    return read_photo_info(tags, taken, None if made_up else image.info.get("dpi"))


def _is_lossy(file: BinaryIO, image: ImageFile.ImageFile) -> bool:
    if image.format == "WEBP":
        return not _has_chunk(file, b"VP8L")
    if image.format == "JPEG2000":
        return not jpeg2000.read_codestream(file).reversible
    return image.format in _LOSSY


def _has_chunk(file: BinaryIO, wanted: bytes) -> bool:
    """Returns whether a RIFF file, such as WebP, has a chunk."""
    file.seek(12)
    while len(head := file.read(8)) == 8:
        if head[:4] == wanted:
            return True
        size = int.from_bytes(head[4:], "little")
        file.seek(size + size % 2, 1)
    return False
