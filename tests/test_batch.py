"""Batches paint each job once, even if they are interrupted, and report jobs that failed."""

import contextlib
import dataclasses
import errno
import itertools
import json
import os
import re
import shutil
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
from jaxstyle.batch import claims, loop
from jaxstyle.batch.inputs import PictureFile
from jaxstyle.batch.lists import make_jobs
from jaxstyle.batch.local import LocalExecutor
from jaxstyle.batch.manifest import Manifest
from jaxstyle.batch.order import default_lanes
from jaxstyle.batch.records import Record
from jaxstyle.cli.shard import parse_shard
from jaxstyle.errors import ResourceError
from jaxstyle.jobs import Job, Painter, painter
from jaxstyle.jobs.lru import LruCache
from jaxstyle.recipes import fitting
from jaxstyle.recipes.demand import Demand

folder = command.folder
QUICK_LAYERS = {"content_layers": {"conv2_2": 1.0}, "style_layers": {"conv1_1": 1.0}}
SETTINGS = [*command.ENCODER, *command.QUICK]


def batch(*words, out="all"):
    return cli.main(["batch", *words, "-o", out, *SETTINGS])


def entries(folder, name="manifest.jsonl"):
    return [json.loads(line) for line in (folder / "all" / name).read_text().splitlines()]


@pytest.fixture
def album(folder, pictures):
    """A folder with a photograph and a damaged file, and two paintings."""
    (folder / "photos").mkdir()
    height, width = pictures[0].shape[:2]
    alpha = jnp.broadcast_to(jnp.linspace(0.2, 1, width), (height, width))
    files.save_image("photos/a.png", pictures[0], alpha=alpha)
    (folder / "photos" / "bad.png").write_bytes(b"no picture")
    files.save_image("other.png", 1 - pictures[1])
    return folder


def test_bad_jobs_are_reported_and_the_rest_is_painted(album, capsys):
    words = ["photos", "--styles", "painting.png", "other.png"]
    assert batch(*words) == 1
    printed = capsys.readouterr()
    assert [line.split("/")[-1] for line in printed.out.split()] == [
        "a_other.png",
        "a_painting.png",
    ]
    assert "bad_other.png: " in printed.err
    assert "bad_painting.png: " in printed.err
    # Each is what the command for one picture paints, transparency included.
    cli.main(["stylize", "photos/a.png", "other.png", "-o", "one.png", *SETTINGS])
    one, same = files.load_picture("one.png"), files.load_picture("all/a_other.png")
    np.testing.assert_array_equal(one.image, same.image)
    np.testing.assert_array_equal(one.alpha, same.alpha)
    assert cli.main(["batch", "--status", "-o", "all"]) == 1
    assert capsys.readouterr().out.split()[-4:] == ["done", "failed", "2", "2"]


def test_a_second_run_paints_what_is_missing_or_changed(album, capsys, pictures):
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
    # Half a line, left by a SIGKILL, costs only its own job.
    path = album / "all" / "manifest.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    assert batch(*words, "--style-weight", "3") == 0
    lines = path.read_text().splitlines()
    assert len(lines) == 7
    assert batch(*words, "--style-weight", "3") == 0
    assert len(path.read_text().splitlines()) == 7


def test_inputs_are_never_replaced(album, capsys):
    """No output may be a picture of any job, by whatever path; also where nothing is painted."""
    os.link("photos/a.png", "photos/twin.png")
    (album / "photos" / "link.png").symlink_to("../painting.png")
    before = {path: path.read_bytes() for path in (album / "photos").iterdir()}
    for name in ("{content}.png", "./{content}.png", "link.png", "twin.png"):
        for more in ([], ["--dry-run"], ["--overwrite"]):
            words = ["photos/a.png", "--styles", "painting.png", "--name", name, *more]
            message = "would replace an input"
            command.check_refused(capsys, album, batch(*words, out="photos"), message)
    assert before == {path: path.read_bytes() for path in (album / "photos").iterdir()}


