"""Batches do each job once, whatever ends them, and tell which could not be done."""

import contextlib
import dataclasses
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
from jaxstyle.batch import claims, painter, taking, work
from jaxstyle.batch.jobs import Job, shard_of
from jaxstyle.batch.kept import Kept
from jaxstyle.batch.lists import make_jobs, read_jobs
from jaxstyle.batch.manifest import Manifest
from jaxstyle.batch.steps import Record, lanes_that_pay
from jaxstyle.cli import estimate
from jaxstyle.cli.shard import parse_shard

folder = command.folder
QUICK_LAYERS = {"content_layers": {"conv2_2": 1.0}, "style_layers": {"conv1_1": 1.0}}
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


def test_what_is_painted_from_stays(album, capsys):
    """No output may be a picture of any job, by whatever path; also where nothing is painted."""
    os.link("photos/a.png", "photos/twin.png")
    (album / "photos" / "link.png").symlink_to("../painting.png")
    before = {path: path.read_bytes() for path in (album / "photos").iterdir()}
    for name in ("{content}.png", "./{content}.png", "link.png", "twin.png"):
        for more in ([], ["--dry-run"], ["--overwrite"]):
            words = ["photos/a.png", "--styles", "painting.png", "--name", name, *more]
            told = "would replace a picture"
            command.check_refused(capsys, album, batch(*words, out="photos"), told)
    assert before == {path: path.read_bytes() for path in (album / "photos").iterdir()}


def test_files_that_are_none_of_the_batchs_stay(album, capsys):
    words, path = ["photo.png", "--styles", "painting.png"], album / "all" / "photo_painting.png"
    path.parent.mkdir()
    path.write_bytes(b"a stranger's")
    assert batch(*words, "--dry-run") == 0
    assert "exists already" in capsys.readouterr().out
    for _ in range(2):  # Nor does it become the batch's by having failed.
        assert batch(*words) == 1
        assert "photo_painting.png: exists already" in capsys.readouterr().err
        assert path.read_bytes() == b"a stranger's"
    assert batch(*words, "--overwrite") == 0
    # Painted, and then a SIGKILL before the line was written: it says itself whose it is.
    (album / "all" / "manifest.jsonl").unlink()
    assert batch(*words) == 0
    (album / "all" / "manifest.jsonl").unlink()
    assert batch(*words, "--style-weight", "3") == 1


def test_pictures_that_it_has_made_are_no_photographs(album, capsys):
    (album / "photos" / "bad.png").unlink()
    record = Record("a_painting.png", "", "done")
    manifest = Manifest(album / "photos")
    manifest.add(record)
    manifest.add(record._replace(status="failed"))
    (album / "photos" / record.output).write_bytes(b"")
    for words in (["photos"], ["photos/*.png"]):
        assert batch(*words, "--styles", "other.png", "--dry-run", out="photos") == 0
        assert "a_painting" not in capsys.readouterr().out


