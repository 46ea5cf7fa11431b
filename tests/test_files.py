"""Loading and saving images, against pixels built by hand and against other libraries' readers."""

import errno
import io
import json
import os
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import tifffile
from PIL import ExifTags, ImageCms, JpegImagePlugin
from PIL import Image as PillowImage

from jaxstyle.errors import InputError
from jaxstyle.files import (
    SUFFIXES,
    check_output,
    load_image,
    load_metadata,
    load_picture,
    sample_values,
    save_image,
)
from jaxstyle.files.decode import decode
from picture_files import STEP, STORED_FROM_UPRIGHT, encode, lzw, png, tiff, zstd

SRGB_PRIMARIES = (
    (0.43607, 0.22249, 0.01392),
    (0.38515, 0.71687, 0.09708),
    (0.14307, 0.06061, 0.7141),
)
P3_PRIMARIES = (
    (0.51512, 0.2412, -0.00105),
    (0.29198, 0.69225, 0.04189),
    (0.1571, 0.06657, 0.78407),
)
LINEAR = b"curv" + struct.pack(">II", 0, 0)


def assert_close(actual: Any, desired: Any, *, atol: float = 0.0, rtol: float = 1e-7) -> None:
    np.testing.assert_allclose(actual, desired, atol=atol, rtol=rtol)


def assert_same(actual: Any, desired: Any) -> None:
    np.testing.assert_array_equal(actual, desired)


