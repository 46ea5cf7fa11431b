"""Options of the command: every option changes the picture; styles, blends and masks."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image as PillowImage

import command
import jaxstyle as js
from command import check_refused, stylize
from jaxstyle import cli, files, pretrained
from jaxstyle.recipes.recipe import Recipe

folder = command.folder

LAYERS = ["--content-layers", "conv1_1", "--style-layers", "image=20,conv2_1"]
QUICK = [*LAYERS, "--size", "32", "--scales", "1", "--iterations", "4", "--coarsest", "16"]
TWO, ADAM, DESCENT = (
    ["--scales", "2", "--scale-factor", "1.4", "--coarse-iterations", "3"],
    ["--solver", "adam"],
    ["--solver", "gradient-descent", "--learning-rate", "0.1", "--variable", "image"],
)

# For every setting: what it is changed from, beside QUICK, and to.
CHANGES = {
    "size": ([], ["--size", "32x32"]),
    "side": ([], ["--side", "shorter"]),
    "style_scale": ([], ["--style-scale", "0.7"]),
    "stretch_style": ([], ["--stretch-style"]),
    "style_weight": ([], ["--style-weight", "50"]),
    "content_weight": ([], ["--content-weight", "90"]),
    "tv_weight": ([], ["--tv-weight", "900"]),
    "style_layers": ([], ["--style-layers", "image=20,conv2_1=9"]),
    "content_layers": ([], ["--content-layers", "conv1_1=9"]),
    "terms": ([], ["--terms", "laplacian=900"]),
    "statistic": ([], ["--statistic", "mean-std"]),
    "normalisation": ([], ["--normalisation", "keras"]),
    "tv": ([], ["--tv", "l1"]),
    "normalise_gradients": (ADAM, ["--normalise-gradients"]),
    "colour": ([], ["--colour", "content"]),
    "init": ([], ["--init", "painting.png"]),
    "strength": (["--init", "instant", "--iterations", "0"], ["--strength", "0.5"]),
    "iterations": ([], ["--iterations", "9"]),
    "scales": (["--scale-factor", "1.4"], ["--scales", "2"]),
    "scale_factor": (TWO, ["--scale-factor", "1.2"]),
    "coarse_iterations": (TWO, ["--coarse-iterations", "9"]),
    "first_iterations": (TWO, ["--first-iterations", "9"]),
    "decline": (
        [*TWO, "--scales", "3", "--scale-factor", "1.2", "--first-iterations", "9"],
        ["--decline", "1.5"],
    ),
    "multiple": ([], ["--multiple", "16"]),
    "coarsest": (TWO, ["--coarsest", "32"]),
    "coarse_style": (TWO, ["--coarse-style", "0"]),
    "average": ([], ["--average", "0.9"]),
    "solver": ([], ["--solver", "adam"]),
    "history": ([], ["--history", "1"]),
    "learning_rate": (ADAM, ["--learning-rate", "0.05"]),
    "b1": (ADAM, ["--b1", "0.1"]),
    "b2": ([*ADAM, "--init", "noise"], ["--b2", "0.1"]),
    "decay": (DESCENT, ["--decay", "0.001"]),
    "decay_steps": ([*DESCENT, "--decay", "0.01"], ["--decay-steps", "1"]),
    "variable": ([], ["--variable", "sigmoid"]),
    "clamp": (
        [*ADAM, "--variable", "image", "--learning-rate", "0.2", "--init", "noise"],
        ["--clamp"],
    ),
    "encoder": ([], ["--encoder", "other.h5"]),
    "pooling": ([], ["--pooling", "max"]),
    "padding": ([], ["--padding", "zeros"]),
    "precision": ([], ["--precision", "bf16"]),
    "seed": (["--init", "noise"], ["--seed", "1"]),
}


def picture(name="out.png"):
    return np.asarray(js.load_image(name))


def test_every_setting_has_a_change():
    # Memory does not change the picture: tests/test_plans.py. The small network lacks the layers of
    # nearest-neighbour style: tests/test_nearest.py.
    assert {*CHANGES, "memory", "nearest_weight", "rotate_style"} == {
        field.name for field in dataclasses.fields(Recipe)
    }


@pytest.mark.one_python
@pytest.mark.parametrize("name", CHANGES)
def test_every_option_changes_the_picture(folder, name):
    other = pretrained.random_encoder(js.VGG((2, 1), (6, 8), pooling="average"), seed=1)
    pretrained.save_encoder("other.h5", other, {})
    common, change = CHANGES[name]
    assert stylize(*common, out="plain.png", quick=QUICK) == 0
    assert stylize(*common, *change, quick=QUICK) == 0
    plain, changed = picture("plain.png"), picture()
    if name in ("size", "side", "multiple"):
        assert plain.shape != changed.shape
    else:
        assert plain.shape == changed.shape
        assert not np.array_equal(plain, changed)
    before, after = (files.load_metadata(name).settings for name in ("plain.png", "out.png"))
    assert before.get(name) != after[name]
    assert files.load_metadata("out.png").provenance["status"] == "finished"


@pytest.mark.parametrize(("options", "shape"), [
    (["--size", "44"], (36, 44)),
    (["--size", "36", "--side", "shorter"], (36, 44)),
    (["--size", "36", "--side", "height"], (36, 44)),
    (["--size", "30x20"], (20, 30)),
    (["--size", "original"], (36, 44)),
])  # fmt: skip
def test_size(folder, options, shape):
    assert stylize("--iterations", "0", *options, quick=QUICK) == 0
    assert picture().shape == (*shape, 3)


def test_a_texture_has_no_original_size(folder, capsys):
    code = cli.main(["texture", "painting.png", "-o", "out.png", "--size", "original"])
    check_refused(capsys, folder, code, "--size original", "texture", "WIDTHxHEIGHT")


@pytest.fixture
def second(folder, pictures):
    """Another painting, in other colours."""
    files.save_image("second.png", 1 - pictures[1][:, ::-1] ** 2)


BOTH = ("painting.png", "second.png")


@pytest.mark.usefixtures("second")
def test_blend_of_one_share_is_that_style_alone(folder):
    for styles, options, out in (
        (BOTH[:1], [], "first.png"),
        (BOTH[1:], [], "last.png"),
        (BOTH, ["--blend", "1,0"], "one.png"),
        (BOTH, ["--blend", "0,2"], "two.png"),
        (BOTH, ["--blend", "1,1"], "half.png"),
        (BOTH, [], "even.png"),
    ):
        assert stylize(*options, styles=styles, out=out, quick=QUICK) == 0
    np.testing.assert_array_equal(picture("one.png"), picture("first.png"))
    np.testing.assert_array_equal(picture("two.png"), picture("last.png"))
    np.testing.assert_array_equal(picture("half.png"), picture("even.png"))
    for end in ("first.png", "last.png"):
        assert not np.array_equal(picture("half.png"), picture(end))
    provenance = files.load_metadata("two.png").provenance
    assert provenance["blend"] == "0,2"
    assert provenance["styles"] == ["painting.png", "second.png"]


@pytest.mark.usefixtures("second")
@pytest.mark.parametrize(("styles", "blend"), [
    (BOTH, "1"), (BOTH, "much"), (BOTH, "1,"), (BOTH, "2,-1"), (BOTH[:1], "1,2"),
])  # fmt: skip
def test_bad_blend(folder, capsys, styles, blend):
    code = stylize(f"--blend={blend}", "--quiet", styles=styles, quick=QUICK)
    check_refused(capsys, folder, code, "blend")


def save_mask(name, size, *colours, mode="RGB"):
    """A mask of upright stripes."""
    mask = PillowImage.new(mode, size, colours[0])
    for i, colour in enumerate(colours):
        mask.paste(colour, (size[0] * i // len(colours), 0, size[0], size[1]))
    mask.save(name)


MASKS = ["--content-mask", "guide.png", "--style-mask", "mask.png"]


@pytest.fixture
def masks(folder):
    """The photograph's mask has red left of blue, the painting's blue left of red."""
    save_mask("guide.png", (44, 36), "red", "blue")
    save_mask("mask.png", (32, 40), "blue", "red")


@pytest.mark.usefixtures("masks")
def test_masks_guide_regions(folder):
    """A painting of a dark and a bright half: brightness goes where its colour in the mask is."""
    dark = jnp.arange(32)[None, :, None] < 16
    style = jnp.where(dark, 0.2, 0.8) + 0.05 * jnp.sin(jnp.arange(40.0))[:, None, None]
    files.save_image("painting.png", jnp.broadcast_to(style, (40, 32, 3)), overwrite=True)
    assert stylize(*MASKS, "--init", "grey", quick=QUICK) == 0
    left, right = (half.mean() for half in np.split(picture(), 2, axis=1))
    assert left > right + 0.1  # red is the painting's right half, which is bright
    save_mask("mask.png", (32, 40), "red", "blue")
    assert stylize(*MASKS, "--init", "grey", out="swapped.png", quick=QUICK) == 0
    left, right = (half.mean() for half in np.split(picture("swapped.png"), 2, axis=1))
    assert right > left + 0.1
    provenance = files.load_metadata("out.png").provenance
    assert (provenance["content_mask"], provenance["style_masks"]) == ("guide.png", ["mask.png"])


@pytest.mark.usefixtures("masks")
def test_merged_colours_of_masks_are_reported_once_per_file(folder, capsys):
    for name, size in (("guide.jpg", (352, 288)), ("mask.jpg", (256, 320))):
        mask = PillowImage.new("RGB", size, "red")
        mask.paste("black", (16, 16, 32, 32))
        mask.save(name, quality=95, subsampling=0)
    masks = ["--content-mask", "guide.jpg", "--style-mask", "mask.jpg"]
    assert stylize(*masks, "--iterations", "0", "--quiet", quick=QUICK) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["guide.jpg", "mask.jpg"]


@pytest.mark.usefixtures("masks", "second")
def test_one_mask_for_each_of_several_styles(folder, capsys):
    """A style without a region has no say in it; one mask too few is refused."""
    save_mask("red.png", (32, 40), "red")
    pair = [*MASKS[:3], "red.png", "--style-mask", "mask.png"]
    assert stylize(*pair, styles=BOTH, quick=QUICK) == 0
    assert files.load_metadata("out.png").provenance["style_masks"] == ["red.png", "mask.png"]
    (folder / "out.png").unlink()
    capsys.readouterr()
    check_refused(capsys, folder, stylize(*MASKS, styles=BOTH, quick=QUICK), "mask")


@pytest.mark.usefixtures("masks")
@pytest.mark.parametrize(("mask", "needles"), [
    (("red",), ("guide.png", "mask.png", "#0000ff")),
    (None, ("mask.png", "no such file")),
])  # fmt: skip
def test_masks_that_do_not_match(folder, capsys, mask, needles):
    if mask:
        save_mask("mask.png", (32, 40), *mask)
    else:
        (folder / "mask.png").unlink()
    check_refused(capsys, folder, stylize(*MASKS, quick=QUICK), *needles)


@pytest.mark.usefixtures("masks")
def test_masks_of_one_side_only(folder, capsys):
    check_refused(capsys, folder, stylize(*MASKS[:2], quick=QUICK), "--style-mask", "missing")
    check_refused(capsys, folder, stylize(*MASKS[2:], quick=QUICK), "--content-mask", "missing")


def test_no_painting(folder, capsys):
    check_refused(capsys, folder, stylize(styles=()), "painting")
