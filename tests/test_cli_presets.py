"""Presets and files of settings: what they say, and who has the last word."""

import tomllib

import numpy as np
import pytest
import tomli_w

import command
import jaxstyle as js
from command import check_refused
from jaxstyle import cli, files
from jaxstyle.recipes.presets import PRESETS, preset
from jaxstyle.recipes.recipe import Recipe

folder = command.folder

SMALL = ["--content-layers", "conv2_1", "--style-layers", "image,conv1_1", "--size", "24"]
SMALL += ["--scales", "1", "--iterations", "3"]


def stylize(*options, out="out.png", small=SMALL):
    """Without what the other tests of the command always give."""
    return cli.main(
        ["stylize", "photo.png", "painting.png", "-o", out, *command.ENCODER, *small, *options]
    )


def settings(name="out.png"):
    return files.load_metadata(name).settings


def write(text, name="mine.toml"):
    with open(name, "w", encoding="utf-8") as file:
        file.write(text)


def test_list(capsys):
    for words in (["presets"], ["presets", "list"]):
        assert cli.main(words) == 0
        rows = capsys.readouterr().out.splitlines()[1:]
        assert [row.split()[0] for row in rows] == list(PRESETS)
        for row, entry in zip(rows, PRESETS.values(), strict=True):
            assert entry.source in row


@pytest.mark.parametrize("name", PRESETS)
def test_show_prints_the_recipe_as_toml(capsys, name):
    assert cli.main(["presets", "show", name]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"# {PRESETS[name].source}\n")
    assert Recipe().updated(tomllib.loads(told)) == preset(name)


def test_show_without_a_name_or_with_a_wrong_one(folder, capsys):
    check_refused(capsys, folder, cli.main(["presets", "show"]), "NAME")
    check_refused(capsys, folder, cli.main(["presets", "show", "gaty"]), "gaty", "gatys")


@pytest.mark.one_python
@pytest.mark.parametrize("name", ["default", "neural-style", "crowson", "keras"])
def test_what_show_prints_paints_what_the_preset_paints(folder, capsys, name):
    cli.main(["presets", "show", name])
    write(capsys.readouterr().out)
    assert stylize("--preset", name) == 0
    assert stylize("--config", "mine.toml", out="again.png") == 0
    assert settings() == settings("again.png")
    assert files.load_metadata("out.png").provenance["preset"] == name
    np.testing.assert_array_equal(js.load_image("out.png"), js.load_image("again.png"))


def test_presets_are_handed_on_whole(folder):
    """Every setting that no option changes is the preset's, with its layers too."""
    wanted = preset("crowson")
    small = ["--size", "24", "--scales", "1", "--iterations", "2"]
    small += ["--style-layers", "conv1_1", "--content-layers", "conv2_1"]
    assert stylize("--preset", "crowson", small=small) == 0
    told = settings()
    for name in ("statistic", "normalisation", "tv", "padding", "solver", "init", "colour"):
        assert told[name] == getattr(wanted, name)
    for name in ("style_weight", "content_weight", "learning_rate", "average", "scale_factor"):
        assert float(told[name]) == getattr(wanted, name)
    assert told["clamp"] is True


def test_options_count_before_the_file_and_the_file_before_the_preset(folder):
    write('preset = "gatys"\nstyle_weight = 7\ntv_weight = 8\n')
    assert stylize("--config", "mine.toml", "--tv-weight", "9") == 0
    told = settings()
    assert files.load_metadata("out.png").provenance["preset"] == "gatys"
    assert told["padding"] == preset("gatys").padding != Recipe().padding
    assert int(told["history"]) == preset("gatys").history
    assert float(told["style_weight"]) == 7
    assert float(told["tv_weight"]) == 9
    options = ["--config=mine.toml", "--preset=neural-style"]
    assert stylize(*options, out="other.png") == 0
    told = settings("other.png")
    assert told["normalisation"] == "neural-style"
    assert float(told["style_weight"]) == 7