def icc(space, tags, connection=b"XYZ "):
    """Builds an ICC version 2 profile out of its tags."""
    tags = {b"wtpt": b"XYZ \0\0\0\0" + fixed(0.9642, 1, 0.8249), **tags}
    table, body = b"", b""
    for name, data in tags.items():
        table += struct.pack(">4sII", name, 132 + 12 * len(tags) + len(body), len(data))
        body += data.ljust(-(-len(data) // 4) * 4, b"\0")
    size = 132 + len(table) + len(body)
    head = struct.pack(">I4sI4s4s4s", size, b"none", 0x02400000, b"mntr", space, connection)
    head += struct.pack(">6H4s", 2020, 1, 1, 0, 0, 0, b"acsp")
    head = head.ljust(68, b"\0") + fixed(0.9642, 1, 0.8249)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def fixed(*values):
    return struct.pack(f">{len(values)}i", *[round(v * 65536) for v in values])


def rgb_icc(primaries, curve):
    names = zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)
    curves = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    return icc(b"RGB ", {name: b"XYZ \0\0\0\0" + fixed(*xyz) for name, xyz in names} | curves)


def lut_icc(space, channels, corner_lab):
    """Builds a profile that is a table with two grid points a channel, whose corners are Lab."""
    identity = struct.pack(">2H", 0, 65535)
    corners = b""
    for index in np.ndindex(*(2,) * channels):
        lightness, a, b = corner_lab(index)
        corners += struct.pack(
            ">3H", *[round(v) for v in (lightness * 652.8, a * 256 + 32768, b * 256 + 32768)]
        )
    head = b"mft2\0\0\0\0" + struct.pack(">4B", channels, 3, 2, 0)
    head += fixed(1, 0, 0, 0, 1, 0, 0, 0, 1) + struct.pack(">2H", 2, 2)
    table = head + identity * channels + corners + identity * 3
    return icc(space, {b"A2B0": table, b"A2B1": table}, b"Lab ")


def save_pillow(path, array, mode=None, **options):
    image = PillowImage.fromarray(array)
    (image.convert(mode) if mode else image).save(path, **options)


# --- Modes and depths ---------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "bmp", "ppm", "tga", "qoi"])
def test_eight_bit_rgb_is_exact(tmp_path, rng, suffix):
    values = rng.integers(0, 256, (17, 33, 3), np.uint8)
    options = {"lossless": True} if suffix == "webp" else {}
    save_pillow(tmp_path / f"a.{suffix}", values, **options)
    picture = load_picture(tmp_path / f"a.{suffix}")
    assert picture.image.dtype == jnp.float32
    assert_same(picture.image, values.astype(np.float32) / 255)
    assert picture.alpha is None


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
def test_greyscale_has_three_equal_channels(tmp_path, suffix):
    values = np.full((24, 16), 119, np.uint8)
    save_pillow(tmp_path / f"a.{suffix}", values)
    assert_close(load_image(tmp_path / f"a.{suffix}"), np.full((24, 16, 3), 119 / 255))


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_one_bit(tmp_path, rng, suffix):
    values = rng.integers(0, 2, (20, 21), np.uint8).astype(bool)
    save_pillow(tmp_path / f"a.{suffix}", values)
    image = load_image(tmp_path / f"a.{suffix}")
    assert_same(image, values[..., None].repeat(3, -1).astype(np.float32))


@pytest.mark.parametrize("suffix", ["png", "gif", "tif"])
def test_palette(tmp_path, rng, suffix):
    indices, colours = (
        rng.integers(0, 5, (20, 21), np.uint8),
        rng.integers(0, 256, (5, 3), np.uint8),
    )
    image = PillowImage.fromarray(indices)
    image.putpalette(colours.tobytes())
    image.save(tmp_path / f"a.{suffix}")
    assert_same(load_image(tmp_path / f"a.{suffix}"), colours[indices].astype(np.float32) / 255)


def test_jpeg(tmp_path):
    save_pillow(tmp_path / "a.jpeg", np.full((20, 20, 3), (200, 100, 50), np.uint8), quality=100)
    image = load_image(tmp_path / "a.jpeg")
    assert_close(image, np.full((20, 20, 3), (200, 100, 50)) / 255, atol=2 / 255)


def test_the_first_frame_of_several(tmp_path):
    frames = [PillowImage.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
    for name in ("a.gif", "a.png", "a.tif", "a.webp"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        image = load_image(tmp_path / name)
        assert_close(image, np.ones((16, 16, 1)) * [1.0, 0, 0], atol=0.02)


@pytest.mark.parametrize(("channels", "colour_type"), [(1, 0), (3, 2), (2, 4), (4, 6)])
@pytest.mark.parametrize("interlaced", [False, True])
def test_sixteen_bit_png(tmp_path, rng, channels, colour_type, interlaced):
    values = rng.integers(0, 65536, (18, 19, channels))
    (tmp_path / "a.png").write_bytes(png(values, 16, colour_type, interlaced=interlaced))
    picture, seen = load_picture(tmp_path / "a.png"), np.full((18, 19), True)
    if colour_type >= 4:
        assert_close(picture.alpha, values[..., -1] * STEP, atol=STEP / 100)
        values, seen = values[..., :-1], values[..., -1] > 6000
    expected = np.broadcast_to(values * STEP, (18, 19, 3))
    assert_close(np.asarray(picture.image)[seen], expected[seen], atol=STEP / 100)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib", "predictor": True}])
def test_sixteen_bit_tiff(tmp_path, rng, order, planar, options):
    values = rng.integers(0, 65536, (18, 19, 3), np.uint16)
    stored = values if planar == "contig" else np.moveaxis(values, -1, 0)
    options = {"photometric": "rgb", "planarconfig": planar, "rowsperstrip": 5, **options}
    tifffile.imwrite(tmp_path / "a.tif", stored, byteorder=order, **options)
    assert_close(load_image(tmp_path / "a.tif"), values * STEP, atol=STEP / 100)


@pytest.mark.parametrize(
    ("compress", "code", "order"), [(lzw, 5, "<"), (lzw, 5, ">"), (zstd, 50000, "<")]
)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_compressed_sixteen_bit_tiff(tmp_path, rng, compress, code, order, channels):
    values = rng.integers(0, 65536, (17, 19, channels), np.uint16)
    tags = [(259, [code]), *[(338, [2])] * (channels == 4)]
    strip = compress(values.astype(f"{order}u2").tobytes())
    (tmp_path / "a.tif").write_bytes(tiff(strip, values.shape, 16, *tags, order=order))
    with (tmp_path / "a.tif").open("rb") as file:
        colours, opacity = decode(file)
    assert_close(colours, np.broadcast_to(values[..., :3] * STEP, (17, 19, 3)), atol=STEP / 100)
    if channels == 4:
        assert_close(opacity, values[..., 3] * STEP, atol=STEP / 100)


@pytest.mark.parametrize("writer", ["tifffile", "lzw"])
def test_premultiplied_tiff_is_divided_by_its_opacity(tmp_path, rng, writer):
    colour, opacity = rng.random((18, 19, 3)), rng.uniform(0.3, 1, (18, 19, 1))
    opacity[4:12] = 1
    values = np.rint(np.concatenate([colour * opacity, opacity], -1) * 65535).astype(np.uint16)
    if writer == "tifffile":
        options = {"photometric": "rgb", "extrasamples": ["assocalpha"]}
        tifffile.imwrite(tmp_path / "a.tif", values, **options)
    else:
        data = tiff(lzw(values.tobytes()), values.shape, 16, (259, [5]), (338, [1]))
        (tmp_path / "a.tif").write_bytes(data)
    with (tmp_path / "a.tif").open("rb") as file:
        decoded, alpha = decode(file)
    assert_close(decoded, colour, atol=3 * STEP)
    assert_close(alpha, opacity[..., 0], atol=STEP)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("photometric", ["rgb", "minisblack"])
def test_floating_point_tiff(tmp_path, rng, dtype, photometric):
    values = rng.random((18, 19, 3) if photometric == "rgb" else (18, 19, 1)).astype(dtype)
    stored = values if photometric == "rgb" else values[..., 0]
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric=photometric)
    expected = np.broadcast_to(values, (18, 19, 3))
    assert_close(load_image(tmp_path / "a.tif"), expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_white_is_zero(tmp_path, rng, dtype):
    values = rng.integers(0, np.iinfo(dtype).max, (18, 19), dtype)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="miniswhite")
    expected = 1 - values[..., None].repeat(3, -1) / np.iinfo(dtype).max
    assert_close(load_image(tmp_path / "a.tif"), expected, atol=1e-6)


def test_sixteen_bit_ppm_grey(tmp_path, rng):
    values = rng.integers(0, 65536, (18, 19), np.uint16)
    (tmp_path / "a.pgm").write_bytes(b"P5 19 18 65535\n" + values.astype(">u2").tobytes())
    expected = values[..., None].repeat(3, -1) * STEP
    assert_close(load_image(tmp_path / "a.pgm"), expected, atol=STEP / 100)


# --- Orientation --------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", STORED_FROM_UPRIGHT)
@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif", "deep.tif", "lzw.tif"])
def test_orientation(tmp_path, rng, orientation, name):
    upright = rng.integers(0, 256, (17, 23, 4), np.uint8)
    stored = np.ascontiguousarray(STORED_FROM_UPRIGHT[orientation](upright))
    if name == "deep.tif":
        tag = (274, "H", 1, orientation)
        options = {"photometric": "rgb", "extrasamples": ["unassalpha"], "extratags": [tag]}
        tifffile.imwrite(tmp_path / name, stored.astype(np.uint16) * 257, **options)
    elif name == "lzw.tif":
        deep = stored.astype(np.uint16) * 257
        tags = (259, [5]), (338, [2]), (274, [orientation])
        (tmp_path / name).write_bytes(tiff(lzw(deep.tobytes()), deep.shape, 16, *tags))
    else:
        exif = PillowImage.Exif()
        exif[274] = orientation
        save_pillow(tmp_path / name, stored, exif=exif, lossless=True, exact=True)
    with (tmp_path / name).open("rb") as file:
        colours, opacity = decode(file)
    expected = upright / 255
    assert_close(colours, expected[..., :3], atol=1e-6)
    assert_close(opacity, expected[..., 3], atol=1e-6)


@pytest.mark.parametrize("orientation", [6, 8])
def test_orientation_of_a_photo(tmp_path, orientation):
    upright = np.zeros((48, 32, 3), np.uint8)
    upright[:16, :16] = 255
    stored = np.ascontiguousarray(STORED_FROM_UPRIGHT[orientation](upright))
    exif = PillowImage.Exif()
    exif[274] = orientation
    save_pillow(tmp_path / "a.jpg", stored, exif=exif, quality=95)
    assert_close(load_image(tmp_path / "a.jpg"), upright / 255, atol=0.02)


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"])
def test_a_damaged_exif_block_is_ignored(tmp_path, exif):
    save_pillow(tmp_path / "a.jpg", np.full((16, 24, 3), 255, np.uint8), exif=exif)
    assert_same(load_image(tmp_path / "a.jpg"), np.ones((16, 24, 3)))


# --- Colour profiles ----------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [8, 16])
def test_a_profile_with_exchanged_primaries_exchanges_channels(tmp_path, rng, depth):
    srgb_curve = b"para" + struct.pack(">IHH", 0, 3, 0)
    srgb_curve += fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    profile = rgb_icc(SRGB_PRIMARIES[::-1], srgb_curve)
    values = rng.integers(0, 2**depth, (18, 19, 3), np.uint16 if depth == 16 else np.uint8)
    if depth == 16:
        options = {"photometric": "rgb", "iccprofile": profile}
        tifffile.imwrite(tmp_path / "a.tif", values, **options)
    else:
        save_pillow(tmp_path / "a.tif", values, icc_profile=profile)
    expected = values[..., ::-1] / (2**depth - 1)
    # Near black, an error of 1e-5 (the primaries' five digits) is multiplied by up to 13.
    assert_close(load_image(tmp_path / "a.tif"), expected, atol=4e-4)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_a_profile_in_every_format(tmp_path, suffix):
    save_pillow(
        tmp_path / f"a.{suffix}",
        np.full((16, 16, 3), 128, np.uint8),
        icc_profile=rgb_icc(SRGB_PRIMARIES, LINEAR),
    )
    expected = np.full((16, 16, 3), encode(128 / 255))
    assert_close(load_image(tmp_path / f"a.{suffix}"), expected, atol=3e-3)


def para(kind, *values):
    return b"para" + struct.pack(">IHH", 0, kind, 0) + fixed(*values)


# Each with its formula from ICC.1:2010, 10.5 and 10.15; x runs over [0, 1].
CURVES = {
    "gamma 1.8": (b"curv" + struct.pack(">IIH", 0, 1, 461), lambda x: x ** (461 / 256)),
    "table": (
        b"curv" + struct.pack(">II3H", 0, 3, 0, 13107, 65535),
        lambda x: np.interp(x, [0, 0.5, 1], [0, 0.2, 1]),
    ),
    "para 0": (para(0, 2.25), lambda x: x**2.25),
    "para 1": (
        para(1, 2, 1.25, -0.25),
        lambda x: np.where(x < 0.2, 0, (1.25 * x - 0.25) ** 2),
    ),
    "para 2": (
        para(2, 2, 1, -0.25, 0.25),
        lambda x: np.where(x < 0.25, 0, (x - 0.25) ** 2) + 0.25,
    ),
    "para 3": (
        para(3, 2, 0.75, 0.25, 0.5, 0.25),
        lambda x: np.where(x < 0.25, x / 2, (0.75 * x + 0.25) ** 2),
    ),
    "para 4": (
        para(4, 2, 0.5, 0.25, 0.5, 0.25, 0.125, 0.25),
        lambda x: np.where(x < 0.25, x / 2 + 0.25, (0.5 * x + 0.25) ** 2 + 0.125),
    ),
}


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("space", [b"RGB ", b"GRAY"])
def test_tone_curves(tmp_path, name, space):
    curve, formula = CURVES[name]
    values = np.linspace(0, 65535, 32 * 16).astype(np.uint16).reshape(16, 32, 1)
    if space == b"RGB ":
        profile, values = rgb_icc(SRGB_PRIMARIES, curve), values.repeat(3, -1)
    else:
        profile = icc(space, {b"kTRC": curve})
    chunk = (b"iCCP", b"name\0\0" + zlib.compress(profile))
    (tmp_path / "a.png").write_bytes(png(values, 16, 2 if space == b"RGB " else 0, chunk))
    expected = np.broadcast_to(encode(formula(values * STEP)), (16, 32, 3))
    # The jump of "para 4" is one sample wide.
    far = np.abs(values * STEP - 0.25) > 1e-3
    image = np.where(far, load_image(tmp_path / "a.png"), 0)
    assert_close(image, np.where(far, expected, 0), atol=3e-4)


@pytest.mark.parametrize("count", [90, 3000])
def test_overlapping_tags_of_a_profile_are_not_copied(tmp_path, count):
    """Many tags refer to the same megabyte; littlecms reads at most a hundred."""
    profile = rgb_icc(SRGB_PRIMARIES, LINEAR)
    head, size = profile[:128], 2**20
    tags = [struct.pack(">4sII", b"x%03x" % i, 0, size) for i in range(count)]
    profile = head + struct.pack(">I", count) + b"".join(tags)
    profile = struct.pack(">I", size) + profile[4:].ljust(size - 4, b"\0")
    values = np.full((16, 16, 3), 128, np.uint8)
    save_pillow(tmp_path / "a.png", values, icc_profile=profile)
    assert (tmp_path / "a.png").stat().st_size < 60_000
    tracemalloc.start()
    image = load_image(tmp_path / "a.png")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * size
    assert_same(image, values.astype(np.float32) / 255)


def test_wide_gamut_agrees_with_littlecms(tmp_path, rng):
    profile = rgb_icc(P3_PRIMARIES, CURVES["gamma 1.8"][0])
    values = rng.integers(0, 256, (64, 64, 3), np.uint8)
    save_pillow(tmp_path / "a.png", values, icc_profile=profile)
    reference = ImageCms.profileToProfile(
        PillowImage.fromarray(values),
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )
    error = np.abs(np.asarray(load_image(tmp_path / "a.png")) * 255 - np.asarray(reference))
    assert error.max() < 1.5


def test_grey_stays_neutral_and_white_stays_white(tmp_path):
    values = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16, 1).repeat(3, -1)
    profile = rgb_icc(P3_PRIMARIES, CURVES["gamma 1.8"][0])
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", iccprofile=profile)
    image = np.asarray(load_image(tmp_path / "a.tif"))
    assert_close(image, image[..., :1].repeat(3, -1), atol=1e-6)
    assert_close(image[-1, -1], np.ones(3), atol=1e-6)


def test_an_srgb_profile_changes_nothing(tmp_path, rng):
    values = rng.integers(0, 65536, (18, 19, 3), np.uint16)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", iccprofile=profile)
    assert_same(load_image(tmp_path / "a.tif"), values.astype(np.float32) / np.float32(65535))


def lab_to_srgb(lightness, a, b):
    """CIE 15: Lab to XYZ under D50; then to linear sRGB by the published primaries."""
    fy = (lightness + 16) / 116
    f = np.array([fy + a / 500, fy, fy - b / 200])
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.9642, 1, 0.8249]
    return encode(np.clip(np.linalg.solve(np.transpose(SRGB_PRIMARIES), xyz), 0, 1))


