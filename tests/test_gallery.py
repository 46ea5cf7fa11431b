"""Works of the gallery: their files, and the commands that accept their names."""

import json
from pathlib import Path

import pytest

import command
import jaxstyle as js
from command import ENCODER, QUICK, check_refused, stylize
from jaxstyle import cli, files, gallery

folder = command.folder


def test_the_catalogue_and_the_files_agree():
    works = gallery.works()
    assert {work.path for work in works} == set(gallery.FOLDER.glob("*.jpg"))
    assert {work.kind for work in works} == {"painting", "photograph"}
    assert sum(work.path.stat().st_size for work in works) < 2e6
    for work in works:
        assert 300 <= min(files.read_shape(work.path)) <= max(files.read_shape(work.path)) <= 1024
        assert all((work.artist, work.title, work.source, work.licence)), work.name


@pytest.mark.parametrize(
    "words",
    [
        ("stylize", "coffee", "starry-night"),
        ("texture", "starry-night"),
        ("sweep", "coffee", "starry-night", "--style-weight", "1,2"),
    ],
    ids=lambda words: words[0],
)
def test_commands_accept_names(folder, words):
    assert cli.main([*words, "-o", "out.png", *ENCODER, *QUICK]) == 0
    recorded = files.load_metadata("out.png").provenance
    assert recorded["styles"] == ["starry-night.jpg"]


def test_rerun_finds_works_of_the_gallery(folder, capsys):
    stylize(styles=("starry-night",))
    assert cli.main(["rerun", "out.png", "--no-compile-cache"]) == 0
    assert "the same file, byte for byte" in capsys.readouterr().err


def test_batches_accept_names(folder):
    (folder / "lists").mkdir()
    (folder / "lists/jobs.csv").write_text("content;styles\n../photo.png;starry-night\n")
    (folder / "lists/styles.txt").write_text("starry-night\n../painting.png\n")
    options = ["-o", "out", *ENCODER, *QUICK]
    assert cli.main(["batch", "coffee", "--styles", "lists/styles.txt", *options]) == 0
    assert cli.main(["batch", "lists/jobs.csv", *options]) == 0
    painted = {path.name for path in Path("out").glob("*.png")}
    names = {"coffee_starry-night.png", "coffee_painting.png", "photo_starry-night.png"}
    assert painted == names


def test_a_file_with_the_name_of_a_work_takes_precedence(folder, capsys):
    files.save_image("starry-night.png", js.load_image("painting.png"))
    Path("starry-night.png").rename("starry-night")
    assert js.load_style("starry-night").shape == js.load_image("painting.png").shape
    assert stylize(styles=("starry-night",)) == 0
    assert files.load_metadata("out.png").provenance["styles"] == ["starry-night"]
    assert "starry-night: the file of this name is used" in capsys.readouterr().err


def test_unknown_names_are_rejected_in_one_line(folder, capsys):
    code = stylize(styles=("stary-night",))
    check_refused(capsys, folder, code, "stary-night: ", "perhaps starry-night", "jaxstyle styles")


def test_styles_lists_works_and_draws_a_sheet(folder, capsys):
    assert cli.main(["styles", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert "Vincent van Gogh" in json.dumps(rows)
    assert cli.main(["styles", "--sheet", "sheet.png"]) == 0
    assert js.load_image("sheet.png").std() > 0.1
    check = cli.main(["styles", "--sheet", "sheet.png"])
    assert check == 2
