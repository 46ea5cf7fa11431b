"""Properties of formats: depth, pages, gamma, opacity; and formats that are refused by name.

Files that no library at hand writes are kept as bytes, with the pixels that they were made of.
"""

import base64
import importlib.util
import io
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from jaxstyle.errors import InputError
from jaxstyle.files import load_image, load_picture
from jaxstyle.files.decode import decode as decode_file
from jaxstyle.files.header import read_header
from picture_files import STEP, encode, linearise, png, tiff

DECODERS = importlib.util.find_spec("imagecodecs") is not None
HEIF = importlib.util.find_spec("pillow_heif") is not None

# OpenJPEG's, without loss, 16×16 px. RGBA of 16 bits: white and opaque, but for 1000 in red below,
# and 300 in opacity on the right; RGB of 12 bits: the same, shifted; grey of 4, 9 and 10 bits: the
# largest value above, and 3 below.
JPEG2000 = {
    "rgba16": "AAAADGpQICANCocKAAAAFGZ0eXBqcDIgAAAAAGpwMiAAAAAtanAyaAAAABZpaGRyAAAAEAAAABAABA8HAAAA"
    "AAAPY29scgEAAAAAABAAAAG7anAyY/9P/1EAMgAAAAAAEAAAABAAAAAAAAAAAAAAABAAAAAQAAAAAAAAAAAABA8BAQ8BAQ8B"
    "AQ8BAf9SAAwAAAABAAAEBAAB/1wABECA/2QAJQABQ3JlYXRlZCBieSBPcGVuSlBFRyB2ZXJzaW9uIDIuNS40/5AACgAAAAAB"
    "QAAB/5PP/DHQFABcrdJF68jIAAAAAAMJCXcMoADCQl4JNgABhIS8AWgAAwkJeALQAAYSEvAFoAAMJCXgC0AAGEhLwBaAADCQ"
    "l4AtAABhIS8AWgAAwkJf9QxQAAAABhIS7r1gAYSEvBJsAAMJCXgC0AAGEhLwBaAADCQl/3/P/DAcFABcr98dj8/8MBwUAFyv"
    "3x2Pz/wygBQAW0Pb6HAjxMAAAAAABhGbPkfopwj7lNEfcpoj7lNEfcpoj7lNEhL/SF+AAAAAGEaw+x+inCPuU0R9ymiPuU0R"
    "9ymiPuU0SEv5KJgAAAMI3p+j9FOEfcpoj7lNEfcpoj7lNEfcpokJfyUTAAAAYRvT9H6KcI+5TRH3KaI+5TRH3KaI+5TRH3Ka"
    "I+5TRH3KaI+5TRH3KaI+5TRH3KaI/3//2Q==",
    "rgb12": "/0//UQAvAAAAAAAQAAAAEAAAAAAAAAAAAAAAEAAAABAAAAAAAAAAAAADCwEBCwEBCwEB/1IADAAAAAEBAAQE"
    "AAH/XAAEQGD/ZAAlAAFDcmVhdGVkIGJ5IE9wZW5KUEVHIHZlcnNpb24gMi41LjT/kAAKAAAAAACUAAH/k8/lgBQAXK/eiMUA"
    "AAAGEhL/ZCNAAAAAwkJd16wAMJCXgk2AAGEhLwBaAADCQl4AtAABhIS8AWgAAwkJeALQAAYSEvAFoAAMJCXgC0AAGEhLwBaA"
    "ADCQl/5eSgAAAAAGEhL/f4Df4HyMRQNK1Swg6i74c4ThAAAAAAGEhL//JbuAAAAAMJCX/9k=",
    "grey4": "/0//UQApAAAAAAAQAAAAEAAAAAAAAAAAAAAAEAAAABAAAAAAAAAAAAABAwEB/1IADAAAAAEAAAQEAAH/XAAE"
    "QCD/ZAAlAAFDcmVhdGVkIGJ5IE9wZW5KUEVHIHZlcnNpb24gMi41LjT/kAAKAAAAAAAhAAH/k8+FABQAXK3SRMkOAAAADCQl"
    "/3//2Q==",
    "grey9": "/0//UQApAAAAAAAQAAAAEAAAAAAAAAAAAAAAEAAAABAAAAAAAAAAAAABCAEB/1IADAAAAAEAAAQEAAH/XAAE"
    "QEj/ZAAlAAFDcmVhdGVkIGJ5IE9wZW5KUEVHIHZlcnNpb24gMi41LjT/kAAKAAAAAAApAAH/k8/AYBQAXK3SReveeYAAAAAA"
    "DCQl3DKAAwkJf//Z",
    "grey10": "/0//UQApAAAAAAAQAAAAEAAAAAAAAAAAAAAAEAAAABAAAAAAAAAAAAABCQEB/1IADAAAAAEAAAQEAAH/XAAE"
    "QFD/ZAAlAAFDcmVhdGVkIGJ5IE9wZW5KUEVHIHZlcnNpb24gMi41LjT/kAAKAAAAAAApAAH/k8/MYBQAXK3SRevw+YAAAAAA"
    "DCQl3DKAAwkJf//Z",
}
# libheif's, 32×16 px of (200, 100, 50).
HEIC = (
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAXxtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAA"
    "AAAAACJpbG9jAAAAAERAAAEAAQAAAAABoAABAAAAAAAAADQAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAA"
    "AA5waXRtAAAAAAABAAAA/GlwcnAAAADcaXBjbwAAAHVodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNw"
    "AAADAJAAAAMAAAMAHroCQGEAAQApQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbqrprm4CGgwIAAAAyAAAADAIRiAAEABkQBwXPB"
    "iQAAABNjb2xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAABAAAAAQAAAAChjbGFwAAAAIAAAAAEAAAAQAAAAAf///+AAAAAC"
    "////0AAAAAIAAAAQcGl4aQAAAAADCAgIAAAAGGlwbWEAAAAAAAAAAQABBYECAwWEAAAAPG1kYXQAAAAwKAGvCchZmNA5I1d/"
    "/haf/9pSaH6RhbVn8Tr+gOxlOspDn0Sxk847vgyAh4O4Xstw"
)