def table_corner(index):
    """White at (0, …, 0), black where all or the last is full, and moderate colours between."""
    c, m, y, *k = index
    lightness = 0 if any(k) or c + m + y == 3 else 100 - 25 * (c + m + y)
    chroma = 0 if lightness in (0, 100) else 1
    return lightness, chroma * 15 * (m - c), chroma * 15 * (y - m)


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_cmyk_with_a_profile(tmp_path, suffix):
    profile = lut_icc(b"CMYK", 4, table_corner)
    for inks in (
        (0, 0, 0, 0),
        (0, 0, 0, 1),
        (1, 0, 0, 0),
        (0, 1, 0, 0),
        (0, 0, 1, 0),
        (1, 1, 0, 0),
    ):
        values = np.full((16, 16, 4), np.array(inks) * 255, np.uint8)
        image = PillowImage.frombytes("CMYK", (16, 16), values.tobytes())
        image.save(tmp_path / f"a.{suffix}", icc_profile=profile)
        expected = lab_to_srgb(*table_corner(inks))
        image = load_image(tmp_path / f"a.{suffix}")
        assert_close(image[8, 8], expected, atol=4 / 255)


def test_a_profile_with_a_lookup_table(tmp_path):
    profile = lut_icc(b"RGB ", 3, table_corner)
    for index in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 1, 1), (1, 1, 1)):
        values = np.full((16, 16, 3), np.array(index) * 255, np.uint8)
        save_pillow(tmp_path / "a.png", values, icc_profile=profile)
        expected = lab_to_srgb(*table_corner(index))
        assert_close(load_image(tmp_path / "a.png")[8, 8], expected, atol=4 / 255)