def test_files_of_other_programs_are_kept(album, capsys):
    words, path = ["photo.png", "--styles", "painting.png"], album / "all" / "photo_painting.png"
    path.parent.mkdir()
    path.write_bytes(b"another file")
    assert batch(*words, "--dry-run") == 0
    assert "exists already" in capsys.readouterr().out
    for _ in range(2):  # A failed job does not make the file the batch's own.
        assert batch(*words) == 1
        assert "photo_painting.png: exists already" in capsys.readouterr().err
        assert path.read_bytes() == b"another file"
    assert batch(*words, "--overwrite") == 0
    # A SIGKILL before the line was written: the picture itself records which job it is.
    (album / "all" / "manifest.jsonl").unlink()
    assert batch(*words) == 0
    (album / "all" / "manifest.jsonl").unlink()
    assert batch(*words, "--style-weight", "3") == 1


def test_painted_pictures_are_not_photographs(album, capsys):
    (album / "photos" / "bad.png").unlink()
    record = Record("a_painting.png", "", "done")
    manifest = Manifest(album / "photos")
    manifest.add(record)
    manifest.add(record._replace(status="failed"))
    (album / "photos" / record.output).write_bytes(b"")
    for words in (["photos"], ["photos/*.png"]):
        assert batch(*words, "--styles", "other.png", "--dry-run", out="photos") == 0
        assert "a_painting" not in capsys.readouterr().out


def test_json(folder, capsys):
    """One object with pictures and failures, although another thread reports them."""
    assert batch("photo.png", "gone.png", "--styles", "painting.png", "--json") == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed["paths"] == [os.path.join("all", "photo_painting.png")]
    assert [line.partition(":")[0] for line in printed["errors"]] == ["gone_painting.png"]
    assert printed["exit_code"] == 1


