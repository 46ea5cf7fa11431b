"""Batches do each job once, whatever ends them, and tell which could not be done."""

import errno
import itertools
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import command
import jaxstyle as js
from jaxstyle import cli, files
from jaxstyle.atomic import name_temporary
from jaxstyle.batch import claims, painter
from jaxstyle.batch.jobs import Job, shard_of
from jaxstyle.batch.kept import Kept
from jaxstyle.batch.lists import make_jobs
from jaxstyle.batch.steps import lanes_that_pay

folder = command.folder
SETTINGS = [*command.ENCODER, *command.QUICK]


def batch(*words, out="all"):
    return cli.main(["batch", *words, "-o", out, *SETTINGS])


def entries(folder, name="manifest.jsonl"):
    return [json.loads(line) for line in (folder / "all" / name).read_text().splitlines()]


@pytest.fixture
def album(folder, pictures):
    """Two photographs in a folder, one of them none, and two paintings."""
    (folder / "photos").mkdir()
    height, width = pictures[0].shape[:2]
    alpha = jnp.broadcast_to(jnp.linspace(0.2, 1, width), (height, width))
    files.save_image("photos/a.png", pictures[0], alpha=alpha)
    (folder / "photos" / "bad.png").write_bytes(b"no picture")
    files.save_image("other.png", 1 - pictures[1])
    return folder


def test_bad_jobs_are_told_and_the_rest_goes_on(album, capsys):
    words = ["photos", "--styles", "painting.png", "other.png"]
    assert batch(*words) == 1
    told = capsys.readouterr()
    assert [line.split("/")[-1] for line in told.out.split()] == ["a_other.png", "a_painting.png"]
    assert "bad_other.png: " in told.err
    assert "bad_painting.png: " in told.err
    # Each is what the command for one picture paints, transparency included.
    cli.main(["stylize", "photos/a.png", "other.png", "-o", "one.png", *SETTINGS])
    one, same = files.load_picture("one.png"), files.load_picture("all/a_other.png")
    np.testing.assert_array_equal(one.image, same.image)
    np.testing.assert_array_equal(one.alpha, same.alpha)
    assert cli.main(["batch", "--status", "-o", "all"]) == 1
    assert capsys.readouterr().out.split()[-4:] == ["done", "failed", "2", "2"]


def test_again_does_what_is_missing_or_changed(album, capsys, pictures):
    (album / "photos" / "bad.png").unlink()
    words = ["photos", "--styles", "painting.png", "other.png"]
    assert batch(*words) == 0
    assert batch(*words) == 0
    assert len(entries(album)) == 2
    (album / "all" / "a_other.png").unlink()
    assert batch(*words) == 0
    assert [e["output"] for e in entries(album)[2:]] == ["a_other.png"]
    files.save_image("painting.png", pictures[0], overwrite=True)
    assert batch(*words) == 0
    assert [e["output"] for e in entries(album)[3:]] == ["a_painting.png"]
    assert batch(*words, "--style-weight", "3") == 0
    assert len(entries(album)) == 6
    # A line that was torn by a SIGKILL costs that job alone, and none that is written behind it.
    path = album / "all" / "manifest.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    assert batch(*words, "--style-weight", "3") == 0
    lines = path.read_text().splitlines()
    assert len(lines) == 7
    assert batch(*words, "--style-weight", "3") == 0
    assert len(path.read_text().splitlines()) == 7


LISTS = {
    "jobs.csv": "content,styles,style_weight,output\nphoto.png,painting.png,2,x.png\n"
    "photo.png,painting.png;photo.png,,\n",
    "jobs.toml": '[[jobs]]\ncontent="photo.png"\nstyles=["painting.png"]\nstyle_weight=2\n'
    'output="x.png"\n[[jobs]]\ncontent="photo.png"\nstyles=["painting.png","photo.png"]\n',
    "jobs.jsonl": '{"content":"photo.png","styles":"painting.png","style_weight":2,'
    '"output":"x.png"}\n\n{"content":"photo.png","styles":["painting.png","photo.png"]}\n',
}


@pytest.mark.parametrize("name", LISTS)
def test_lists(folder, name, capsys):
    (folder / name).write_text(LISTS[name])
    assert batch(name, "--name", "{content}-{style}-{style_weight:g}.png", "--dry-run") == 0
    told = capsys.readouterr().out
    assert not (folder / "all").exists()
    assert "x.png" in told
    assert "photo-painting+photo-" in told
    assert batch(name) == 0
    assert files.load_metadata("all/x.png").settings["style_weight"] == 2