def test_black_point_compensation(tmp_path):
    profile = lut_icc(b"CMYK", 4, lambda index: (15 if any(index) else 100, 0, 0))
    image = PillowImage.new("CMYK", (16, 16), (255, 255, 255, 255))
    image.paste((0, 0, 0, 0), (0, 0, 16, 8))
    image.save(tmp_path / "a.tif", icc_profile=profile)
    loaded = load_image(tmp_path / "a.tif")
    assert_close(loaded[[4, 12], 8], [[1, 1, 1], [0, 0, 0]], atol=1 / 255)


def test_an_rgb_profile_is_ignored_for_cmyk(tmp_path):
    image = PillowImage.new("CMYK", (16, 16), (100, 50, 150, 20))
    image.save(tmp_path / "with.tif", icc_profile=rgb_icc(P3_PRIMARIES, LINEAR))
    image.save(tmp_path / "without.tif")
    assert_same(load_image(tmp_path / "with.tif"), load_image(tmp_path / "without.tif"))


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_cmyk_without_a_profile(tmp_path, suffix):
    image = PillowImage.new("CMYK", (16, 16), (0, 255, 255, 0))
    image.paste((0, 0, 0, 255), (0, 0, 16, 8))
    image.save(tmp_path / f"a.{suffix}")  # In JPEG Pillow stores inks inverted, as Adobe does.
    loaded = load_image(tmp_path / f"a.{suffix}")
    assert_close(loaded[4, 8], [0, 0, 0], atol=0.02)
    assert_close(loaded[12, 8], [1, 0, 0], atol=0.02)


