"""Which pictures a batch paints: folders, patterns, and lists as other programs write them."""

import json
import os
from pathlib import Path

import pytest

import jaxstyle as js
from jaxstyle.batch.inputs import PictureFile, find_pictures
from jaxstyle.batch.lists import make_jobs, read_jobs
from jaxstyle.batch.order import shard_of

RECIPE = js.Recipe()


def touch(*names):
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def found(*names, **options):
    return [(str(each.path), each.folder) for each in find_pictures(map(Path, names), **options)]


def outputs(contents, styles=("p.png",), **options):
    pictures = (find_pictures(map(Path, names), repeats=True) for names in (contents, styles))
    return [job.output for job in make_jobs(*pictures, RECIPE, **options)]


def test_folders_are_mirrored_and_only_pictures_count():
    touch("photos/p10.png", "photos/p2.JPG", "photos/trip/p2.jpg", "photos/trip/._p2.jpg")
    touch("photos/notes.txt", "photos/manifest.jsonl", "photos/Thumbs.db", "photos/.git/a.png")
    touch("photos/folder.jpg/p3.png")
    Path("photos/trip/back").symlink_to("..", target_is_directory=True)
    pictures = [
        ("photos/folder.jpg/p3.png", "folder.jpg"),
        ("photos/p2.JPG", "."),
        ("photos/p10.png", "."),
        ("photos/trip/p2.jpg", "trip"),
    ]
    assert found("photos") == pictures
    assert sorted(found("photos/**/*")) == sorted(pictures)
    assert found("photos/*") == pictures[1:3]
    assert found("photos", painted={Path("photos/p10.png").resolve()}) == [
        *pictures[:2],
        pictures[3],
    ]
    assert found("photos", output=Path("photos/trip")) == pictures[:3]
    assert set(outputs(["photos"])) == {
        "folder.jpg/p3_p.png",
        "p2_p.png",
        "p10_p.png",
        "trip/p2_p.png",
    }
    with pytest.raises(js.InputError, match="no picture there"):
        find_pictures([Path("photos/*.gif")])


def test_names_tell_files_of_the_same_name_apart():
    touch("a/x.jpg", "b/x.jpg", "b/y.png")
    assert outputs(["a/x.jpg", "b/x.jpg"]) == ["a/x_p.png", "b/x_p.png"]
    assert outputs(["a/x.jpg", "b/y.png"]) == ["x_p.png", "y_p.png"]
    assert outputs(["*/x.jpg"], name="{content}-{folder}{suffix}") == ["x-a.jpg", "x-b.jpg"]
    with pytest.raises(js.InputError, match="two jobs have this output"):
        outputs(["*/x.jpg"], name="{content}.png")


def test_pairs():
    touch("c/a.jpg", "c/b.jpg", "s/b.png", "s/a.png", "s/other.png")
    repeated = ["c/a.jpg", "c/b.jpg", "c/a.jpg"], ["s/a.png", "s/a.png", "s/b.png"]
    assert outputs(*repeated, pairs="order", name="{content}-{style}.png") == (
        ["a-a.png", "b-a.png", "a-b.png"]
    )
    assert outputs(["c"], ["s"], pairs="name") == ["a_a.png", "b_b.png"]
    with pytest.raises(js.InputError, match=r"c/b\.jpg"):
        outputs(["c"], ["s/a.png"], pairs="name")
    with pytest.raises(js.InputError, match="same name"):
        outputs(["c"], ["s/a.png", "c/a.jpg", "s/b.png"], pairs="name")


def test_a_text_file_names_a_picture_per_line():
    touch("there/a.png", "there/b.png")
    Path("there/list.txt").write_text("a.png\n\n b.png \n", encoding="utf-16")
    assert found("there/list.txt") == [("there/a.png", "."), ("there/b.png", ".")]


ROWS = [
    {"content": "photo.png", "styles": ["painting.png"], "style_weight": 2, "output": "x.png"},
    {"content": "photo.png", "styles": ["painting.png", "photo.png"], "clamp": False},
]
CELLS = [
    ["content", "styles", "style_weight", "output", "clamp"],
    ["photo.png", "painting.png", "2", "x.png", ""],
    ["photo.png", '"painting.png;photo.png"', "", "", "FALSE"],
]


def table(separator, cells=CELLS, end="\n"):
    return "".join(separator.join(row) + end for row in cells)


