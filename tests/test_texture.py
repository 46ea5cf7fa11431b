"""Textures, from the library and from the command: size, style and seams."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import command
import jaxstyle as js
from command import check_refused
from jaxstyle import cli, files
from programs import loss_of, targets_of, terms_of

folder = command.folder

OBJECTIVE = js.Objective(
    content_layers=("conv2_2",), style_layers=("image", "conv1_1", "conv2_1", "conv3_1")
)
ONCE = js.Schedule(iterations=20, scales=1)
# Smooth enough for a seam to show.
SMOOTH = js.LossWeights(style=8.0, tv=80.0, style_layers={"image": 20.0})
QUICK = ["--style-layers", "image=20,conv1_1,conv2_1,conv3_1", "--size", "48x32"]
QUICK += ["--scales", "1", "--iterations", "20", "--style-weight", "8", "--tv-weight", "80"]


def make(encoder, style, shape=(32, 48), padding="zeros", **options):
    options = {"objective": OBJECTIVE, "schedule": ONCE, "loss_weights": SMOOTH} | options
    encoder = dataclasses.replace(encoder, network=encoder.network.clone(padding=padding))
    return js.texture(style, shape, encoder, **options)


def texture(*options, styles=("painting.png",), out="out.png"):
    return cli.main(["texture", *styles, "-o", out, *command.ENCODER, *QUICK, *options])


def seam(image):
    """Returns the steps between borders that meet in a tiling, relative to those inside."""
    image = np.asarray(image, np.float64)
    ratios = []
    for axis in (0, 1):
        inside = np.abs(np.diff(image, axis=axis)).mean()
        first, last = np.take(image, 0, axis), np.take(image, -1, axis)
        ratios.append(np.abs(first - last).mean() / inside)
    return max(ratios)


@pytest.mark.one_python
def test_texture_has_the_statistics_of_the_style(encoder, pictures):
    style = pictures[1]
    result = make(encoder, style, loss_weights=js.LossWeights(tv=0.1))
    assert result.image.shape == (32, 48, 3)
    assert list(result.terms) == ["style", "tv"]
    objective = dataclasses.replace(OBJECTIVE, content_layers=())
    targets = targets_of(result.image, style, encoder, objective)
    noise = make(encoder, style, schedule=js.Schedule(iterations=0, scales=1)).image
    before, after = (
        float(terms_of(x, targets, js.LossWeights(), encoder, objective)["style"])
        for x in (noise, result.image)
    )
    assert after < 0.3 * before
    means = [np.mean(x, (0, 1)) for x in (result.image, style)]
    np.testing.assert_allclose(*means, atol=0.05)


def test_texture_is_stylize_without_content(encoder, pictures):
    style, weights = pictures[1], js.LossWeights(tv=0.1)
    options = {"schedule": js.Schedule(iterations=4, scales=1), "loss_weights": weights, "seed": 3}
    expected = js.stylize(
        pictures[0],
        style,
        encoder,
        objective=dataclasses.replace(OBJECTIVE, content_layers=()),
        init="noise",
        variable="fourier",
        **options,
    )
    result = make(encoder, style, pictures[0].shape[:2], **options)
    np.testing.assert_allclose(result.image, expected.image, atol=1e-4)


@pytest.mark.one_python
def test_opposite_borders_match_only_with_circular_padding(encoder, pictures):
    open_, tiled = (
        seam(make(encoder, pictures[1], padding=padding).image)
        for padding in ("replicate", "circular")
    )
    assert tiled < 1.3
    assert open_ > 1.5 * tiled


def test_loss_of_a_seamless_image_does_not_change_if_it_is_rolled(encoder, pictures):
    image, style = (
        make(encoder, pictures[1], schedule=js.Schedule(iterations=2, scales=1)).image,
        pictures[1],
    )
    rolled = jnp.roll(image, (8, 12), (0, 1))
    objective = dataclasses.replace(OBJECTIVE, content_layers=())
    changes = {}
    for padding in ("circular", "replicate"):
        padded = dataclasses.replace(encoder, network=encoder.network.clone(padding=padding))
        targets = targets_of(image, style, padded, objective)
        losses = [
            float(loss_of(x, targets, js.LossWeights(), padded, objective)) for x in (image, rolled)
        ]
        changes[padding] = abs(losses[1] / losses[0] - 1)
    assert changes["circular"] < 1e-4
    assert changes["replicate"] > 100 * changes["circular"]


def test_command_writes_a_texture(folder, capsys):
    assert texture() == 0
    printed = capsys.readouterr()
    assert printed.out == "out.png\n"
    assert "48×32" in printed.err
    assert js.load_image("out.png").shape == (32, 48, 3)
    settings, provenance = files.load_metadata("out.png")
    recipe = js.Recipe().updated(settings)
    assert (recipe.content_layers, recipe.size, recipe.init) == ({}, (48, 32), "noise")
    assert (recipe.padding, recipe.encoder) == ("replicate", "narrow.h5")
    assert provenance["styles"] == ["painting.png"]
    assert provenance["status"] == "finished"
    assert provenance["preset"] == "texture"
    assert "content" not in provenance
    assert str(folder) not in str(settings | provenance)


def test_command_agrees_with_the_library(folder):
    assert texture("--seamless", "--seed", "4", "--iterations", "3") == 0
    style = js.load_image("painting.png", size=48)
    expected = js.texture(
        style,
        (32, 48),
        js.load_encoder("narrow.h5", padding="circular"),
        objective=OBJECTIVE,
        loss_weights=SMOOTH,
        schedule=js.Schedule(iterations=3, scales=1),
        seed=4,
    )
    np.testing.assert_allclose(js.load_image("out.png"), expected.image, atol=1.01 / 255)


def test_one_number_is_a_square(folder):
    assert texture("--size", "32", "--iterations", "0") == 0
    assert js.load_image("out.png").shape == (32, 32, 3)


@pytest.mark.parametrize("init", ["style", "grey", "photo.png"])
def test_starts(folder, init):
    assert texture("--init", init, "--iterations", "0") == 0
    image = np.asarray(js.load_image("out.png"))
    if init == "grey":
        assert image.std((0, 1)).max() < 0.01
    else:
        name = "painting.png" if init == "style" else init
        wanted = np.asarray(js.load_image(name))
        np.testing.assert_allclose(image.mean((0, 1)), wanted.mean((0, 1)), atol=0.03)


def test_recipes_that_start_from_the_content_start_from_noise(folder):
    for init in ("content", "matched", "noise"):
        assert texture("--init", init, "--iterations", "0", out=f"{init}.png") == 0
    noise = js.load_image("noise.png")
    assert noise.std() > 0.2
    np.testing.assert_array_equal(js.load_image("content.png"), noise)
    np.testing.assert_array_equal(js.load_image("matched.png"), noise)


def test_several_paintings(folder):
    assert texture("--iterations", "1", styles=("painting.png", "photo.png")) == 0
    assert files.load_metadata("out.png").provenance["styles"] == ["painting.png", "photo.png"]


@pytest.mark.parametrize(("options", "needles"), [
    (["--size", "15"], ["--size", "15"]),
    (["--blend", "1,2"], ["--blend"]),
    (["--content-mask", "mask.png"], ["--content-mask"]),
], ids=lambda value: " ".join(value))  # fmt: skip
def test_bad_option(folder, capsys, options, needles):
    check_refused(capsys, folder, texture(*options), *needles)


def test_bad_pictures(folder, capsys):
    check_refused(capsys, folder, texture(styles=()), "painting")
    check_refused(capsys, folder, texture(styles=("missing.png",)), "missing.png")
    before = (folder / "photo.png").read_bytes()
    check_refused(capsys, folder, texture(out="photo.png"), "exists already")
    assert (folder / "photo.png").read_bytes() == before