def test_the_last_line_about_a_job_counts(tmp_path):
    """By time between files; in one file by position, whatever the clock said."""
    names = ("manifest.jsonl", "manifest-0-of-2.jsonl", "manifest-1-of-2.jsonl")
    for first, last in itertools.permutations(names, 2):
        for name, status in ((first, "failed"), (last, "done")):
            Manifest(tmp_path, name).add(Record("a.png", "", status))
            time.sleep(0.002)
        assert Manifest(tmp_path).entries["a.png"]["status"] == "done"
    # Lines without a time, from a clock that was ahead, and cut off.
    lines = [
        '{"output": "a.png", "status": "failed"}',
        '{"output": "a.png", "status": "failed", "ended": 1e12}',
        '{"output": "b.png", "status": "failed", "ended": 1e12}',
        '{"output": "b.png", "status": "done", "ended": 5}',
        '{"output": "b.png", "sta',
    ]
    (tmp_path / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    entries = Manifest(tmp_path).entries
    assert {name: entry["status"] for name, entry in entries.items()} == {
        "a.png": "done",
        "b.png": "done",
    }


def test_pictures_that_were_cut_or_removed_are_painted_again(tmp_path):
    manifest, path = Manifest(tmp_path), tmp_path / "a.png"
    path.write_bytes(b"picture")
    manifest.add(Record("a.png", "digest", "done", size=7))
    assert manifest.is_done("a.png", "digest")
    assert not manifest.is_done("a.png", "another")
    path.write_bytes(b"pic")
    assert not manifest.is_done("a.png", "digest")
    path.unlink()
    assert not manifest.is_done("a.png", "digest")
    assert manifest.missing() == ["a.png"]


def test_the_folder_is_not_read_for_every_job(tmp_path, monkeypatch):
    """It notices the pictures of a process that has just started."""
    manifest, scans, plain = Manifest(tmp_path), [], Path.glob
    monkeypatch.setattr(Path, "glob", lambda *words: scans.append(1) or plain(*words))
    for _ in range(9):
        manifest.refresh("a.png")
    assert not scans
    other = Manifest(tmp_path, "manifest-0-of-2.jsonl")
    (tmp_path / "a.png").touch()
    other.add(Record("a.png", "digest", "done"))
    manifest.refresh("a.png")
    assert manifest.is_done("a.png", "digest")
    other.add(Record("a.png", "another", "done"))
    manifest.refresh("a.png")
    assert not manifest.is_done("a.png", "digest")


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
    "row": (["jobs.csv"], "row 2: styles"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_batches_with_mistakes(folder, capsys, case):
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
def test_shards_as_launchers_number_them(text, environment, share):
    if share is None:
        with pytest.raises(js.InputError, match=f"--shard {text}"):
            parse_shard(text, environment)
    else:
        assert parse_shard(text, environment) == share


def test_a_killed_batch_and_two_at_once_paint_every_picture_once(album, pictures):
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


def test_targets_are_made_once_per_painting(album, pictures, monkeypatch):
    """Four photographs and two paintings: two measurements, and the same pictures as stylize."""
    from jaxstyle.evaluate import targets

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


def test_lanes_paint_the_same_as_single_runs(album, pictures, monkeypatch):
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
    assert widths == [2]  # The third one is painted alone.
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
    """Lanes do not fit, but one picture at a time with a smaller plan; the job stays the same."""
    files.save_image("twin.png", 1 - pictures[0])
    monkeypatch.setattr(Demand, "memories", ("whole", "tiles"))
    for module in (painter, fitting):
        monkeypatch.setattr(module, "choose", lambda demand: demand.choices()[1:])
    monkeypatch.setattr(painter, "paint_lanes", None)
    words = ["photo.png", "twin.png", "--styles", "painting.png", "--lanes", "2"]
    assert batch(*words) == 0
    assert files.load_metadata("all/photo_painting.png").settings["memory"] == "tiles"
    assert batch(*words) == 0
    assert len(entries(folder)) == 2


@pytest.mark.parametrize(("error", "painted"), [
    (RuntimeError("a fault"), False), (ResourceError("too large"), True), (MemoryError(), True),
])  # fmt: skip
def test_only_lack_of_memory_has_lanes_painted_one_by_one(folder, monkeypatch, error, painted):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(painter, "paint_lanes", fail)
    paint, job = Painter(), quick_job("photo.png")
    ends = paint.paint_all([paint.load(job), paint.load(dataclasses.replace(job, output="b.png"))])
    assert [isinstance(end, painter.Painting) for end in ends] == [painted] * 2


def test_more_lanes_where_pictures_are_small():
    assert default_lanes((64, 64), "cpu") == 1
    counts = [default_lanes((side, side), "gpu") for side in (64, 512, 1024, 4096)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1] == 1


def quick_job(content, style="painting.png"):
    settings = {"encoder": "narrow.h5", "size": 40, "iterations": 2, "scales": 1}
    recipe = js.Recipe(**settings, **QUICK_LAYERS)
    return Job(recipe=recipe, content=Path(content), styles=(Path(style),), output="a.png")


def test_caches_notice_files_that_change(folder, pictures, monkeypatch):
    """A painting that is replaced, another one of its name, size and time, another encoder."""
    paint, made, plain = Painter(), [], painter.prepare_styles
    monkeypatch.setattr(
        painter, "prepare_styles", lambda *words, **more: made.append(1) or plain(*words, **more)
    )

    def load(place):
        inputs = paint.load(quick_job("photo.png", f"{place}/p.png"))
        paint.paint(inputs)
        return inputs

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
    assert len(made) == 3
    os.utime("narrow.h5", ns=(1, 1))
    assert load("one").encoder.key != before.encoder.key
    load("one")
    assert len(made) == 4


def test_paths_in_a_list_are_relative_to_it(folder, pictures):
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
    """On a file system without locks; the claim of a dead process is taken over."""

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


def test_claims_of_another_machine_expire(tmp_path, monkeypatch):
    """Its process cannot be checked; as long as it lives, it touches its file."""

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
    os.utime(made, (time.time() - 2 * claims._EXPIRY,) * 2)
    with claims.claim(tmp_path, "a.png") as mine:
        assert mine
        made.write_text("00000000-1-abc")  # It was only suspended, and continues.
    assert made.exists()


class Instant(Painter):
    """A painter whose jobs fail at once."""

    def load(self, job, encoder=None):
        raise ResourceError("nothing is painted here")


def run_at_once(folder, jobs, *, notice=lambda line: None, progress=lambda fraction: None):
    """Returns the status of jobs that fail at once, and how many there were."""
    ends = {}
    failed = loop.run_jobs(
        jobs,
        Manifest(folder, "manifest-0-of-2.jsonl"),
        LocalExecutor(folder, Instant()),
        report=lambda record: ends.update({record.output: record.reason}),
        progress=progress,
        notice=notice,
    )
    return ends, failed


@pytest.fixture
def three(monkeypatch):
    """Three jobs."""
    monkeypatch.setattr(loop, "POLL", 0.01)
    photographs = [PictureFile(Path(name)) for name in ("a.png", "b.png", "c.png")]
    return make_jobs(photographs, [PictureFile(Path("p.png"))], js.Recipe(), "{content}.png")


def test_a_batch_waits_for_jobs_of_other_processes(tmp_path, three):
    """They are painted here if their process ends without it; a stop ends the wait."""
    first, second, _ = three
    for done in (False, True):
        folder, others, notices = tmp_path / str(done), contextlib.ExitStack(), []
        folder.mkdir()
        others.enter_context(claims.claim(folder, first.output))
        others.enter_context(claims.claim(folder, second.output))

        def hear(line, done=done, folder=folder, others=others, notices=notices):
            notices.append(line)
            if done:
                (folder / first.output).touch()
                Manifest(folder).add(Record(first.output, first.digest, "done"))
            others.close()

        ends, failed = run_at_once(folder, three, notice=hear)
        assert ends.keys() == {job.output for job in three[done:]}
        assert failed == len(ends)
        assert notices == ["waiting for 2 that other processes are painting"]
    with claims.claim(tmp_path, first.output):
        notices.clear()
        options = {"notice": notices.append, "progress": lambda fraction: bool(notices)}
        ends, _ = run_at_once(tmp_path, three, **options)
    assert ends.keys() == {job.output for job in three[1:]}
    assert notices[1:] == ["1 left to the processes that paint them"]


def test_a_job_that_cannot_be_claimed_fails_alone(tmp_path, three, monkeypatch):
    """Names need not be UTF-8."""
    odd = dataclasses.replace(three[0], output=os.fsdecode(b"caf\xe9.png"))
    plain = Manifest.refresh

    def refresh(manifest, output):
        if output == three[1].output:
            raise PermissionError("not for you")
        return plain(manifest, output)

    monkeypatch.setattr(Manifest, "refresh", refresh)
    ends, failed = run_at_once(tmp_path, [odd, *three[1:]])
    assert failed == 3
    assert ends["b.png"] == "not for you"
    assert Manifest(tmp_path).entries[odd.output]["reason"] == "nothing is painted here"


def test_an_lru_cache_does_not_grow():
    dropped, made = [], []
    cache = LruCache[int](2, dropped.append)
    for key in (1, 2, 1, 3, 1, 2):
        cache.get(key, lambda key=key: made.append(key) or key)
    assert made == [1, 2, 3, 2]
    assert dropped == [2, 3]


def test_a_folder_that_is_removed_during_the_run(folder, pictures, monkeypatch, capsys):
    """Pictures that were painted before are missing, and the exit code says so."""
    files.save_image("twin.png", 1 - pictures[0])
    plain = Manifest.add

    def add(manifest, record):
        plain(manifest, record)
        if len(manifest.made) == 1:
            shutil.rmtree("all")

    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "add", add)
        assert batch("photo.png", "twin.png", "--styles", "painting.png") == 1
    assert "all: 1 results were removed during the run" in capsys.readouterr().err
    assert batch("photo.png", "twin.png", "--styles", "painting.png") == 0


def test_a_dry_run_estimates_time_and_memory(album, capsys):
    words = ["photos", "--styles", "painting.png"]
    assert batch(*words, "--dry-run") == 0
    assert "time unknown: no picture" in capsys.readouterr().err
    assert batch(*words) == 1
    capsys.readouterr()
    assert batch(*words, "--dry-run", "--style-weight", "3") == 0
    printed = capsys.readouterr().err
    assert "2 to paint, of which 1 cannot be" in printed
    assert "at the rate of the 1 that are done" in printed
    assert re.search(r"memory: \d\.\d GB, for 1 at once of 40×33 px, --memory whole", printed)
