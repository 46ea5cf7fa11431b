"""Batches do each job once, whatever ends them, and tell which could not be done."""

import itertools
import json
import os
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
from jaxstyle.batch.jobs import shard_of
from jaxstyle.batch.lists import make_jobs

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
    assert files.read_metadata("all/x.png")["style_weight"] == 2


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
