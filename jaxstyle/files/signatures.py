"""Formats recognised by their first bytes: those that are refused, and those that need an extra."""

from typing import BinaryIO

from jaxstyle.errors import InputError

HEIC_SUFFIXES = (".heic", ".heics", ".heif", ".heifs", ".hif")

_HEIC = {b"heic", b"heim", b"heis", b"heix", b"hevc", b"hevm", b"hevs", b"hevx", b"mif1", b"msf1"}
_AVIF = {b"avif", b"avis"}
_START = 64
RAW = "is a raw photograph; develop it first, and save it as TIFF or PNG"
_DEEP = "which is not supported; save it as 16-bit PNG or TIFF"
_REFUSED = {
    b"v/1\x01": f"is OpenEXR, {_DEEP}",
    b"#?RADIANCE": f"is Radiance HDR, {_DEEP}",
    b"#?RGBE": f"is Radiance HDR, {_DEEP}",
    b"\xff\x0a": "is JPEG XL, which is not supported; save it as PNG",
    b"\0\0\0\x0cJXL ": "is JPEG XL, which is not supported; save it as PNG",
    b"8BPS\0\2": "is PSB, which is not supported; save it as TIFF",
    b"%PDF": "is PDF, which is not supported; save the page as PNG",
    **dict.fromkeys((b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb"), RAW),
}


def check_format(file: BinaryIO) -> None:
    """Refuses formats that are not supported, and enables HEIC in Pillow for a HEIC file.

    Raises:
        InputError: The format is not supported. The message lacks the file's name.
    """
    file.seek(0)
    start = file.read(_START)
    file.seek(0)
    for signature, problem in _REFUSED.items():
        if start.startswith(signature):
            raise InputError(problem)
    if (start[:4], start[8:10]) == (b"II*\0", b"CR") or start[4:12] == b"ftypcrx ":
        raise InputError(RAW)
    if start[:4] == b"8BPS" and start[22:24] > b"\0\x08":
        bits = int.from_bytes(start[22:24])
        raise InputError(f"is PSD with {bits} bits per channel; save it as TIFF or PNG")
    if start[4:8] == b"ftyp":
        end = min(int.from_bytes(start[:4]), _START)
        brands = {start[8:12], *(start[i : i + 4] for i in range(16, end, 4))}
        if brands & _HEIC and not brands & _AVIF:
            _enable_heic()


def _enable_heic() -> None:
    try:
        import pillow_heif  # pyright: ignore[reportMissingImports] - an extra
    except ImportError:
        problem = 'is HEIC; pip install "jaxstyle[heif]" to read it, or save it as JPEG'
        raise InputError(problem) from None
    pillow_heif.register_heif_opener()