def test_lab(tmp_path):
    values = np.full((16, 16, 3), (153, 30, 256 - 20), np.uint8)
    PillowImage.frombytes("LAB", (16, 16), values.tobytes()).save(tmp_path / "a.tif")
    expected = np.broadcast_to(lab_to_srgb(60, 30, -20), (16, 16, 3))
    assert_close(load_image(tmp_path / "a.tif"), expected, atol=0.02)


MISFITS = {
    "garbage": b"no profile at all",
    "header only": rgb_icc(SRGB_PRIMARIES, LINEAR)[:128],
    "cut off": rgb_icc(SRGB_PRIMARIES, LINEAR)[:250],
    "of inks": lut_icc(b"CMYK", 4, table_corner),
    "of grey": icc(b"GRAY", {b"kTRC": LINEAR}),
    "gamma -1": rgb_icc(SRGB_PRIMARIES, para(0, -1)),
    "no slope": rgb_icc(SRGB_PRIMARIES, para(1, 2, 0, 1)),
    "overflow": rgb_icc(SRGB_PRIMARIES, para(3, 30000, 30000, 0, 1, 0)),
}


@pytest.mark.parametrize("name", MISFITS)
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_an_unusable_profile_is_ignored(tmp_path, name, suffix):
    values = np.full((16, 16, 3), (250, 130, 10), np.uint8)
    save_pillow(tmp_path / f"a.{suffix}", values, icc_profile=MISFITS[name], quality=100)
    image = load_image(tmp_path / f"a.{suffix}")
    assert_close(image, values / 255, atol=2 / 255)


# --- Transparency -------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_opacity(tmp_path, rng, mode, suffix):
    values = rng.integers(1, 256, (18, 19, 4), np.uint8)
    values[..., 1:3] = values[..., :1]
    path = tmp_path / f"a.{suffix}"
    save_pillow(path, values, mode, **({"lossless": True} if suffix == "webp" else {}))
    assert_close(load_picture(path).alpha, values[..., 3] / 255, atol=1e-6)


@pytest.mark.parametrize("transparency", [2, bytes([255, 128, 0])])
def test_palette_with_transparency(tmp_path, rng, transparency):
    indices = rng.integers(0, 3, (18, 19), np.uint8)
    image = PillowImage.fromarray(indices)
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.save(tmp_path / "a.png", transparency=transparency)
    levels = np.array([255, 255, 0] if transparency == 2 else list(transparency)) / 255
    picture = load_picture(tmp_path / "a.png")
    assert_close(picture.alpha, levels[indices], atol=1e-6)
    opaque = np.asarray(picture.image)[indices == 0]
    assert_close(opaque, np.ones((len(opaque), 1)) * [10, 20, 30] / 255, atol=1e-6)


def test_an_opaque_picture_has_no_alpha(tmp_path, rng):
    values = rng.integers(0, 256, (16, 16, 4), np.uint8)
    values[..., 3] = 255
    save_pillow(tmp_path / "a.png", values)
    picture = load_picture(tmp_path / "a.png")
    assert picture.alpha is None
    assert_close(picture.image, values[..., :3] / 255, atol=1e-6)


@pytest.mark.parametrize("shape", [(16, 16), (17, 31), (40, 23)])
def test_hidden_colours_do_not_show(tmp_path, rng, shape):
    values = np.empty((*shape, 4), np.uint8)
    values[..., :3], values[..., 3] = (60, 120, 180), rng.integers(0, 256, shape)
    hidden = rng.random(shape) < 0.6
    values[hidden] = (255, 0, 255, 0)
    save_pillow(tmp_path / "a.png", values)
    expected = np.broadcast_to(np.array([60, 120, 180]) / 255, (*shape, 3))
    assert_close(load_image(tmp_path / "a.png"), expected, atol=1e-5)


