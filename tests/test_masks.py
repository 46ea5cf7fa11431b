"""Guide masks, written by Pillow, against regions that are known before they are painted."""

import re

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage
from PIL import ImageCms, ImageDraw

from jaxstyle.errors import InputError
from jaxstyle.files import load_masks, load_picture
from picture_files import STORED_FROM_UPRIGHT

BLACK, GREY, WHITE = (0, 0, 0), (128, 128, 128), (255, 255, 255)
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def three_regions(h=40, w=64):
    """Regions that no turn and no mirroring maps to themselves."""
    labels = np.zeros((h, w), int)
    labels[h // 3 :, w // 2 :] = 1
    labels[-h // 4 :, : w // 4] = 2
    return labels


def paint(labels, *colours):
    return PillowImage.fromarray(np.array(colours, np.uint8)[labels])


def disc(size, inside, outside, grain=8):
    """A disc with soft edges, each pixel the mean of ``grain``² samples, and its sharp labels."""
    large = PillowImage.new("RGB", (size * grain, size * grain), outside)
    box = [size * grain // 4, size * grain // 4, size * grain * 3 // 4, size * grain * 3 // 4]
    ImageDraw.Draw(large).ellipse(box, fill=inside)
    image = large.resize((size, size), PillowImage.Resampling.BOX)
    fraction = np.abs(np.asarray(image, float) - outside).sum(-1)
    return image, (fraction > np.abs(np.subtract(inside, outside)).sum() / 2).astype(int)


def tagged(orientation):
    exif = PillowImage.Exif()
    exif[274] = orientation
    return exif


class Folder:
    """Writes pictures and masks, and loads the latter."""

    def __init__(self, path):
        self.path = path

    def save(self, name, image, **options):
        image.save(self.path / name, **options)
        return self.path / name

    def photo(self, h=40, w=64, orientation=None, name="photo.jpg"):
        stored = (w, h) if orientation in (None, 1, 2, 3, 4) else (h, w)
        options = {} if orientation is None else {"exif": tagged(orientation)}
        return self.save(name, PillowImage.new("RGB", stored), **options)

    def load(self, content, *styles):
        """Loads masks over pictures of their own shapes."""
        photos = [self.photo_under(mask, f"{i}.jpg") for i, mask in enumerate([content, *styles])]
        return load_masks(content, styles, content=photos[0], styles=photos[1:])

    def photo_under(self, mask, name="photo.jpg"):
        with PillowImage.open(mask) as image:
            return self.photo(image.height, image.width, name=name)

    def labels(self, mask, photo=None):
        """The regions that a file's pixels get; the mask guides itself."""
        photo = photo or self.photo_under(mask)
        masks = load_masks(mask, [mask], content=photo, styles=[photo])
        content = np.asarray(masks.content)
        assert content.dtype == np.float32
        np.testing.assert_array_equal(content.sum(0), 1)
        np.testing.assert_array_equal(np.unique(content), np.unique([float(len(content) == 1), 1]))
        self.remarks = masks.remarks
        return content.argmax(0), masks.colours


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def refused(*words):
    return pytest.raises(InputError, match=".*".join(re.escape(str(word)) for word in words))


# --- Regions --------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "gif", "webp"])
def test_flat_colours_are_regions_in_ascending_order(folder, suffix):
    options = {"lossless": True} if suffix == "webp" else {}
    mask = folder.save(f"mask.{suffix}", paint(three_regions(), BLACK, BLUE, RED), **options)
    labels, colours = folder.labels(mask)
    np.testing.assert_array_equal(labels, three_regions())
    assert colours == ("#000000", "#0000ff", "#ff0000")


def test_a_palette_is_read_as_its_colours(folder):
    image = PillowImage.fromarray(three_regions().astype(np.uint8), "P")
    image.putpalette([*RED, *GREEN, *BLUE])
    labels, colours = folder.labels(folder.save("mask.png", image))
    assert colours == ("#0000ff", "#00ff00", "#ff0000")
    np.testing.assert_array_equal(labels, 2 - three_regions())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_levels(folder, dtype):
    levels = np.array([0, 128, 255]) * (np.iinfo(dtype).max // 255)
    image = PillowImage.fromarray(levels[three_regions()].astype(dtype))
    labels, colours = folder.labels(folder.save("mask.png", image))
    np.testing.assert_array_equal(labels, three_regions())
    assert colours == ("#000000", "#808080", "#ffffff")


@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [
        *(("png", np.uint8), ("png", np.uint16), ("webp", np.uint8), ("jp2", np.uint8)),
        *(("jp2", np.uint16), ("tif", np.uint8), ("tif", np.uint16), ("tif", np.uint32)),
    ],
)
def test_small_region_numbers_in_a_lossless_file_are_distinguished(folder, suffix, dtype):
    numbers = three_regions().astype(dtype)
    mask = folder.path / f"mask.{suffix}"
    if suffix == "tif":
        tifffile.imwrite(mask, numbers)
    else:
        PillowImage.fromarray(numbers).save(mask, lossless=True)
    labels, colours = folder.labels(mask, folder.photo())
    np.testing.assert_array_equal(labels, three_regions())
    assert colours == ("#000000", "#010101", "#020202")


def test_numbers_of_eight_and_of_sixteen_bits_match(folder):
    numbers = three_regions()
    content = folder.save("a.png", PillowImage.fromarray(numbers.astype(np.uint8)))
    style = folder.save("b.png", PillowImage.fromarray(numbers.astype(np.uint16)))
    masks = folder.load(content, style)
    np.testing.assert_array_equal(masks.content, masks.styles[0])


def test_numbers_that_take_sixteen_bits(folder):
    numbers = np.array([0, 24000, 24001], np.uint16)[three_regions()]
    labels, colours = folder.labels(folder.save("mask.png", PillowImage.fromarray(numbers)))
    np.testing.assert_array_equal(labels, three_regions())
    assert colours == ("#000000", "#5dc05dc05dc0", "#5dc15dc15dc1")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_too_many_numbers_are_refused_not_merged(folder, dtype):
    numbers = np.arange(20).repeat(4)[None].repeat(30, 0).astype(dtype)
    mask = folder.save("mask.png", PillowImage.fromarray(numbers))
    with refused(mask, "not a mask: 20 colours; paint at most 16"):
        folder.labels(mask)


@pytest.mark.parametrize(
    ("suffix", "options", "exact"),
    [
        ("webp", {"lossless": True}, True),
        ("webp", {"lossless": True, "exif": tagged(1)}, True),
        ("webp", {"quality": 100}, False),
        ("jp2", {}, True),
        ("jp2", {"irreversible": True}, False),
        ("j2k", {}, True),
        ("tif", {"compression": "jpeg", "quality": 100}, False),
        ("tif", {"compression": "tiff_lzw"}, True),
    ],
)
def test_lossless_files_are_recognised(folder, suffix, options, exact):
    """Three shades of grey that are one region where a format may have blurred them."""
    grey = [(v,) * 3 for v in (100, 104, 108)]
    mask = folder.save(f"mask.{suffix}", paint(three_regions(48, 64), *grey), **options)
    labels, colours = folder.labels(mask, folder.photo(48, 64))
    assert len(colours) == (3 if exact else 1)
    if exact:
        np.testing.assert_array_equal(labels, three_regions(48, 64))


@pytest.mark.parametrize("size", [48, 96])
def test_compression_noise_makes_no_region(folder, size):
    expected = three_regions(size + 5, size + 13)
    painted = paint(expected, BLUE, GREEN, RED)
    mask = folder.save("mask.jpg", painted, quality=60)
    noisy = np.asarray(PillowImage.open(mask)).reshape(-1, 3)
    assert len(np.unique(noisy, axis=0)) > 300
    labels, colours = folder.labels(mask)
    assert len(colours) == 3
    wrong = labels != expected
    assert wrong.mean() < 0.02
    # What is wrong lies on a border.
    flat = np.lib.stride_tricks.sliding_window_view(np.pad(expected, 3, "edge"), (7, 7))
    assert not wrong[flat.min((2, 3)) == flat.max((2, 3))].any()
    assert folder.remarks == ()


@pytest.mark.parametrize("colours", [(BLACK, WHITE), (RED, BLUE), (GREY, WHITE)])
@pytest.mark.parametrize("grain", [2, 8])
def test_soft_edges_are_split_in_the_middle(folder, colours, grain):
    image, expected = disc(48, *colours, grain=grain)
    labels, found = folder.labels(folder.save("mask.png", image))
    assert len(found) == 2
    assert folder.remarks == ()
    fraction = np.abs(np.asarray(image, float) - colours[1]).sum(-1)
    half = fraction / np.abs(np.subtract(*colours)).sum() == 0.5
    inside = labels == labels[24, 24]
    np.testing.assert_array_equal(inside[~half], expected[~half] == 1)


@pytest.mark.parametrize("scale", [1, 4])
def test_between_black_and_white_there_is_no_line_of_grey(folder, scale):
    image, expected = disc(64, WHITE, BLACK)
    both = PillowImage.new("RGB", (64, 80), GREY)
    both.paste(image)
    both = both.resize((64 * scale, 80 * scale), PillowImage.Resampling.BICUBIC)
    labels, _ = folder.labels(folder.save("mask.png", both))
    assert (labels[64 * scale :] == 1).all()
    upper, disc_only = (
        labels[: 60 * scale],
        expected.repeat(scale, 0).repeat(scale, 1)[: 60 * scale],
    )
    assert not (upper == 1).any()
    assert (upper != 2 * disc_only).mean() < (0.02 if scale > 1 else 1e-9)


def test_scaling_makes_no_region(folder):
    small = three_regions(20, 24)
    image = paint(small, BLACK, GREY, WHITE).resize((96, 80), PillowImage.Resampling.BICUBIC)
    labels, colours = folder.labels(folder.save("mask.png", image))
    assert len(colours) == 3
    expected = small.repeat(4, 0).repeat(4, 1)
    assert folder.remarks == ()
    assert (labels != expected).mean() < 0.02


def test_the_noise_of_a_straight_edge_makes_no_region(folder):
    """It has few colours, and each of them fills whole columns."""
    labels = np.repeat([[0, 1]], 64, 0).repeat([28, 36], 1)
    mask = folder.save("mask.jpg", paint(labels, BLACK, GREY), quality=40)
    assert 2 < len(np.unique(np.asarray(PillowImage.open(mask)))) <= 16
    found, _ = folder.labels(mask)
    np.testing.assert_array_equal(found, labels)
    assert folder.remarks == ()


def test_regions_are_mirrored_with_the_mask(folder):
    image = disc(64, WHITE, BLACK, grain=2)[0]
    image.paste(GREY, (20, 25, 40, 36))
    image = image.resize((96, 96), PillowImage.Resampling.BICUBIC)
    labels, _ = folder.labels(folder.save("mask.png", image))
    for turn in PillowImage.Transpose:
        turned, _ = folder.labels(folder.save("turned.png", image.transpose(turn)))
        expected = PillowImage.fromarray(labels.astype(np.uint8)).transpose(turn)
        np.testing.assert_array_equal(turned, np.asarray(expected))


@pytest.mark.parametrize("side", [1, 2, 4])
def test_in_a_lossless_file_no_region_is_too_small(folder, side):
    labels = np.zeros((64, 64), int)
    labels[:, 32:] = 2
    labels[10 : 10 + side, 10 : 10 + side] = 1
    labels[20:60, 9] = 1
    found, colours = folder.labels(folder.save("mask.png", paint(labels, BLACK, GREEN, WHITE)))
    assert colours == ("#000000", "#00ff00", "#ffffff")
    np.testing.assert_array_equal(found, labels)
    assert folder.remarks == ()


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize(("side", "count"), [(4, 2), (8, 3)])
def test_in_a_lossy_file_a_region_fills_one_per_cent(folder, suffix, side, count):
    """4² and 8² of 64² pixels are 0.4 % and 1.6 %; the smaller joins the nearest colour."""
    labels = np.zeros((64, 64), int)
    labels[:, 32:] = 1
    labels[8 : 8 + side, 8 : 8 + side] = 2
    labels = labels.repeat(2, 0).repeat(2, 1)  # To whole blocks of JPEG.
    image = paint(labels, BLACK, WHITE, (128, 0, 0))
    if suffix == "png":  # Soft edges: more colours than regions.
        for i in range(15):
            image.putpixel((64, i), (i * 10 + 40,) * 3)
    options = {"quality": 95, "subsampling": 0} if suffix == "jpg" else {}
    mask = folder.save(f"mask.{suffix}", image, **options)
    found, colours = folder.labels(mask)
    assert len(colours) == count
    order = (0, 1, 0) if count == 2 else (0, 2, 1)
    wrong = found != np.array(order)[labels]
    assert not wrong[:, np.arange(128) != 64].any()
    # The mask guides itself: one line for it as the content's, one as the style's.
    assert len(folder.remarks) == (2 if count == 2 else 0)
    for line in folder.remarks:
        assert re.fullmatch(rf"{re.escape(str(mask))}: #[78]\w0\d0\d: under 1% .*PNG", line)


def test_a_thin_line_among_soft_edges_is_reported(folder):
    image = disc(64, WHITE, BLACK)[0]
    image.paste(RED, (4, 4, 5, 60))
    _, colours = folder.labels(folder.save("mask.png", image))
    assert len(colours) == 2
    assert "#ff0000: under 1%" in folder.remarks[0]


def test_sixteen_regions_and_no_more(folder):
    labels = np.arange(17).repeat(4)[None].repeat(20, 0)
    even = [(15 * i,) * 3 for i in range(17)]
    found, colours = folder.labels(folder.save("a.png", paint(labels[:, :64], *even)))
    assert len(colours) == 16
    np.testing.assert_array_equal(found, labels[:, :64])
    vivid = [(120 * (i // 9), 120 * (i // 3 % 3), 120 * (i % 3)) for i in range(17)]
    mask = folder.save("b.png", paint(labels, *vivid))
    with refused(mask, "not a mask: 17 colours; paint"):
        folder.labels(mask)


def test_one_region_is_allowed(folder):
    labels, colours = folder.labels(folder.save("mask.png", PillowImage.new("L", (24, 20), 77)))
    assert colours == ("#4d4d4d",)
    assert labels.shape == (20, 24)
    assert not labels.any()


@pytest.mark.parametrize("kind", ["photo", "noise", "gradient"])
def test_a_picture_is_not_a_mask(folder, rng, kind):
    y, x = np.mgrid[:64, :250]
    pixels = {
        "photo": 127 + 60 * np.sin(x / 9 + y / 7) + rng.normal(0, 4, x.shape),
        "noise": rng.uniform(0, 256, x.shape),
        "gradient": x,
    }[kind].astype(np.uint8)
    mask = folder.save("mask.png", PillowImage.fromarray(pixels))
    with refused(mask, f"not a mask: {len(np.unique(pixels))} colours"):
        folder.labels(mask)


def test_no_profile_changes_the_colours(folder):
    """Exchanges red and blue for who applies it, as far as the mask is concerned."""
    xyz = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = xyz.replace(b"rXYZ", b"tmp_").replace(b"bXYZ", b"rXYZ").replace(b"tmp_", b"bXYZ")
    image = paint(three_regions(), GREEN, BLUE, RED)
    mask = folder.save("mask.png", image, icc_profile=swapped)
    assert float(np.asarray(load_picture(mask).image)[-1, 0, 2]) > 0.9  # Red has become blue.
    _, colours = folder.labels(mask)
    masks = folder.load(mask, folder.save("plain.png", image))
    np.testing.assert_array_equal(masks.content, masks.styles[0])
    assert colours == ("#0000ff", "#00ff00", "#ff0000")


def test_transparency(folder):
    image = paint(three_regions(), BLACK, BLUE, RED).convert("RGBA")
    assert len(folder.labels(folder.save("opaque.png", image))[1]) == 3
    image.putalpha(PillowImage.fromarray(np.uint8(255 * (three_regions() > 0))))
    mask = folder.save("mask.png", image)
    with refused(mask, "transparent in places; paint"):
        folder.labels(mask)


# --- Matching -------------------------------------------------------------------------------------


def test_colours_are_matched_not_their_order(folder):
    content = folder.save("content.png", paint(three_regions(), RED, GREEN, BLUE))
    drawn = np.fliplr(three_regions(48, 48))
    style = folder.save("style.png", paint(drawn, (0, 10, 250), (245, 20, 0), (9, 230, 9)))
    masks = folder.load(content, style)
    assert masks.colours == ("#0000ff", "#00ff00", "#ff0000")
    for region, (here, there) in enumerate([(2, 0), (1, 2), (0, 1)]):
        np.testing.assert_array_equal(masks.content[region], three_regions() == here)
        np.testing.assert_array_equal(masks.styles[0][region], drawn == there)


def test_a_jpeg_matches_a_png(folder):
    image = paint(three_regions(64, 64), (200, 30, 30), (30, 200, 30), GREY)
    content = folder.save("content.png", image)
    style = folder.save("style.jpg", image, quality=60)
    masks = folder.load(content, style)
    assert np.abs(np.asarray(masks.content - masks.styles[0])).max(0).mean() < 0.02


def test_a_region_may_be_missing_in_one_of_several_styles(folder):
    content = folder.save("content.png", paint(three_regions(), BLACK, GREY, WHITE))
    dark = folder.save("dark.png", paint(three_regions() // 2, BLACK, GREY))
    light = folder.save("light.png", PillowImage.new("L", (24, 32), 255))
    masks = folder.load(content, dark, light)
    np.testing.assert_array_equal(masks.styles[0].argmax(0), three_regions() // 2)
    np.testing.assert_array_equal(masks.styles[0].sum(0), 1)
    np.testing.assert_array_equal(masks.styles[0][2], 0)
    assert masks.styles[1].shape == (3, 32, 24)
    np.testing.assert_array_equal(masks.styles[1].mean((1, 2)), [0, 0, 1])


def test_a_region_that_no_style_has(folder):
    content = folder.save("content.png", paint(three_regions(), BLACK, GREY, WHITE))
    dark = folder.save("dark.png", paint(three_regions() // 2, BLACK, GREY))
    with refused(content, "#ffffff", dark, "paint"):
        folder.load(content, dark)
    with refused(content, "#ffffff", "any style mask", "paint"):
        folder.load(content, dark, dark)


def test_a_region_that_the_content_lacks(folder):
    content = folder.save("content.png", paint(three_regions() // 2, RED, BLUE))
    style = folder.save("style.png", paint(three_regions(), RED, BLUE, (255, 128, 0)))
    with refused(style, "#ff8000", content, "#0000ff, #ff0000; paint"):
        folder.load(content, style)


def test_neighbouring_numbers_do_not_match(folder):
    """The third of three regions is 2 here and 3 there: one level apart, as others are too."""
    labels = three_regions()
    content = folder.save("content.png", PillowImage.fromarray(labels.astype(np.uint8)))
    style = folder.save("style.png", PillowImage.fromarray((labels + labels // 2).astype(np.uint8)))
    with refused(style, "#030303", content):
        folder.load(content, style)


@pytest.mark.parametrize(
    ("here", "there", "unknown"), [([0, 30, 60], [0, 40, 80], "#505050"), ([100], [150], "#969696")]
)
def test_colours_too_far_apart_do_not_match(folder, here, there, unknown):
    """Not by more than half a step between regions, nor by more than 32 levels."""
    labels = three_regions() % len(here)
    content, style = (
        folder.save(f"{i}.png", PillowImage.fromarray(np.array(levels, np.uint8)[labels]))
        for i, levels in enumerate([here, there])
    )
    with refused(style, unknown, content):
        folder.load(content, style)


def test_one_mask_for_each_style(folder):
    mask, photo = folder.save("mask.png", paint(three_regions(), RED, BLUE, GREEN)), folder.photo()
    with refused("1 style mask(s) for 2 style(s); give one"):
        load_masks(mask, [mask], content=photo, styles=[photo, photo])


# --- Orientation and shape ------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", STORED_FROM_UPRIGHT)
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_a_mask_of_the_upright_picture(folder, orientation, suffix):
    mask = folder.save("mask.png", paint(three_regions(), BLACK, GREY, WHITE))
    photo = folder.photo(orientation=orientation, name=f"photo.{suffix}")
    assert load_picture(photo).image.shape == (40, 64, 3)
    labels, _ = folder.labels(mask, photo=photo)
    np.testing.assert_array_equal(labels, three_regions())


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_a_mask_of_the_stored_pixels_follows_the_picture(folder, orientation, suffix):
    stored = STORED_FROM_UPRIGHT[orientation](three_regions())
    mask = folder.save("mask.png", paint(stored, BLACK, GREY, WHITE))
    photo = folder.photo(orientation=orientation, name=f"photo.{suffix}")
    labels, _ = folder.labels(mask, photo=photo)
    np.testing.assert_array_equal(labels, three_regions())


@pytest.mark.parametrize("orientation", STORED_FROM_UPRIGHT)
@pytest.mark.parametrize("shape", [(40, 64), (48, 48)])
def test_an_orientation_of_its_own_is_applied_once(folder, orientation, shape):
    """Also to square masks, where nothing else can be known, and over a picture without any."""
    upright = three_regions(*shape)
    stored = STORED_FROM_UPRIGHT[orientation](upright)
    image = paint(stored, BLACK, GREY, WHITE)
    mask = folder.save("mask.png", image, exif=tagged(orientation))
    for photo in (folder.photo(*shape), folder.photo(*shape, orientation, name="turned.jpg")):
        labels, _ = folder.labels(mask, photo=photo)
        np.testing.assert_array_equal(labels, upright)


@pytest.mark.parametrize(("orientation", "shape"), [(3, (40, 64)), (2, (40, 64)), (6, (48, 48))])
def test_a_mask_is_upright_if_its_shape_does_not_decide(folder, orientation, shape):
    mask = folder.save("mask.png", paint(three_regions(*shape), BLACK, GREY, WHITE))
    labels, _ = folder.labels(mask, photo=folder.photo(*shape, orientation))
    np.testing.assert_array_equal(labels, three_regions(*shape))


def test_a_nearly_square_mask_is_turned_by_the_better_fit(folder):
    upright = three_regions(100, 101)
    photo = folder.photo(100, 101, orientation=6)
    for drawn in (upright, np.rot90(upright)):
        mask = folder.save("mask.png", paint(drawn, BLACK, GREY, WHITE))
        labels, _ = folder.labels(mask, photo=photo)
        np.testing.assert_array_equal(labels, upright)


def test_style_masks_follow_their_own_pictures(folder):
    upright = three_regions()
    mask = folder.save("mask.png", paint(upright, BLACK, GREY, WHITE))
    stored = folder.save("stored.png", paint(np.rot90(upright), BLACK, GREY, WHITE))
    plain, turned = folder.photo(), folder.photo(orientation=6, name="turned.jpg")
    masks = load_masks(mask, [mask, stored], content=plain, styles=[turned, turned])
    for style in masks.styles:
        np.testing.assert_array_equal(style.argmax(0), upright)


@pytest.mark.parametrize("size", [(17, 26), (39, 64), (1000, 1600)])
def test_a_mask_may_have_another_size(folder, size):
    """Of the same shape but for rounding: a pixel, or 2 %."""
    mask = folder.save("mask.png", paint(three_regions(*size), BLACK, GREY, WHITE))
    labels, _ = folder.labels(mask, photo=folder.photo(400, 640))
    np.testing.assert_array_equal(labels, three_regions(*size))


@pytest.mark.parametrize(
    ("size", "orientation", "tag"), [((64, 40), None, None), ((40, 60), 6, None), ((40, 64), 6, 8)]
)
def test_another_shape_is_refused(folder, size, orientation, tag):
    """A mask that its own orientation makes unfit is not turned back and forth until it fits."""
    options = {} if tag is None else {"exif": tagged(tag)}
    mask = folder.save("mask.png", paint(three_regions(*size), BLACK, GREY, WHITE), **options)
    h, w = size if tag is None else size[::-1]
    photo = folder.photo(orientation=orientation)
    with refused(mask, f"{w}×{h} px", photo, "64×40 px; draw"):
        folder.labels(mask, photo=photo)


def test_over_a_deep_tiff_file(folder):
    """Such files another library reads, and turns by its own notion of the tag."""
    path = folder.path / "deep.tif"
    stored = np.zeros((64, 40, 3), np.uint16)
    tifffile.imwrite(path, stored, photometric="rgb", extratags=[(274, "H", 1, 6)])
    assert load_picture(path).image.shape == (40, 64, 3)
    for drawn in (three_regions(), np.rot90(three_regions())):
        mask = folder.save("mask.png", paint(drawn, BLACK, GREY, WHITE))
        labels, _ = folder.labels(mask, photo=path)
        np.testing.assert_array_equal(labels, three_regions())


# --- Files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["content_mask", "style_masks", "content", "styles"])
def test_files_that_cannot_be_read_are_named(folder, place):
    mask, photo = folder.save("mask.png", paint(three_regions(), RED, BLUE, GREEN)), folder.photo()
    bad = folder.path / "bad.png"
    bad.write_bytes(b"not an image")
    files = {"content_mask": mask, "style_masks": [mask], "content": photo, "styles": [photo]}
    files[place] = [bad] if isinstance(files[place], list) else bad
    with refused(bad) as caught:
        load_masks(**files)
    assert "\n" not in str(caught.value)