TOML = """\
[[jobs]]
content = "photo.png"
styles = "painting.png"
style_weight = 2
output = "x.png"
[[jobs]]
content = "photo.png"
styles = ["painting.png", "photo.png"]
clamp = false
"""
HEADER = [[" Content", "STYLES ", "Style Weight", "output", "clamp"], *CELLS[1:]]
EMPTY = [[*row, "", ""] for row in CELLS] + [[""] * 7, [" "]]
LISTS = {
    "plain.csv": table(","),
    "semicolons.csv": table(";"),
    "tabs.csv": table("\t"),
    "tabs.tsv": table("\t"),
    "excel.csv": "sep=;\r\n" + table(";", end="\r\n"),
    "header.csv": table(",", HEADER),
    "empty.csv": table(";", EMPTY),
    "jobs.toml": TOML,
    "jobs.json": json.dumps(ROWS),
    "table.json": json.dumps({"jobs": ROWS}),
    "jobs.jsonl": "\n\n".join(map(json.dumps, ROWS)),
    "jobs.ndjson": "\r\n".join(map(json.dumps, ROWS)),
}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_lists_of_every_kind(tmp_path, name, encoding):
    if encoding == "utf-16" and not name.endswith(("csv", "tsv")):
        pytest.skip("these are UTF-8 by definition")
    Path(name).write_bytes(LISTS[name].encode(encoding))
    first, second = read_jobs(tmp_path / name, RECIPE, "{content}-{style}-{style_weight:g}.png")
    assert (first.output, first.recipe.style_weight) == ("x.png", 2)
    assert first.styles == (tmp_path / "painting.png",)
    assert second.styles == (tmp_path / "painting.png", tmp_path / "photo.png")
    assert second.output.startswith("photo-painting+photo-")


def read(text, name="jobs.csv", encoding="utf-8"):
    Path(name).write_bytes(text.encode(encoding))
    return read_jobs(Path(name), RECIPE, "{content}.png")


def test_cells_as_spreadsheets_write_them(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    text = "content,styles,style_weight,content_weight,seed,stretch_style\n"
    text += "~/é.png,s.png,.5,+60,+7,TRUE\n"
    (job,) = read(text, encoding="cp1252")
    assert job.content == Path("/home/me/é.png")
    recipe = job.recipe
    assert (recipe.style_weight, recipe.content_weight, recipe.seed) == (0.5, 60, 7)
    assert recipe.stretch_style is True


def test_settings_beside_the_jobs_are_their_defaults():
    jobs = read("seed = 3\nsize = 64\n" + TOML.replace("style_weight", "seed"), "jobs.toml")
    assert [(job.recipe.seed, job.recipe.size) for job in jobs] == [(2, 64), (3, 64)]


@pytest.mark.parametrize(("name", "text", "needle"), [
    ("jobs.csv", "content\nphoto.png\n", "row 2: styles: missing"),
    ("jobs.csv", "content,styles,Content\n", "column content: is there twice"),
    ("jobs.csv", "content,styles\na.png,s.png\n\na.png,s.png,extra\n", "row 4: 'extra'"),
    ("jobs.csv", "content,styles,size\na.png,s.png,\nb.png,s.png,big\n", "row 3: size big"),
    ("jobs.toml", "colour_weight = 3\n" + TOML, "job 1: colour_weight: no such setting"),
    ("jobs.toml", "jobs = 3", "not a list of jobs"),
    ("jobs.json", "[" * 100_000, "too deeply nested"),
    ("jobs.json", "[1]", "not a list of jobs"),
    ("jobs.jsonl", '{"content": "c.png", "styles": "s.png", "output": 3}', "output 3"),
])  # fmt: skip
def test_lists_with_mistakes(name, text, needle):
    with pytest.raises(js.InputError, match=needle) as caught:
        read(text, name)
    assert str(caught.value).startswith(name)


def test_names_as_files_have_them(tmp_path):
    """Two spellings of one output are one; a line ends where its format says, not at U+2028."""
    for other in ("./a.png", "A.PNG", "x//é.png"):
        first = "x/e\u0301.png" if "é" in other else "a.png"
        rows = [{"content": "c.png", "styles": "s.png", "output": name} for name in (first, other)]
        with pytest.raises(js.InputError, match="two jobs have this output"):
            read("\n".join(map(json.dumps, rows)), "jobs.jsonl")
    name = "a\u2028b\x85c.png"
    row = json.dumps({"content": name, "styles": "s.png"}, ensure_ascii=False)
    jobs = read(f"{row}\r\n{row.replace('a', 'd')}\r\n", "jobs.jsonl")
    assert [job.content.name for job in jobs] == [name, name.replace("a", "d")]
    (job,) = read('content,styles\r\n"a\nb.png",s.png\r\n')
    assert job.content == Path("a\nb.png")


def test_shards_are_all_jobs_once():
    contents = [PictureFile(Path(f"{i}.png")) for i in range(5)]
    jobs = make_jobs(contents, [PictureFile(Path("p.png"))], RECIPE)
    for count in (1, 2, 3, 7):
        shards = [shard_of(jobs, i, count) for i in range(count)]
        assert [job for shard in shards for job in shard] == jobs
        assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_a_digest_follows_files_and_settings_and_no_name_of_an_encoder():
    touch("c.png", "p.png")
    pictures = [[PictureFile(Path(name))] for name in ("c.png", "p.png")]
    (job,) = make_jobs(*pictures, RECIPE.replace(encoder="random"))
    before = job.digest
    Path("random").mkdir()
    touch("random/c_p.png")
    assert job.digest == before
    os.utime("p.png", ns=(1, 1))
    assert job.digest != before