def test_transparency_is_filled_smoothly_from_visible_pixels(tmp_path):
    values = np.zeros((32, 96, 4), np.uint8)
    values[:, :16], values[:, -16:] = (255, 0, 0, 255), (0, 0, 255, 255)
    save_pillow(tmp_path / "a.png", values)
    picture = load_picture(tmp_path / "a.png")
    image = np.asarray(picture.image)
    assert_close(image[:, :16], np.ones((32, 16, 1)) * [1.0, 0, 0], atol=1e-6)
    assert_close(image.sum(-1), np.ones((32, 96)), atol=1e-5)
    steps = np.diff(image[..., 0], axis=1)
    assert steps.max() < 1e-5
    assert steps.min() > -0.1


@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "tga"])
@pytest.mark.parametrize("load", [load_picture, load_image])
def test_a_wholly_transparent_picture_is_refused(tmp_path, suffix, load):
    values = np.full((20, 20, 4), (200, 100, 50, 0), np.uint8)
    save_pillow(tmp_path / f"a.{suffix}", values, **{"exact": True} if suffix == "webp" else {})
    with pytest.raises(InputError, match=rf"a\.{suffix}: is transparent everywhere.*save it"):
        load(tmp_path / f"a.{suffix}")


def test_a_single_visible_pixel_is_enough(tmp_path):
    values = np.zeros((20, 20, 4), np.uint8)
    values[3, 4] = 255, 0, 51, 1
    save_pillow(tmp_path / "a.png", values)
    assert_close(load_image(tmp_path / "a.png"), np.ones((20, 20, 3)) * (1, 0, 0.2), atol=1e-3)


# --- Bad input ----------------------------------------------------------------------------------


def png_claiming(width, height):
    buffer = io.BytesIO()
    save_pillow(buffer, np.zeros((16, 16), np.uint8), format="PNG")
    header = b"IHDR" + struct.pack(">II", width, height) + buffer.getvalue()[24:29]
    return (
        buffer.getvalue()[:12]
        + header
        + struct.pack(">I", zlib.crc32(header))
        + buffer.getvalue()[33:]
    )


def encoded(suffix, share=1.0):
    buffer = io.BytesIO()
    values = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    save_pillow(buffer, values, format=suffix)
    return buffer.getvalue()[: int(len(buffer.getvalue()) * share)]


def by_tifffile(values, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, **options)
    return buffer.getvalue()


def float_tiff(value):
    return by_tifffile(np.full((16, 16, 3), value, np.float32), photometric="rgb")


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n"
NARROW, INKS = np.zeros((9, 40, 3), np.float32), np.zeros((16, 16, 5), np.uint16)
PLANAR = tiff(lzw(bytes(1536)), (16, 16, 3), 16, (259, [5]), (284, [2]))

BAD_FILES = {
    "empty": ("a.jpg", lambda: b"", "is empty"),
    "text": ("a.jpg", lambda: b"this is not a photo\n" * 50, "not an image of a known format"),
    "PostScript": ("a.eps", lambda: EPS, "known format"),
    "JPEG without pixels": ("a.jpg", lambda: encoded("JPEG", 0.1), "is damaged"),
    "truncated PNG": ("a.png", lambda: encoded("PNG", 0.5), "is damaged"),
    "truncated WebP": ("a.webp", lambda: encoded("WEBP", 0.5), "is damaged|no image"),
    "truncated TIFF": ("a.tif", lambda: encoded("TIFF", 0.5), "is damaged|no image"),
    "truncated deep TIFF": ("a.tif", lambda: float_tiff(0.5)[:-500], "is damaged"),
    "first bytes only": ("a.png", lambda: encoded("PNG")[:20], "is damaged|no image"),
    "TIFF of nothing": ("a.tif", lambda: b"II*\0\x08\0\0\0\0\0\0\0\0\0", "0×0 px"),
    "400 megapixels": ("a.png", lambda: png_claiming(20000, 20000), "more than the 178 megapixels"),
    "just too large": ("a.png", lambda: png_claiming(13370, 13370), "179 megapixels; at most 178"),
    "too small": ("a.png", lambda: png_claiming(15, 300), "15×300 px"),
    "too small TIFF": ("a.tif", lambda: by_tifffile(NARROW, photometric="rgb"), "40×9 px"),
    "NaN": ("a.tif", lambda: float_tiff(np.nan), "NaN"),
    "infinite": ("a.tif", lambda: float_tiff(np.inf), "infinite"),
    "0 to 255": ("a.tif", lambda: float_tiff(255), "must lie in"),
    "signed": ("a.tif", lambda: by_tifffile(np.zeros((16, 16), np.int16)), "signed"),
    "compressed in planes": ("a.tif", lambda: PLANAR, "compression"),
    "16-bit inks": ("a.tif", lambda: by_tifffile(INKS, photometric="separated"), "uncommon"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused_in_one_line(tmp_path, name, caplog):
    filename, data, problem = BAD_FILES[name]
    (tmp_path / filename).write_bytes(data())
    with pytest.raises(InputError, match=problem) as caught:
        load_picture(tmp_path / filename)
    assert str(caught.value).startswith(f"{tmp_path / filename}: ")
    assert "\n" not in str(caught.value)
    assert not caplog.records


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"gone\.png: no such file"):
        load_image(tmp_path / "gone.png")
    with pytest.raises(InputError, match="is a folder"):
        load_image(str(tmp_path))


def test_an_unreadable_file_is_refused(tmp_path, monkeypatch):
    def refuse(*_):  # Not with chmod, because root can read everything.
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match=r"a\.png: cannot be opened \(Permission denied\)"):
        load_image(tmp_path / "a.png")