def test_programs_are_answered(folder, capsys):
    """One object, with the pictures and the failures, though another thread tells of them."""
    assert batch("photo.png", "gone.png", "--styles", "painting.png", "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert told["paths"] == [os.path.join("all", "photo_painting.png")]
    assert [line.partition(":")[0] for line in told["errors"]] == ["gone_painting.png"]
    assert told["exit_code"] == 1


def test_the_last_end_of_a_job_counts_whatever_its_file_is_called(tmp_path):
    names = ("manifest.jsonl", "manifest-0-of-2.jsonl", "manifest-1-of-2.jsonl")
    for first, last in itertools.permutations(names, 2):
        for name, status in ((first, "failed"), (last, "done")):
            Manifest(tmp_path, name).add(Record("a.png", "", status))
            time.sleep(0.002)
        assert Manifest(tmp_path).entries["a.png"]["status"] == "done"
    # Lines of before there was a time, and lines that are none.
    (tmp_path / "manifest.jsonl").write_text('{"output": "a.png", "status": "failed"}\n[1]\n1\n')
    assert Manifest(tmp_path).entries["a.png"]["status"] == "done"


def test_the_folder_is_not_read_for_every_job(tmp_path, monkeypatch):
    """And all the same a job is done that a process which began just now has done."""
    job = make_jobs([Path("a.png")], [Path("p.png")], js.Recipe(), "{content}.png", pairs=False)[0]
    manifest, looks, plain = Manifest(tmp_path), [], Path.glob
    monkeypatch.setattr(Path, "glob", lambda *words: looks.append(1) or plain(*words))
    assert not any(manifest.settles(job) for _ in range(9))
    assert not looks
    other = Manifest(tmp_path, "manifest-0-of-2.jsonl")
    (tmp_path / job.output).touch()
    other.add(Record(job.output, job.digest, "done"))
    assert manifest.settles(job)
    other.add(Record(job.output, "another", "done"))
    assert not manifest.settles(job)


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


def test_names_and_lines_as_files_have_them(tmp_path):
    """One file by two names is one; a line ends where its format says, and not at U+2028."""
    for other in ("./a.png", "A.PNG", "x//é.png"):
        first = "x/e\u0301.png" if "é" in other else "a.png"
        rows = [{"content": "c.png", "styles": "s.png", "output": name} for name in (first, other)]
        (tmp_path / "jobs.jsonl").write_text("\n".join(map(json.dumps, rows)))
        with pytest.raises(js.InputError, match="two jobs would write it"):
            read_jobs(tmp_path / "jobs.jsonl", js.Recipe(), "{content}.png")
    name = "a\u2028b\x85c.png"
    row = json.dumps({"content": name, "styles": "s.png"}, ensure_ascii=False)
    (tmp_path / "jobs.jsonl").write_text(f"{row}\r\n{row.replace('a', 'd')}\r\n")
    jobs = read_jobs(tmp_path / "jobs.jsonl", js.Recipe(), "./{content}.png")
    assert [job.content for job in jobs] == [tmp_path / name, tmp_path / name.replace("a", "d")]
    assert jobs[0].output == name
    (tmp_path / "jobs.csv").write_bytes(b'content,styles\r\n"a\nb.png",s.png\r\n')
    (job,) = read_jobs(tmp_path / "jobs.csv", js.Recipe(), "{content}.png")
    assert job.content == tmp_path / "a\nb.png"


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


def array(number, least, most, step, count):
    names = ("ID", "MIN", "MAX", "STEP", "COUNT")
    numbers = map(str, (number, least, most, step, count))
    return {f"SLURM_ARRAY_TASK_{n}": v for n, v in zip(names, numbers, strict=True)}


@pytest.mark.parametrize(("text", "environment", "share"), [
    ("auto", array(3, 0, 7, 1, 8), (3, 8)),
    ("auto", array(8, 1, 8, 1, 8), (7, 8)),
    ("auto", array(14, 0, 15, 2, 8), (7, 8)),
    ("auto", array(5, 2, 5, 1, 2), None),  # 2 and 5 of eight, sent again
    ("auto/8", array(5, 2, 5, 1, 2), (5, 8)),
    ("auto/8", array(8, 1, 8, 1, 8), None),
    ("auto", array("x", 1, 8, 1, 8), None),
    ("auto/8", {"JOB_COMPLETION_INDEX": "2"}, (2, 8)),
    ("auto", {"JOB_COMPLETION_INDEX": "2", "JOB_COMPLETIONS": "3"}, (2, 3)),
    ("auto", {"JOB_COMPLETION_INDEX": "2"}, None),
    ("auto/much", array(3, 0, 7, 1, 8), None),
    ("1/3", {}, (1, 3)),
])  # fmt: skip
def test_shares_as_schedulers_number_them(text, environment, share):
    if share is None:
        with pytest.raises(js.InputError, match=f"--shard {text}"):
            parse_shard(text, environment)
    else:
        assert parse_shard(text, environment) == share


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


def test_memory_that_fits_is_chosen_for_each_job(folder, pictures, monkeypatch):
    """Lanes do not fit, one picture at a time fits in strips; the job is what it was."""
    files.save_image("twin.png", 1 - pictures[0])
    monkeypatch.setattr(estimate, "choose", lambda demand: demand.choices()[1:])
    monkeypatch.setattr(painter, "paint_lanes", None)
    words = ["photo.png", "twin.png", "--styles", "painting.png", "--lanes", "2"]
    assert batch(*words) == 0
    assert files.load_metadata("all/photo_painting.png").settings["memory"] == "low"
    assert batch(*words) == 0
    assert len(entries(folder)) == 2


def test_more_lanes_where_pictures_are_small():
    assert lanes_that_pay((64, 64), "cpu") == 1
    counts = [lanes_that_pay((side, side), "gpu") for side in (64, 512, 1024, 4096)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1] == 1


def test_a_painter_takes_and_gives_what_can_be_sent(album):
    """As on another machine: nothing but pickles go in and out, and a bad job is a record."""
    recipe = js.Recipe(encoder="narrow.h5", size=40, iterations=2, scales=1, **QUICK_LAYERS)
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


def test_what_is_kept_is_of_the_file_as_it_is_now(folder, pictures, monkeypatch):
    """A painting that is replaced, a twin of one name, size and time, another encoder."""
    recipe = js.Recipe(encoder="narrow.h5", size=40, scales=1, **QUICK_LAYERS)
    paint, asked = painter.Painter(folder), []
    monkeypatch.setattr(painter, "prepare_styles", lambda _, styles, *rest, **more: asked.append(1))

    def load(place):
        job = Job(
            content=Path("photo.png"), styles=(Path(place, "p.png"),), recipe=recipe, output="a.png"
        )
        loaded = paint.load(job)
        paint._prepare(loaded, recipe)
        return loaded

    for place, shade in (("one", 0.2), ("two", 0.4)):
        (folder / place).mkdir()
        files.save_image(folder / place / "p.png", jnp.full((32, 32, 3), shade))
        os.utime(folder / place / "p.png", ns=(1, 1))
    sizes = {(folder / place / "p.png").stat().st_size for place in ("one", "two")}
    assert len(sizes) == 1
    shades = [float(load(place).styles[0].mean()) for place in ("one", "two")]
    np.testing.assert_allclose(shades, [0.2, 0.4], rtol=1e-3)
    files.save_image("one/p.png", jnp.full((32, 32, 3), 0.6), overwrite=True)
    before = load("one")
    assert float(before.styles[0].mean()) == pytest.approx(0.6, rel=1e-3)
    assert len(asked) == 3
    os.utime("narrow.h5", ns=(1, 1))
    assert load("one").warm.key != before.warm.key
    load("one")
    assert len(asked) == 4


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


def test_claims_of_another_machine_lapse(tmp_path, monkeypatch):
    """Its process cannot be asked for; as long as it lives, it touches its file."""

    def none(_):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(claims, "_lock", none)
    monkeypatch.setattr(claims, "_TOUCH", 0.01)
    with claims.claim(tmp_path, "a.png"):
        (made,) = (tmp_path / ".claims").glob("*.claim")
        os.utime(made, (1, 1))
        waited = time.monotonic()
        while made.stat().st_mtime < 2:
            assert time.monotonic() - waited < 20
            time.sleep(0.01)
    made.write_text("00000000-1-abc")
    with claims.claim(tmp_path, "a.png") as mine:
        assert not mine
    os.utime(made, (time.time() - 2 * claims._LAPSE,) * 2)
    with claims.claim(tmp_path, "a.png") as mine:
        assert mine
        made.write_text("00000000-1-abc")  # It was only suspended, and has it again.
    assert made.exists()


class AtOnce(painter.Painter):
    """A painter that paints nothing and is done at once."""

    def load(self, job, warm=None):
        return Record(job.output, job.digest, "done")


def run_at_once(folder, jobs, *, notice=lambda text: None, told=lambda fraction: None):
    """What has become of jobs that end at once, and how many failed."""
    ends = {}
    failed = work.run_jobs(
        jobs,
        AtOnce(folder),
        Manifest(folder, "manifest-0-of-2.jsonl"),
        lambda record: ends.update({record.output: record.status}),
        told,
        notice=notice,
    )
    return ends, failed


@pytest.fixture
def three(tmp_path, monkeypatch):
    """Three jobs, and a folder for them."""
    monkeypatch.setattr(taking, "POLL", 0.01)
    photographs = [Path(name) for name in ("a.png", "b.png", "c.png")]
    return make_jobs(photographs, [Path("p.png")], js.Recipe(), "{content}.png", pairs=False)


def test_what_others_have_is_waited_for(tmp_path, three):
    """It is done here if their process ends without it; a stop ends the wait."""
    first, second, _ = three
    for done in (False, True):
        folder, others, told = tmp_path / str(done), contextlib.ExitStack(), []
        folder.mkdir()
        others.enter_context(claims.claim(folder, first.output))
        others.enter_context(claims.claim(folder, second.output))

        def hear(text, done=done, folder=folder, others=others, told=told):
            told.append(text)
            if done:
                (folder / first.output).touch()
                Manifest(folder).add(Record(first.output, first.digest, "done"))
            others.close()

        ends, failed = run_at_once(folder, three, notice=hear)
        assert ends.keys() == {job.output for job in three[done:]}
        assert (failed, told) == (0, ["waiting for 2 that other processes have"])
    with claims.claim(tmp_path, first.output):
        told.clear()
        words = {"notice": told.append, "told": lambda fraction: bool(told)}
        ends, _ = run_at_once(tmp_path, three, **words)
    assert ends.keys() == {job.output for job in three[1:]}
    assert told[1:] == ["1 left to the processes that have them"]


def test_a_job_that_cannot_be_taken_has_failed_and_the_rest_goes_on(tmp_path, three, monkeypatch):
    """As can one whose name is no UTF-8."""
    odd = dataclasses.replace(three[0], output=os.fsdecode(b"caf\xe9.png"))
    plain = Manifest.settles

    def settles(manifest, job):
        if job is three[1]:
            raise PermissionError("not for you")
        return plain(manifest, job)

    monkeypatch.setattr(Manifest, "settles", settles)
    ends, failed = run_at_once(tmp_path, [odd, *three[1:]])
    assert (sorted(ends.values()), failed) == (["done", "done", "failed"], 1)
    entries = Manifest(tmp_path).entries
    assert entries[odd.output]["status"] == "done"
    assert entries["b.png"]["reason"] == "not for you"


def test_what_is_kept_does_not_grow():
    kept, made = Kept[int](2), []
    for key in (1, 2, 1, 3, 1, 2):
        kept.get(key, lambda key=key: made.append(key) or key)
    assert made == [1, 2, 3, 2]
    assert len(kept._values) == 2


def test_a_dry_run_tells_time_and_memory(album, capsys):
    words = ["photos", "--styles", "painting.png"]
    assert batch(*words, "--dry-run") == 0
    assert "time unknown: no picture" in capsys.readouterr().err
    assert batch(*words) == 1
    capsys.readouterr()
    assert batch(*words, "--dry-run", "--style-weight", "3") == 0
    told = capsys.readouterr().err
    assert "2 to paint, of which 1 cannot be" in told
    assert "at the rate of the 1 that are done" in told
    assert re.search(r"memory: \d\.\d GB, for 1 at once of 40×33 px, --memory high", told)