def test_flags_of_a_preset_can_be_switched_off_and_on(folder):
    write("stretch_style = true")
    for options, expected in (
        ([], True),
        (["--no-stretch-style"], False),
        (["--stretch-style"], True),
    ):
        assert stylize("--config", "mine.toml", "--overwrite", *options) == 0
        assert settings()["stretch_style"] == expected


def test_settings_of_a_picture_make_it_again(folder):
    assert stylize("--style-weight", "9", "--tv", "l1", "--seed", "3", "--init", "noise") == 0
    write(tomli_w.dumps(settings()))
    assert stylize("--config", "mine.toml", out="again.png", small=[]) == 0
    np.testing.assert_array_equal(js.load_image("out.png"), js.load_image("again.png"))


def _layers(text):
    return tomllib.loads("x = " + text.replace(":", " ="))["x"] if text[0] == "{" else text


@pytest.mark.parametrize(("text", "needles"), [
    ("stile_weight = 3", ["stile_weight", "style_weight"]),
    ("frobnicate = 3", ["frobnicate"]),
    ('style_weight = "much"', ["style_weight", "much"]),
    ("style_weight = -1", ["style_weight", "-1"]),
    ("style_weight = nan", ["style_weight", "nan"]),
    ("style_weight = true", ["style_weight", "True"]),
    ("iterations = 2.5", ["iterations", "2.5"]),
    ("clamp = 1", ["clamp", "1"]),
    ('statistic = "median"', ["statistic", "median", "gram"]),
    ('pooling = "min"', ["pooling", "min", "max"]),
    ("pooling = 3", ["pooling", "3"]),
    ("size = true", ["size"]),
    ("size = [640, 480]", ["size"]),
    ('size = "640x480x3"', ["size"]),
    ("style_layers = 3", ["style_layers", "3"]),
    ('style_layers = {conv1_1 = "much"}', ["style_layers", "much"]),
    ("style_layers = {conv1_1 = -1}", ["style_layers", "conv1_1", "-1"]),
    ("scales = 0", ["scales", "0"]),
    ('preset = "gaty"', ["gaty", "gatys"]),
    ("preset = 3", ["preset", "3"]),
    ('preset = ["gatys"]', ["preset", "gatys"]),
    ("style_weight = ", ["TOML"]),
    ("[[", ["TOML"]),
], ids=lambda value: value if isinstance(value, str) else "")  # fmt: skip
def test_bad_file(folder, capsys, text, needles):
    write(text)
    check_refused(capsys, folder, stylize("--config", "mine.toml"), "mine.toml", *needles)


def test_file_that_cannot_be_read(folder, capsys):
    check_refused(capsys, folder, stylize("--config", "missing.toml"), "missing.toml")
    (folder / "folder.toml").mkdir()
    check_refused(capsys, folder, stylize("--config", "folder.toml"), "folder.toml")
    (folder / "mine.toml").write_bytes(b"\xff\xfe\x00")
    check_refused(capsys, folder, stylize("--config", "mine.toml"), "mine.toml", "TOML")
    write("frobnicate = 1", "size.toml")
    check_refused(capsys, folder, stylize("--config", "size.toml"), "jaxstyle: size.toml: frob")
    check_refused(capsys, folder, stylize("--config"), "--config")


def test_a_preset_beside_a_picture_is_refused(folder, capsys):
    """The picture has every setting, so that the preset's name alone would go along."""
    check_refused(capsys, folder, stylize("--preset=draft", "--config", "a.png"), "draft", "a.png")


def test_unknown_preset(folder, capsys):
    check_refused(capsys, folder, stylize("--preset", "gaty"), "gaty", *PRESETS)
    check_refused(capsys, folder, stylize("--preset"), "--preset")


def test_help_shows_the_presets_own_values(folder, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["stylize", "--preset", "crowson", "--help"])
    assert stopped.value.code == 0
    assert "0.99" in capsys.readouterr().out