def test_a_large_image_causes_no_warning(tmp_path, monkeypatch):
    save_pillow(tmp_path / "a.png", np.zeros((20, 20, 3), np.uint8))
    monkeypatch.setattr(PillowImage, "MAX_IMAGE_PIXELS", 300)
    assert load_image(tmp_path / "a.png").shape == (20, 20, 3)


def test_the_limit_holds_for_deep_tiff(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((20, 20, 3), np.float32), photometric="rgb")
    monkeypatch.setattr(sample_values, "MAX_PIXELS", 399)
    with pytest.raises(InputError, match="megapixels"):
        load_image(tmp_path / "a.tif")


def test_memory_errors_are_not_reported_as_damage(tmp_path, monkeypatch):
    def exhaust(*_, **__):
        raise MemoryError

    save_pillow(tmp_path / "a.png", np.zeros((20, 20, 3), np.uint8))
    monkeypatch.setattr("jaxstyle.files.picture.decode", exhaust)
    with pytest.raises(MemoryError):
        load_image(tmp_path / "a.png")


# --- Saving -------------------------------------------------------------------------------------

METADATA = {"settings": '{"style_weight": 1.5}', "encoder": 'Grüße, 画像 \\ "', "version": "0.1"}
LOSSLESS = {".png": (255, np.uint8), ".tif": (65535, np.uint16), ".tiff": (65535, np.uint16)}


def read_raw(path):
    if path.suffix in (".tif", ".tiff"):
        return tifffile.imread(path)
    with PillowImage.open(path) as image:
        return np.asarray(image)


@pytest.mark.parametrize("suffix", LOSSLESS)
@pytest.mark.parametrize("with_alpha", [False, True])
def test_values_are_clipped_and_rounded_to_nearest(tmp_path, rng, suffix, with_alpha):
    scale, dtype = LOSSLESS[suffix]
    image = rng.uniform(-0.2, 1.2, (18, 33, 3)).astype(np.float32)
    alpha = rng.random((18, 33), np.float32) if with_alpha else None
    path = save_image(
        tmp_path / f"a{suffix}",
        jnp.asarray(image),
        alpha=None if alpha is None else jnp.asarray(alpha),
    )
    stored = read_raw(path)
    wanted = image if alpha is None else np.concatenate([image, alpha[..., None]], -1)
    assert stored.dtype == dtype
    exact = np.clip(wanted.astype(np.float64), 0, 1) * scale
    assert np.abs(stored - exact).max() < 0.51


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("with_alpha", [False, True])
def test_round_trip(tmp_path, suffix, with_alpha):
    y, x = np.mgrid[:40, :56] / 56
    image = np.stack([x, y, 1 - x], -1).astype(np.float32)
    alpha = np.where(x < 0.5, 1, 0.25).astype(np.float32) if with_alpha else None
    path = save_image(
        tmp_path / f"a{suffix}",
        jnp.asarray(image),
        alpha=None if alpha is None else jnp.asarray(alpha),
        metadata=METADATA,
        provenance={"content": "a.jpg"},
    )
    assert path == tmp_path / f"a{suffix}"
    assert os.listdir(tmp_path) == [path.name]
    assert load_metadata(path) == (METADATA, {"content": "a.jpg"})
    picture = load_picture(path)
    jpeg = suffix in (".jpg", ".jpeg")
    if with_alpha and jpeg:
        image = np.where(x[..., None] < 0.5, image, 0.25 * image + 0.75)
    smooth = np.abs(x - 0.5) > (0.1 if with_alpha and jpeg else -1)
    atol = {".png": 0.51 / 255, ".tif": 0.6 * STEP, ".tiff": 0.6 * STEP}.get(suffix, 0.04)
    assert_close(np.asarray(picture.image)[smooth], image[smooth], atol=atol)
    if with_alpha and not jpeg:
        assert_close(picture.alpha, alpha, atol=0.51 / 255)
    else:
        assert picture.alpha is None


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_srgb_profile_is_embedded(tmp_path, suffix):
    path = save_image(tmp_path / f"a{suffix}", jnp.full((16, 16, 3), 0.5))
    with PillowImage.open(path) as image:
        embedded = image.info["icc_profile"]
    profile = ImageCms.ImageCmsProfile(io.BytesIO(embedded))
    assert "sRGB" in ImageCms.getProfileDescription(profile)
    assert struct.unpack_from(">6H", embedded, 24) == (2000, 1, 1, 0, 0, 0)  # When it was made.
    black_to_white = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 256, 3)
    converted = ImageCms.profileToProfile(
        PillowImage.fromarray(black_to_white), profile, ImageCms.createProfile("sRGB")
    )
    assert_close(np.asarray(converted, int), black_to_white.astype(int), atol=1)


