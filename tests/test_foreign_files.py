"""Files as cameras, phones and other programs write them, and arguments that are not images."""

import base64
import importlib.util
import io
import json
import struct
import subprocess
import sys
import unicodedata
import warnings
import zlib

import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

import command
from jaxstyle import cli
from jaxstyle.errors import InputError, InputWarning
from jaxstyle.files import (
    PhotoInfo,
    load_image,
    load_metadata,
    load_picture,
    read_shape,
    save_image,
)
from jaxstyle.files.result import digests
from picture_files import encode, linearise, png
from test_formats import HEIC, TO_SRGB

folder = command.folder
HEIF = importlib.util.find_spec("pillow_heif") is not None
INFO = PhotoInfo("2024:05:31 12:00:00", "Zoë Müller, 画家", "© 2024 Zoë", (300, 240))
TABLE = json.dumps({"jaxstyle": {"seed": 7}, "provenance": {}})
SUFFIXES = [".png", ".jpg", ".webp", ".tif"]


@pytest.fixture
def unchecked_types():
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def smooth(h=40, w=56):
    y, x = np.mgrid[:h, :w]
    return np.stack([x * 255 // w, y * 255 // h, (x + y) * 255 // (h + w)], -1).astype(np.uint8)


def saved(kind, values=None, **options):
    file = io.BytesIO()
    PillowImage.fromarray(smooth() if values is None else values).save(file, kind, **options)
    return file.getvalue()


# --- Colour code points of AVIF and HEIC ----------------------------------------------------------


def with_code_points(data, primaries, transfer):
    start = data.index(b"colrnclx") + 8
    return data[:start] + struct.pack(">HH", primaries, transfer) + data[start + 4 :]


KINDS = ["avif", pytest.param("heic", marks=pytest.mark.skipif(not HEIF, reason="no pillow-heif"))]


@pytest.fixture(params=KINDS)
def nclx_file(request, tmp_path):
    """Writes a file of one colour, and returns its path; the colour is (200, 100, 50)."""
    flat = np.full((32, 48, 3), (200, 100, 50), np.uint8)
    data = base64.b64decode(HEIC) if request.param == "heic" else saved("AVIF", flat, quality=100)

    def write(primaries, transfer):
        path = tmp_path / f"a.{request.param}"
        path.write_bytes(with_code_points(data, primaries, transfer))
        return path

    return write


@pytest.mark.parametrize("primaries", [9, 12])
def test_avif_and_heic_with_a_wide_gamut_are_converted(nclx_file, primaries):
    light = linearise(np.array([200, 100, 50]) / 255)
    expected = encode(np.array(TO_SRGB[primaries]) @ light)
    found = load_image(nclx_file(primaries, 13))[8, 8]
    np.testing.assert_allclose(found, expected, atol=0.02)
    assert np.abs(expected - np.array([200, 100, 50]) / 255).max() > 0.05


@pytest.mark.parametrize(("primaries", "transfer"), [(1, 13), (2, 2), (1, 1)])
def test_other_code_points_of_avif_and_heic_are_srgb(nclx_file, primaries, transfer):
    found = load_image(nclx_file(primaries, transfer))[8, 8]
    np.testing.assert_allclose(found, np.array([200, 100, 50]) / 255, atol=0.02)


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_avif_and_heic_with_a_high_dynamic_range_are_refused(nclx_file, transfer, name):
    with pytest.raises(InputError, match=rf"high dynamic range \({name}\)"):
        load_image(nclx_file(9, transfer))


# --- PNG with large text --------------------------------------------------------------------------

LONG = b"a long story " * 200_000
LARGE_TEXT = {
    "zTXt": (b"zTXt", b"Story\0\0" + zlib.compress(LONG)),
    "compressed iTXt": (b"iTXt", b"Story\0\1\0en\0\0" + zlib.compress(LONG)),
    "plain iTXt": (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + LONG * 26),
    "tEXt": (b"tEXt", b"Story\0" + LONG * 26),
}


@pytest.mark.parametrize("kind", LARGE_TEXT)
def test_png_with_large_text_is_read(tmp_path, rng, kind):
    name, data = LARGE_TEXT[kind]
    values = rng.integers(0, 256, (20, 24, 3))
    whole = png(values, 8, 2, (b"tEXt", b"Description\0" + TABLE.encode()))
    at = whole.index(b"IDAT") - 4
    chunk = struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    (tmp_path / "a.png").write_bytes(whole[:at] + chunk + whole[at:])
    np.testing.assert_allclose(load_image(tmp_path / "a.png"), values / 255, atol=1e-6)
    assert load_metadata(tmp_path / "a.png").settings == {"seed": 7}


def test_a_profile_over_a_megabyte_is_applied(tmp_path):
    from test_files import LINEAR, SRGB_PRIMARIES, rgb_icc

    profile = rgb_icc(SRGB_PRIMARIES, LINEAR)
    profile = struct.pack(">I", 3 << 20) + profile[4:].ljust((3 << 20) - 4, b"\0")
    data = png(np.full((16, 16, 3), 128), 8, 2, (b"iCCP", b"x\0\0" + zlib.compress(profile)))
    (tmp_path / "a.png").write_bytes(data)
    np.testing.assert_allclose(load_image(tmp_path / "a.png"), encode(128 / 255), atol=3e-3)


# --- JPEG without its end -------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
@pytest.mark.parametrize("missing", [1, 2, 20])
def test_jpeg_that_lacks_its_last_bytes_is_read_with_a_warning(tmp_path, options, missing):
    path, whole = tmp_path / "a.jpg", tmp_path / "whole.jpg"
    whole.write_bytes(saved("JPEG", quality=90, **options))
    path.write_bytes(whole.read_bytes()[:-missing])
    with pytest.warns(InputWarning, match=r"a\.jpg: ends early") as caught:
        image = load_image(path)
    assert len(caught) == 1
    assert np.abs(np.asarray(image) - load_image(whole))[:16].max() < 0.02
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_image(whole)


def test_the_command_prints_the_warning_in_one_line(tmp_path):
    (tmp_path / "a.jpg").write_bytes(saved("JPEG")[:-9])
    words = "stylize a.jpg a.jpg -o out.png --size 24 --iterations 0 --scales 1 --quiet"
    layers = ["--content-layers", "conv1_1", "--style-layers", "conv1_1"]
    words = [sys.executable, "-m", "jaxstyle", *words.split(), *layers]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("jaxstyle: a.jpg: ends early") for line in lines)


# --- Names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_name_in_another_normal_form_is_found(tmp_path, form):
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    stored, asked = (unicodedata.normalize(f, "Müller/é.png") for f in (form, other))
    (tmp_path / stored).parent.mkdir()
    save_image(tmp_path / stored, jnp.full((16, 20, 3), 0.5))
    assert stored != asked
    assert read_shape(tmp_path / asked) == (16, 20)
    assert digests(picture=tmp_path / asked) == digests(picture=tmp_path / stored)


# --- What a photograph says about itself ----------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_information_of_the_photograph_is_copied(tmp_path, suffix):
    image = jnp.full((16, 20, 3), 0.5)
    path = save_image(tmp_path / f"a{suffix}", image, metadata={"seed": 7}, photo=INFO)
    picture = load_picture(path)
    assert picture.info[:3] == INFO[:3]
    np.testing.assert_allclose(picture.info.dpi, INFO.dpi, rtol=1e-3)
    assert load_metadata(path).settings == {"seed": 7}
    assert load_picture(save_image(tmp_path / f"b{suffix}", image)).info == PhotoInfo()
    again = save_image(tmp_path / f"c{suffix}", image, metadata={"seed": 7}, photo=INFO)
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_other_programs_find_the_information(tmp_path, suffix):
    path = save_image(tmp_path / f"a{suffix}", jnp.full((16, 20, 3), 0.5), photo=INFO)
    with PillowImage.open(path) as image:
        exif = image.getexif()
        texts = {tag: exif[tag].encode("latin-1").decode() for tag in (306, 315, 33432)}
        resolution = image.info.get("dpi", (exif.get(282), exif.get(283)))
    assert texts == {306: INFO.date, 315: INFO.artist, 33432: INFO.copyright}
    np.testing.assert_allclose(np.array(resolution, float), INFO.dpi, rtol=1e-3)


@pytest.mark.parametrize("strip", [False, True])
def test_the_command_keeps_the_information_by_default(folder, strip):
    save_image("photo.png", load_image("photo.png"), photo=INFO, overwrite=True)
    assert command.stylize(*["--strip"] * strip) == 0
    info = load_picture("out.png").info
    assert info[:3] == (PhotoInfo() if strip else INFO)[:3]
    assert cli.main(["rerun", "out.png", "--no-compile-cache"]) == 0
    assert (folder / "out-rerun.png").read_bytes() == (folder / "out.png").read_bytes()


def test_the_date_is_that_of_the_photograph_not_of_the_file(tmp_path):
    exif = PillowImage.Exif()
    exif[306], exif[315] = "2025:01:01 00:00:00", "Someone"
    exif.get_ifd(0x8769)[36867] = INFO.date
    (tmp_path / "a.jpg").write_bytes(saved("JPEG", exif=exif))
    assert load_picture(tmp_path / "a.jpg").info[:2] == (INFO.date, "Someone")


def test_information_that_makes_no_sense_is_left_out(tmp_path):
    exif = PillowImage.Exif()
    exif[306], exif[315], exif[33432] = "yesterday", "\0 \n", "c" * 60_000
    (tmp_path / "a.jpg").write_bytes(saved("JPEG", exif=exif, dpi=(0, 0)))
    info = load_picture(tmp_path / "a.jpg").info
    assert info[:2] == ("", "")
    assert len(info.copyright) <= 1000
    save_image(tmp_path / "b.jpg", jnp.full((16, 16, 3), 0.5), photo=info)


# --- Settings in pictures of every format ---------------------------------------------------------


def test_settings_are_read_from_floating_point_tiff(tmp_path):
    values = np.full((16, 16, 3), 0.5, np.float32)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", description=TABLE)
    assert load_metadata(tmp_path / "a.tif").settings == {"seed": 7}


@pytest.mark.skipif(not HEIF, reason="needs pillow-heif")
def test_settings_of_a_heic_file_are_missing_not_an_error(tmp_path):
    (tmp_path / "a.heic").write_bytes(base64.b64decode(HEIC))
    with pytest.raises(InputError, match="has no settings"):
        load_metadata(tmp_path / "a.heic")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"jaxstyle": ' * 100_000, '{"jaxstyle": [1]}'])
def test_deep_or_misshapen_json_is_refused_in_one_line(tmp_path, text):
    tifffile.imwrite(tmp_path / "a.tif", smooth(), photometric="rgb", description=text)
    with pytest.raises(InputError, match=r"a\.tif: has no settings"):
        load_metadata(tmp_path / "a.tif")


# --- Arguments that are not images ----------------------------------------------------------------

NOT_IMAGES = {
    "uint8": (smooth(), "uint8"),
    "0 to 255": (smooth().astype(np.float32), r"values from 0 to 2\d\d"),
    "-1 to 1": (smooth().astype(np.float32) / 127.5 - 1, "values from -1 to "),
    "NaN": (np.full((16, 16, 3), np.nan, np.float32), "NaN"),
    "PIL": (PillowImage.new("RGB", (16, 16)), r"is a PIL\.Image\.Image"),
    "path": ("photo.jpg", r"is a builtins\.str"),
    "batch": (np.zeros((1, 16, 16, 3), np.float32), r"float32\[1, 16, 16, 3\]"),
    "grey": (np.zeros((16, 16), np.float32), r"float32\[16, 16\]"),
}


@pytest.mark.parametrize("name", NOT_IMAGES)
def test_arguments_that_are_not_images_are_refused_in_one_line(tmp_path, unchecked_types, name):
    value, problem = NOT_IMAGES[name]
    with pytest.raises(InputError, match=problem) as caught:
        save_image(tmp_path / "a.png", value)
    assert str(caught.value).startswith(f"{tmp_path / 'a.png'}: ")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_result_that_overshoots_is_clipped(tmp_path, rng):
    image = jnp.asarray(rng.normal(0.5, 0.4, (40, 40, 3)), jnp.float32)
    save_image(tmp_path / "a.tif", image)
    np.testing.assert_allclose(load_image(tmp_path / "a.tif"), image.clip(0, 1), atol=1e-5)


@pytest.mark.parametrize("size", [0, -5])
def test_a_size_below_one_pixel_is_refused(tmp_path, size):
    with pytest.raises(InputError, match=rf"^size {size}: must be at least 1"):
        load_image(tmp_path / "a.png", size=size)