@pytest.fixture
def write(tmp_path):
    """Writes a file from bytes."""

    def write(name, data):
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return write


def check_refused(path, problem):
    with pytest.raises(InputError, match=problem) as caught:
        load_picture(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def decode(path):
    with path.open("rb") as file:
        return decode_file(file)


# --- JPEG 2000 ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "largest"), [("grey4", 15), ("grey10", 1023)])
def test_jpeg_2000_of_uncommon_depth_is_white_where_it_is_full(write, name, largest):
    image = load_image(write("a.j2k", base64.b64decode(JPEG2000[name])))
    expected = np.ones((16, 16, 3))
    expected[8:] = 3 / largest
    np.testing.assert_allclose(image, expected, atol=1e-6)


@pytest.mark.parametrize(("name", "bits"), [("rgba16", 16), ("rgb12", 12), ("grey9", 9)])
def test_deep_jpeg_2000_is_right_or_refused(write, name, bits):
    path = write("a.jp2", base64.b64decode(JPEG2000[name]))
    if not DECODERS:
        check_refused(path, rf'{bits} bits .*pip install "jaxstyle\[formats\]"')
        return
    colours, opacity = decode(path)
    expected = np.ones((16, 16, 3))
    below = {"rgba16": (1000 / 65535, 1, 1), "rgb12": (62 / 4095, 1, 1), "grey9": (3 / 511,) * 3}
    expected[8:] = below[name]
    np.testing.assert_allclose(colours, expected, atol=1e-6)
    if name == "rgba16":
        np.testing.assert_allclose(opacity, np.repeat([[1, 300 * STEP]], 16, 0).repeat(8, 1))
    else:
        assert opacity is None


# --- TIFF -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_packed_grey_tiff(write, rng, bits):
    values = rng.integers(0, 2**bits, (16, 24))
    values[0, 0] = 2**bits - 1
    text = "".join(f"{value:0{bits}b}" for value in values.ravel())  # Rows fill whole bytes.
    strip = int(text, 2).to_bytes(len(text) // 8)
    path = write("a.tif", tiff(strip, (16, 24, 1), bits))
    if not DECODERS and bits != 12:
        check_refused(path, r'pip install "jaxstyle\[formats\]"')
        return
    expected = values[..., None].repeat(3, -1) / (2**bits - 1)
    np.testing.assert_allclose(load_image(path), expected, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("place", ["page", "below"])
def test_the_picture_is_read_not_its_thumbnail(tmp_path, rng, dtype, place):
    values = rng.integers(0, np.iinfo(dtype).max, (32, 48, 3), dtype)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        below = 1 if place == "below" else None
        writer.write(values[::2, ::2], photometric="rgb", subfiletype=1, subifds=below)
        writer.write(values, photometric="rgb", subfiletype=0)
    expected = values / np.iinfo(dtype).max
    np.testing.assert_allclose(load_image(tmp_path / "a.tif"), expected, atol=1e-6)
    with (tmp_path / "a.tif").open("rb") as file:
        assert read_header(file).shape == (32, 48)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_smaller_pages_after_the_picture_are_ignored(tmp_path, rng, dtype):
    values = rng.integers(0, np.iinfo(dtype).max, (32, 48, 3), dtype)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(values, photometric="rgb", subifds=1)
        writer.write(values[::2, ::2], photometric="rgb", subfiletype=1)
        writer.write(values[:16], photometric="rgb")
    expected = values / np.iinfo(dtype).max
    np.testing.assert_allclose(load_image(tmp_path / "a.tif"), expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["in a page below", "in a later page", "first", "DNG"])
def test_a_raw_photograph_is_refused(tmp_path, kind):
    thumbnail, sensor = np.zeros((16, 24, 3), np.uint8), np.zeros((64, 96), np.uint16)
    with tifffile.TiffWriter(tmp_path / "a.nef") as writer:
        below = 1 if kind == "in a page below" else None
        if kind != "first":
            tags = [(50706, "B", 4, b"\1\4\0\0")] if kind == "DNG" else []
            options = {"subfiletype": 1, "subifds": below, "extratags": tags}
            writer.write(thumbnail, photometric="rgb", **options)
        if kind == "DNG":
            writer.write(np.zeros((64, 96, 3), np.uint8), photometric="rgb")
        else:
            writer.write(sensor, photometric="cfa")
    check_refused(tmp_path / "a.nef", "raw photograph; develop it first")


@pytest.mark.parametrize("start", [b"II*\0\x10\0\0\0CR\2\0", b"IIRO\x08\0\0\0", b"IIU\0\x18\0\0\0"])
def test_raw_photographs_are_recognised_by_their_first_bytes(write, start):
    check_refused(write("a.cr2", start + bytes(500)), "raw photograph")


@pytest.mark.parametrize(
    ("tags", "problem"),
    [
        ([(256, [13000]), (257, [13000]), (258, [16]), (277, [16])], "5.4 GB .* 16 samples"),
        ([(32997, [4])], "volume"),
        ([(322, [60000]), (323, [60000]), (324, [8]), (325, [99])], "GB"),
    ],
)
def test_a_small_tiff_file_that_needs_much_memory_is_refused(write, tags, problem):
    path = write("a.tif", tiff(bytes(768), (16, 16, 3), 8, *tags))
    assert path.stat().st_size < 1100
    check_refused(path, problem)


def test_a_strip_longer_than_the_file_is_refused(write, rng):
    strip = rng.integers(0, 65536, (16, 16, 3), np.uint16).tobytes()
    check_refused(
        write("a.tif", tiff(strip, (16, 16, 3), 16, (279, [1 << 31]))), "is damaged, or cut off"
    )


def test_libtiff_prints_nothing(write, rng, capfd):
    data = bytearray(tiff(bytes(900), (17, 17, 3), 8, (259, [32773])))
    check_refused(write("a.tif", bytes(data)), "damaged")
    assert capfd.readouterr() == ("", "")


# --- Opacity --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bits", "channels"), [(1, 1), (2, 1), (4, 1), (8, 1), (16, 1), (8, 3), (16, 3)]
)
def test_a_colour_key_of_any_depth_makes_pixels_transparent(write, rng, bits, channels):
    values, key = rng.integers(0, 2**bits, (16, 20, channels)), 258 if bits == 16 else 2**bits // 2
    values[3, 4], values[5, 6] = key, key ^ 1  # 258 and 259 are equal in the upper byte.
    chunk = b"tRNS", struct.pack(f">{channels}H", *[key] * channels)
    colours, opacity = decode(write("a.png", png(values, bits, channels - 1, chunk)))
    np.testing.assert_array_equal(opacity, (values != key).any(-1))
    expected = np.broadcast_to(values / (2**bits - 1), (16, 20, 3))
    np.testing.assert_allclose(colours, expected, atol=1e-6)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("compression", [None, "tga_rle"])
def test_tga_without_bits_of_opacity_is_opaque(write, mode, compression):
    data = io.BytesIO()
    image = PillowImage.new(mode, (16, 16), (200, 100, 50, 0)[: len(mode)])
    image.save(data, "TGA", compression=compression)
    file = bytearray(data.getvalue())
    assert file[17] & 15 == 8
    file[17] &= 0xF0
    picture = load_picture(write("a.tga", bytes(file)))
    assert picture.alpha is None
    expected = np.array((200, 100, 50) if mode == "RGBA" else (200,) * 3) / 255
    np.testing.assert_allclose(picture.image[3, 3], expected, atol=1e-6)


# --- Colour in PNG --------------------------------------------------------------------------------


def gamma(value):
    return b"gAMA", struct.pack(">I", round(value * 100000))


# ITU-R BT.2087, and CSS Color 4 for P3.
TO_SRGB = {
    1: np.eye(3),
    9: [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    12: [[1.2249, -0.2247, 0], [-0.0420, 1.0419, 0], [-0.0197, -0.0786, 1.0979]],
}
CHROMATICITIES = {
    1: (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06),
    12: (0.3127, 0.3290, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
}
# ITU-T H.273, table 3, inverted.
TRANSFERS = {
    1: lambda x: np.where(x < 0.081, x / 4.5, ((x + 0.099) / 1.099) ** (1 / 0.45)),
    4: lambda x: x**2.2,
    8: lambda x: x,
    13: linearise,
}


@pytest.fixture
def colours(rng):
    return rng.integers(0, 65536, (18, 20, 3))


def check_colours(path, colours, linear, primaries):
    light = np.broadcast_to(linear(colours * STEP), (18, 20, 3))
    expected = encode(light @ np.transpose(TO_SRGB[primaries]))
    # The published matrices' four digits, on the steep part of the curve near black.
    np.testing.assert_allclose(load_image(path), expected, atol=2e-3)


@pytest.mark.parametrize("value", [1.0, 0.8, 0.5556, 1.8])
@pytest.mark.parametrize("channels", [1, 3])
def test_gamma(write, colours, value, channels):
    colours = colours[..., :channels]
    path = write("a.png", png(colours, 16, channels - 1, gamma(value)))
    check_colours(path, colours, lambda x: x ** (1 / value), 1)


@pytest.mark.parametrize("value", [0.45455, 0.454, 0.0])
def test_the_usual_gamma_and_no_gamma_are_srgb(write, colours, value):
    path = write("a.png", png(colours, 16, 2, gamma(value)))
    np.testing.assert_array_equal(load_image(path), colours.astype(np.float32) / np.float32(65535))


@pytest.mark.parametrize("value", [1.0, 0.45455])
def test_gamma_with_primaries(write, colours, value):
    chunk = b"cHRM", struct.pack(">8I", *[round(v * 100000) for v in CHROMATICITIES[12]])
    path = write("a.png", png(colours, 16, 2, gamma(value), chunk))
    check_colours(path, colours, linearise if value < 1 else lambda x: x, 12)


def test_degenerate_primaries_are_ignored(write, colours):
    path = write("a.png", png(colours, 16, 2, gamma(1), (b"cHRM", bytes(32))))
    assert np.isfinite(load_image(path)).all()


@pytest.mark.parametrize("chunk", [(b"sRGB", b"\0"), (b"cICP", bytes([1, 13, 0, 1]))])
def test_srgb_and_cicp_come_before_gamma(write, colours, chunk):
    path = write("a.png", png(colours, 16, 2, gamma(1), chunk))
    np.testing.assert_array_equal(load_image(path), colours.astype(np.float32) / np.float32(65535))


@pytest.mark.parametrize("primaries", TO_SRGB)
@pytest.mark.parametrize("transfer", TRANSFERS)
def test_code_points(write, colours, primaries, transfer):
    path = write("a.png", png(colours, 16, 2, (b"cICP", bytes([primaries, transfer, 0, 1]))))
    check_colours(path, colours, TRANSFERS[transfer], primaries)


@pytest.mark.parametrize(
    ("code", "problem"),
    [((9, 16, 0, 1), "PQ"), ((9, 18, 0, 1), "HLG"), ((1, 13, 0, 0), "video levels")],
)
def test_code_points_that_are_refused(write, colours, code, problem):
    path = write("a.png", png(colours, 16, 2, (b"cICP", bytes(code))))
    check_refused(path, problem)


def test_gamma_is_not_applied_to_masks(write, colours):
    path = write("a.png", png(colours, 16, 2, gamma(1)))
    with path.open("rb") as file:
        found, _ = decode_file(file, managed=False)
    np.testing.assert_allclose(found, colours * STEP, atol=1e-6)


# --- By name --------------------------------------------------------------------------------------


def test_heic_is_read_or_the_extra_is_named(write):
    path = write("a.heic", base64.b64decode(HEIC))
    if not HEIF:
        check_refused(path, r'is HEIC; pip install "jaxstyle\[heif\]"')
        return
    image = load_image(path)
    np.testing.assert_allclose(image, np.full((16, 32, 3), (200, 100, 50)) / 255, atol=0.02)


def test_avif_is_not_taken_for_heic(tmp_path):
    image = PillowImage.new("RGB", (16, 16), "red")
    image.save(tmp_path / "a.avif")
    np.testing.assert_allclose(load_image(tmp_path / "a.avif")[3, 3], (1, 0, 0), atol=0.02)


@pytest.mark.parametrize(
    ("start", "problem"),
    [
        (b"v/1\x01\2\0\0\0", "is OpenEXR"),
        (b"#?RADIANCE\n", "is Radiance HDR"),
        (b"\xff\x0a\0\0", "is JPEG XL"),
        (struct.pack(">4sH6xHIIHH", b"8BPS", 1, 3, 16, 16, 16, 3), "PSD with 16 bits per channel"),
        (struct.pack(">4sH6xHIIHH", b"8BPS", 2, 3, 16, 16, 8, 3), "is PSB"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1", "raw photograph"),
    ],
)
def test_known_formats_are_refused_by_name(write, start, problem):
    check_refused(write("a.png", start + bytes(200)), f"{problem}.*; ")