REFUSED = {
    "no paintings": (["photo.png"], "--styles"),
    "nothing there": (["none/*.png", "--styles", "painting.png"], "none/*.png"),
    "pattern": (["photo.png", "--styles", "painting.png", "--name", "{size_}.png"], "{size_}"),
    "suffix": (["photo.png", "--styles", "painting.png", "--name", "{content}"], "photo"),
    "out of it": (["photo.png", "--styles", "painting.png", "--name", "../{content}.png"], "../"),
    "twice": (["photo.png", "--styles", "painting.png", "photo.png", "--name", "a.png"], "a.png"),
    "pairs": (["photo.png", "--styles", "painting.png", "photo.png", "--pairs"], "--pairs"),
    "shard": (["photo.png", "--styles", "painting.png", "--shard", "2/2"], "--shard 2/2"),
    "auto": (["photo.png", "--styles", "painting.png", "--shard", "auto"], "--shard auto"),
    "lanes": (["photo.png", "--styles", "painting.png", "--lanes", "0"], "--lanes 0"),
    "row": (["jobs.csv"], "job 1: styles"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_batches_that_are_none(folder, capsys, case):
    (folder / "jobs.csv").write_text("content\nphoto.png\n")
    words, needle = REFUSED[case]
    command.check_refused(capsys, folder, batch(*words), needle)


def test_shards_are_all_jobs_once():
    contents = [Path(f"{i}.png") for i in range(5)]
    jobs = make_jobs(contents, [Path("p.png")], js.Recipe(), "{content}.png", pairs=False)
    for count in (1, 2, 3, 7):
        shards = [shard_of(jobs, i, count) for i in range(count)]
        assert list(itertools.chain(*shards)) == jobs
        assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_killed_and_two_at_once(album, pictures):
    """A SIGKILL, then two processes on one folder: every picture is whole, and done once."""
    for i in range(6):
        files.save_image(f"photos/p{i}.png", pictures[0] * (1 - i / 20))
    (album / "photos" / "bad.png").unlink()
    program = [sys.executable, "-m", "jaxstyle", "batch", "photos", "--styles", "painting.png"]
    program += ["-o", "all", *SETTINGS]
    path, waited = album / "all" / "manifest.jsonl", time.monotonic()
    with subprocess.Popen(program, stderr=subprocess.DEVNULL) as killed:
        while not path.exists() and killed.poll() is None and time.monotonic() - waited < 100:
            time.sleep(0.02)
        os.kill(killed.pid, signal.SIGKILL)
    with subprocess.Popen(program) as first, subprocess.Popen(program) as second:
        assert first.wait() == second.wait() == 0
    done = [json.loads(line) for line in path.read_text().splitlines()]
    assert sorted(e["output"] for e in done) == sorted(
        f"{p.stem}_painting.png" for p in (album / "photos").iterdir()
    )
    for entry in done:
        files.load_image(album / "all" / entry["output"])


def test_targets_are_made_once_a_painting(album, pictures, monkeypatch):
    """Four photographs and two paintings: two measurements, and the pictures of stylize."""
    from jaxstyle.losses import targets

    (album / "photos" / "bad.png").unlink()
    for i in range(3):
        files.save_image(f"photos/p{i}.png", pictures[0] * (1 - i / 20))
    measured, plain = [], targets._measure_style
    monkeypatch.setattr(
        targets, "_measure_style", lambda *words: measured.append(1) or plain(*words)
    )
    assert batch("photos", "--styles", "painting.png", "other.png") == 0
    assert len(measured) == 2
    assert len(entries(album)) == 8
    cli.main(["stylize", "photos/p2.png", "other.png", "-o", "one.png", *SETTINGS])
    one, same = files.load_image("one.png"), files.load_image("all/p2_other.png")
    np.testing.assert_array_equal(one, same)


def test_lanes_paint_what_single_runs_do(album, pictures, monkeypatch):
    (album / "photos" / "bad.png").unlink()
    for i in range(2):
        files.save_image(f"photos/p{i}.png", pictures[0] * (1 - i / 20))
    widths, plain = [], painter.paint_lanes
    monkeypatch.setattr(
        painter, "paint_lanes", lambda *w, **k: (r := plain(*w, **k), widths.append(len(r)))[0]
    )
    words = ["photos", "--styles", "painting.png"]
    assert batch(*words, out="one") == 0
    assert not widths
    assert batch(*words, "--lanes", "2", out="all") == 0
    assert widths == [2]  # and the third by itself
    names = sorted(path.name for path in (album / "one").glob("*.png"))
    assert len(names) == 3
    for name in names:
        one, lane = files.load_image(f"one/{name}"), files.load_image(f"all/{name}")
        np.testing.assert_allclose(one, lane, atol=2.01 / 255)
        sums = [
            files.load_metadata(f"{where}/{name}").provenance["encoder_sha256"]
            for where in ("one", "all")
        ]
        assert sums[0] == sums[1]


def test_more_lanes_where_pictures_are_small():
    assert lanes_that_pay((64, 64), "cpu") == 1
    counts = [lanes_that_pay((side, side), "gpu") for side in (64, 512, 1024, 4096)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1] == 1


def test_a_painter_takes_and_gives_what_can_be_sent(album):
    """As on another machine: nothing but pickles go in and out, and a bad job is a record."""
    recipe = js.Recipe(encoder="narrow.h5", size=40, iterations=2, scales=1)
    recipe = recipe.replace(content_layers={"conv2_2": 1.0}, style_layers={"conv1_1": 1.0})
    jobs = [
        Job(content=Path(f"photos/{name}.png"), styles=(Path("painting.png"),), recipe=recipe,
            output=f"{name}.png")
        for name in ("a", "bad")
    ]  # fmt: skip
    paint = painter.Painter(album / "sent")
    records = pickle.loads(pickle.dumps(paint(pickle.loads(pickle.dumps(jobs)))))
    told = {record.output: record.status for record in records}
    assert told == {"a.png": "done", "bad.png": "failed"}
    assert records[-1].terms["style"] > 0
    assert (album / "sent" / "a.png").exists()


def test_masks_and_starts_of_a_list_lie_beside_it(folder, pictures):
    (folder / "there").mkdir()
    (content, style), half = pictures, {}
    for name, picture in (("c", content), ("s", style)):
        files.save_image(f"there/{name}.png", picture)
        h, w, _ = picture.shape
        half[name] = jnp.broadcast_to((jnp.arange(w) < w // 2)[None, :, None], (h, w, 3)) * 1.0
        files.save_image(f"there/{name}_mask.png", half[name])
    (folder / "there" / "jobs.csv").write_text(
        "content,styles,content_mask,style_masks,init,output\n"
        "c.png,s.png,c_mask.png,s_mask.png,c.png,x.png\n"
    )
    assert batch("there/jobs.csv") == 0
    words = ["stylize", "there/c.png", "there/s.png", "-o", "one.png", *SETTINGS]
    words += ["--content-mask", "there/c_mask.png", "--style-mask", "there/s_mask.png"]
    assert cli.main([*words, "--init", "there/c.png"]) == 0
    np.testing.assert_array_equal(files.load_image("one.png"), files.load_image("all/x.png"))
    assert files.load_metadata("all/x.png").provenance["style_masks"] == ["s_mask.png"]
    files.save_image("there/c_mask.png", 1 - half["c"], overwrite=True)
    assert batch("there/jobs.csv") == 0
    assert len(entries(folder)) == 2


def test_claims_without_locks(tmp_path, monkeypatch):
    """On a file system without them one has a job, then the next; a dead one's is taken over."""

    def none(_):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(claims, "_lock", none)
    with claims.claim(tmp_path, "a.png") as first, claims.claim(tmp_path, "a.png") as second:
        assert (first, second) == (True, False)
    with claims.claim(tmp_path, "a.png") as again:
        assert again
        (made,) = (tmp_path / ".claims").glob("*.claim")
    dead = name_temporary("").replace(f"-{os.getpid()}-", f"-{command.killed_process()}-")
    made.write_text(dead)
    with claims.claim(tmp_path, "a.png") as mine, claims.claim(tmp_path, "a.png") as other:
        assert (mine, other) == (True, False)


def test_what_is_kept_does_not_grow():
    kept, made = Kept[int](2), []
    for key in (1, 2, 1, 3, 1, 2):
        kept.get(key, lambda key=key: made.append(key) or key)
    assert made == [1, 2, 3, 2]
    assert len(kept._values) == 2


def test_a_dry_run_tells_time_and_memory(album, capsys):
    words = ["photos", "--styles", "painting.png"]
    assert batch(*words) == 1
    capsys.readouterr()
    assert batch(*words, "--dry-run", "--style-weight", "3") == 0
    told = capsys.readouterr().err
    assert "2 to paint, of which 1 cannot be" in told
    assert "at the rate of the 1 that are done" in told
    assert re.search(r"memory: \d\.\d GB, for 1 at once of 40×33 px", told)