def test_jpeg_keeps_colour_resolution_and_quality(tmp_path):
    path = save_image(tmp_path / "a.jpg", jnp.full((32, 32, 3), 0.5))
    reference = io.BytesIO()
    save_pillow(reference, np.zeros((16, 16, 3), np.uint8), format="JPEG", quality=95)
    with PillowImage.open(path) as image, PillowImage.open(reference) as other:
        assert JpegImagePlugin.get_sampling(image) == 0
        assert getattr(image, "quantization", 0) == getattr(other, "quantization", 1)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_metadata_is_json_in_the_description(tmp_path, suffix):
    path = save_image(tmp_path / f"a{suffix}", jnp.zeros((16, 16, 3)), metadata=METADATA)
    with PillowImage.open(path) as image:
        exif = image.getexif().get(ExifTags.Base.ImageDescription, "")
        text = image.info["Description"] if suffix == ".png" else exif
    assert json.loads(text) == {"jaxstyle": METADATA, "provenance": {}}


@pytest.mark.parametrize(
    "description", ["A photo of a cat", "[1]", '{"jaxstyle": 3}', '{"a": {}}', "[" * 9999]
)
def test_descriptions_of_other_programs_are_not_metadata(tmp_path, description):
    exif = PillowImage.Exif()
    exif[ExifTags.Base.ImageDescription] = description
    save_pillow(tmp_path / "a.jpg", np.zeros((16, 16, 3), np.uint8), exif=exif)
    with pytest.raises(InputError, match=r"a\.jpg: has no settings; name a picture"):
        load_metadata(tmp_path / "a.jpg")


def test_metadata_of_a_bad_file(tmp_path):
    (tmp_path / "a.jpg").write_text("text")
    with pytest.raises(InputError, match=r"a\.jpg: "):
        load_metadata(tmp_path / "a.jpg")


def test_the_folder_may_be_the_current_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert save_image("A.PNG", jnp.zeros((16, 16, 3))) == Path("A.PNG")
    assert load_image("A.PNG").shape == (16, 16, 3)


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o027, 0o640)])
def test_permissions_follow_the_umask(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        path = save_image(tmp_path / "a.png", jnp.zeros((16, 16, 3)))
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["image", "alpha"])
def test_values_that_are_not_finite_are_refused(tmp_path, bad, where):
    image, alpha = jnp.zeros((16, 16, 3)), jnp.ones((16, 16))
    if where == "image":
        image = image.at[3, 4, 1].set(bad)
    else:
        alpha = alpha.at[3, 4].set(bad)
    with pytest.raises(InputError, match=rf"a\.png: {where} holds NaN or infinite"):
        save_image(tmp_path / "a.png", image, alpha=alpha)
    assert os.listdir(tmp_path) == []


def test_alpha_of_another_size_is_refused(tmp_path):
    with pytest.raises(InputError, match="20×16 and 16×20 px"):
        save_image(tmp_path / "a.png", jnp.zeros((16, 20, 3)), alpha=jnp.zeros((20, 16)))


@pytest.mark.parametrize(
    ("name", "width", "metadata"),
    [("a.webp", 16384, None), ("a.jpg", 65536, None), ("a.jpg", 16, {"log": "x" * 70_000})],
)
def test_pictures_that_a_format_cannot_store_are_refused(tmp_path, name, width, metadata):
    with pytest.raises(InputError, match=rf"{name}: .*use \.png or \.tif"):
        save_image(tmp_path / name, jnp.zeros((16, width, 3)), metadata=metadata)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("function", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    tmp_path, monkeypatch, suffix, function, error
):
    def fail(*_):
        raise error

    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"the old file")
    monkeypatch.setattr(os, function, fail)
    with pytest.raises(type(error)):
        save_image(path, jnp.zeros((16, 16, 3)), overwrite=True)
    assert os.listdir(tmp_path) == [path.name]
    assert path.read_bytes() == b"the old file"


def test_overwriting_needs_permission(tmp_path):
    path = save_image(tmp_path / "a.png", jnp.zeros((16, 16, 3)))
    old = path.read_bytes()
    with pytest.raises(InputError, match=r"a\.png: exists already"):
        save_image(path, jnp.ones((16, 16, 3)))
    assert path.read_bytes() == old
    save_image(path, jnp.ones((16, 16, 3)), overwrite=True)
    assert float(load_image(path).min()) == 1


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("a.gif", "unknown suffix; use .*png"),
        ("a", "unknown suffix"),
        ("folder.png", "is a folder"),
        ("gone/a.png", "does not exist"),
        ("file/a.png", "is not a folder"),
    ],
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_an_invalid_output_path_is_refused_beforehand(tmp_path, name, problem, overwrite):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=problem) as caught:
        check_output(tmp_path / name, overwrite=overwrite)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    with pytest.raises(InputError, match=problem):
        save_image(tmp_path / name, jnp.zeros((16, 16, 3)), overwrite=overwrite)


def test_a_folder_without_permission_is_refused_beforehand(tmp_path, monkeypatch):
    # Not with chmod, because root can write everywhere.
    monkeypatch.setattr(os, "access", lambda _, mode: not mode & os.W_OK)
    with pytest.raises(InputError, match="no permission to write"):
        check_output(tmp_path / "a.png", overwrite=False)
