"""Formats told by their first bytes: those that need an extra, and those refused by name."""

from typing import BinaryIO

from jaxstyle.errors import InputError

_HEIC = {b"heic", b"heim", b"heis", b"heix", b"hevc", b"hevm", b"hevs", b"hevx", b"mif1", b"msf1"}
HEIC_SUFFIXES = (".heic", ".heics", ".heif", ".heifs", ".hif")
_AVIF = {b"avif", b"avis"}
_START = 64
_RAW = "is a raw photograph; develop it first, and save it as TIFF or PNG"
_REFUSED = {
    b"v/1\x01": "is OpenEXR, which is not read; save it as 16-bit PNG or TIFF",
    b"#?RADIANCE": "is Radiance HDR, which is not read; save it as 16-bit PNG or TIFF",
    b"#?RGBE": "is Radiance HDR, which is not read; save it as 16-bit PNG or TIFF",
    b"\xff\x0a": "is JPEG XL, which is not read; save it as PNG",
    b"\0\0\0\x0cJXL ": "is JPEG XL, which is not read; save it as PNG",
    b"8BPS\0\2": "is PSB, which is not read; save it as TIFF",
    b"%PDF": "is PDF, which is not read; save the page as PNG",
    b"FUJIFILMCCD-RAW": _RAW,
    b"IIRO": _RAW,
    b"IIRS": _RAW,
    b"MMOR": _RAW,
    b"IIU\0": _RAW,
    b"FOVb": _RAW,
}


def check_format(file: BinaryIO) -> None:
    """Refuses what is known not to be read, by name; has Pillow read HEIC where it can.

    Raises:
        InputError: The file is of such a format; the message lacks the file's name.
    """
    file.seek(0)
    start = file.read(_START)
    file.seek(0)
    for signature, problem in _REFUSED.items():
        if start.startswith(signature):
            raise InputError(problem)
    if (start[:4], start[8:10]) == (b"II*\0", b"CR") or start[4:12] == b"ftypcrx ":
        raise InputError(_RAW)
    if start[:4] == b"8BPS" and start[22:24] > b"\0\x08":
        bits = int.from_bytes(start[22:24])
        raise InputError(f"is PSD with {bits} bits per channel; save it as TIFF or PNG")
    if start[4:8] == b"ftyp":
        _check_brands(start)


def _check_brands(start: bytes) -> None:
    end = min(int.from_bytes(start[:4]), _START)
    brands = {start[8:12], *(start[i : i + 4] for i in range(16, end, 4))}
    if brands & _HEIC and not brands & _AVIF:
        try:
            import pillow_heif  # pyright: ignore[reportMissingImports] - an extra
        except ImportError:
            raise InputError(
                'is HEIC; pip install "jaxstyle[heif]" to read it, or save it as JPEG'
            ) from None
        pillow_heif.register_heif_opener()


def raw_photograph() -> InputError:
    """Returns the error that refuses what a camera's sensor saw."""
    return InputError(_RAW)
