"""Pictures that are painted again from their metadata, and runs that are resumed after a kill."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import command
import jaxstyle as js
from command import ENCODER, QUICK, check_refused, killed_process, stylize
from jaxstyle import cli, files
from jaxstyle.atomic import name_temporary
from jaxstyle.errors import InputWarning
from jaxstyle.jobs import painter
from jaxstyle.recipes import demand, fitting

folder = command.folder


def rerun(*words):
    return cli.main(["rerun", *words, "--no-compile-cache"])


@pytest.mark.parametrize("out", ["out.png", "out.jpg", "out.webp", "out.tif"])
def test_rerun_makes_the_same_file(folder, capsys, out):
    options = ["--blend", "1,3", "--style-weight", "50", "--init", "painting.png"]
    stylize(*options, styles=("painting.png", "photo.png"), out=out)
    (folder / "away").mkdir()
    for name in (out, "photo.png", "narrow.h5", "painting.png"):
        (folder / name).rename(folder / "away" / name)
    (folder / "photo.png").write_bytes(b"another one of that name")
    assert rerun(f"away/{out}", "-o", f"again{Path(out).suffix}") == 0
    printed = capsys.readouterr().err
    assert "the same file, byte for byte" in printed
    assert "different from" not in printed
    assert Path(f"again{Path(out).suffix}").read_bytes() == (folder / "away" / out).read_bytes()
    assert not {"away", str(folder)} & set(str(files.load_metadata(f"away/{out}")).split("/"))


def test_rerun_reports_other_settings_and_pictures(folder, capsys):
    stylize()
    files.save_image("photo.png", 1 - js.load_image("photo.png"), overwrite=True)
    assert rerun("out.png", "--style-weight", "3", "-o", "other.png") == 0
    printed = capsys.readouterr().err
    assert "different from out.png: style_weight 3.0, was " in printed
    assert "different from out.png: inputs: content" in printed
    assert "same file" not in printed
    before, after = (files.load_metadata(name) for name in ("out.png", "other.png"))
    assert after.settings == before.settings | {"style_weight": 3.0}
    other = files.load_metadata("other.png").provenance["sha256"]["content"]
    assert other != before.provenance["sha256"]["content"]


def test_rerun_reports_other_versions_and_devices(folder, capsys):
    stylize()
    settings, provenance = files.load_metadata("out.png")
    provenance |= {
        "jax": "0.0.1",
        "version": "0.0.0",
        "device": "abacus",
        "encoder_sha256": "0" * 64,
    }
    provenance |= {"devices": 1000}
    files.save_image(
        "out.png",
        js.load_image("out.png"),
        metadata=settings,
        provenance=provenance | {"status": "stopped", "masks": True, "continued_from": settings},
        overwrite=True,
    )
    assert rerun("out.png") == 0
    said = capsys.readouterr().err
    for words in (
        "devices 1, was 1000",
        "was 0.0.1",
        "was 0.0.0",
        "was abacus",
        "was 000000000000",
        "stopped early",
    ):
        assert words in said
    assert "continued from a preview" in said
    assert "without masks" in said
    assert files.load_metadata("out-rerun.png").settings == settings


def test_rerun_of_a_texture_and_of_a_masked_picture(folder, capsys):
    words = ["-o", "tile.png", *ENCODER, "--style-layers", "conv1_1", "--scales", "1"]
    words += ["--iterations", "2"]
    assert cli.main(["texture", "painting.png", "--size", "32x16", "--seamless", *words]) == 0
    assert rerun("tile.png", "--devices", "all") == 2
    assert rerun("tile.png", "--watch") == 0
    assert Path("tile.png").read_bytes() == Path("tile-rerun.png").read_bytes()
    half = np.zeros((36, 44, 3), np.float32)
    half[:, 22:] = 1
    files.save_image("guide.png", js.load_image("photo.png") * 0 + half)
    stylize("--content-mask", "guide.png", "--style-mask", "guide.png", styles=("photo.png",))
    assert rerun("out.png") == 0
    assert Path("out.png").read_bytes() == Path("out-rerun.png").read_bytes()


@pytest.mark.parametrize(("prepare", "words", "needles"), [
    (lambda: None, ["photo.png"], ["photo.png", "has no settings"]),
    (lambda: None, ["missing.png"], ["missing.png", "no such file"]),
    (lambda: None, [], ["rerun --help"]),
    (lambda: os.rename("a.png", "b.png"), ["there.png"], ["there.png", "a.png", "--content"]),
], ids=["others", "missing", "none", "moved"])  # fmt: skip
def test_rerun_refuses(folder, capsys, prepare, words, needles):
    Path("photo.png").rename("a.png")
    cli.main(["stylize", "a.png", "painting.png", "-o", "there.png", *ENCODER, *QUICK])
    files.save_image("photo.png", js.load_image("painting.png"))
    capsys.readouterr()
    prepare()
    check_refused(capsys, folder, rerun(*words, "-o", "out.png"), *needles)


def test_config_reads_a_picture(folder):
    stylize("--style-weight", "77", "--pooling", "max")
    words = ["stylize", "photo.png", "painting.png", "--config", "out.png", "--no-compile-cache"]
    assert cli.main([*words, "-o", "same.png"]) == 0
    assert Path("same.png").read_bytes() == Path("out.png").read_bytes()
    assert cli.main([*words, "-o", "other.png", "--tv-weight", "9"]) == 0
    assert files.load_metadata("other.png").settings["tv_weight"] == 9


# --- Checkpoints ----------------------------------------------------------------------------------

LONG = [*QUICK, "--scales", "2", "--scale-factor", "1.4", "--coarse-iterations", "24"]
LONG += ["--iterations", "40", "--history", "3"]

# Kills itself with SIGKILL at a given moment.
KILLED = """
import os, signal, sys
from jaxstyle import cli, files
from jaxstyle.jobs import checkpoints
from jaxstyle.run import chunks

moment, chunks._CHUNK_LIMIT, checkpoints._MAX_SHARE = sys.argv[1], 4, float("inf")

def end():
    os.kill(os.getpid(), signal.SIGKILL)

save, replace, number = files.save_checkpoint, os.replace, [0]

def save_or_die(folder, checkpoint):
    number[0] += 1
    here = f"{checkpoint.scale}:{checkpoint.step}"
    if moment == f"before {here}":
        end()
    if moment == f"within {here}":
        os.replace = lambda *_: end()
    save(folder, checkpoint)
    if moment == f"after {here}":
        end()

def copy_or_die(*arguments):
    copy(*arguments)
    if moment == "copying":
        end()

copy = checkpoints.shutil.copyfile
checkpoints.shutil.copyfile = copy_or_die
files.save_checkpoint = save_or_die
sys.exit(cli.main(sys.argv[2:]))
"""


def kill_at(moment, *words):
    command = [sys.executable, "-c", KILLED, moment, *words]
    return subprocess.run(command, capture_output=True, text=True)


OFTEN = ["copying", "within 0:24"]
SELDOM = ["before 0:4", "within 0:8", "after 0:24", "within 1:4", "before 1:40", "after 1:40"]


@pytest.mark.parametrize(
    "moment", [*OFTEN, *(pytest.param(moment, marks=pytest.mark.slow) for moment in SELDOM)]
)
def test_killed_at_any_moment_the_end_is_the_same(folder, capsys, moment):
    words = ["photo.png", "painting.png", *ENCODER, *LONG]
    assert cli.main(["stylize", *words, "-o", "whole.png", "--trace", "whole.jsonl"]) == 0
    begin = ["stylize", *words, "-o", "out.png", "--checkpoint", "kept", "--checkpoint-every", "0"]
    begin += ["--trace", "out.jsonl", "--preview", "preview.png"]
    run = kill_at(moment, *begin)
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert not Path("out.png").exists()
    if moment == "copying":  # The run never began: the same command begins it.
        assert cli.main(["resume", "kept"]) == 2
        assert cli.main(begin) == 0
    else:
        for name in ("photo.png", "painting.png", "narrow.h5"):  # It has all it needs.
            Path(name).rename(f"moved-{name}")
        assert len(list(Path("kept").glob("*.npz"))) <= 2
        assert cli.main(["resume", "kept", "--no-compile-cache"]) == 0
    assert Path("out.png").read_bytes() == Path("whole.png").read_bytes()
    assert not Path("kept").exists()
    # Files that watch the run go on with it.
    assert traced("out.jsonl") == traced("whole.jsonl")
    assert np.array_equal(files.load_image("preview.png"), files.load_image("whole.png"))


def traced(path):
    rows = [json.loads(line) for line in Path(path).read_text().splitlines()]
    assert [row["seconds"] for row in rows] == sorted(row.pop("seconds") for row in rows)
    return rows


def test_a_stopped_run_is_resumed(folder, monkeypatch, capsys):
    words = ["stylize", "photo.png", "painting.png", *ENCODER, *QUICK, "--iterations", "9"]
    words += ["--checkpoint", "kept", "-o"]
    cli.main([*words[:-3], "-o", "whole.png"])
    plain = painter.paint

    def stopped(*arguments, callback, **options):
        def stop(progress):
            signal.raise_signal(signal.SIGTERM)
            return callback(progress)

        return plain(*arguments, callback=stop, **options)

    with monkeypatch.context() as patch:
        patch.setattr(painter, "paint", stopped)
        assert cli.main([*words, "out.png"]) == 143
    assert files.load_metadata("out.png").provenance["status"] == "stopped"
    # Another run keeps out of the folder, and the same one goes on in it.
    capsys.readouterr()
    assert cli.main([*words, "other.png", "--tv-weight", "1"]) == 2
    assert "kept: has checkpoints of another run" in capsys.readouterr().err
    # The newest checkpoint is damaged: the one before it, or the beginning, serves.
    for path in Path("kept").glob("*.npz"):
        path.with_name("checkpoint-000000999.npz").write_bytes(path.read_bytes()[:500])
    with pytest.warns(InputWarning, match=r"999\.npz: is damaged; continuing from the checkpoint"):
        assert cli.main(["resume", "kept", "--no-compile-cache"]) == 0
    assert Path("out.png").read_bytes() == Path("whole.png").read_bytes()


def set_room(monkeypatch, pictures):
    """Leaves room for so many pictures, and for features only in tiles."""
    lines = {name: demand.MemoryLine(0, 0, name == "whole", 3) for name in ("whole", "tiles")}
    monkeypatch.setattr(demand.Demand, "memories", ("whole", "tiles"))
    rooms = [(lines, 12.0 * 40 * 33 * pictures, "more")]
    monkeypatch.setattr(fitting, "_rooms", lambda: iter(rooms))


def give_up(monkeypatch, *words):
    """Runs a command that is given up when it has saved a checkpoint."""
    save = files.save_checkpoint

    def and_give_up(*arguments):
        save(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(files, "save_checkpoint", and_give_up)
        assert cli.main([*words, "--checkpoint", "kept", "--checkpoint-every", "0"]) == 130


@pytest.mark.parametrize("again", ["resume", "stylize"])
def test_a_resumed_run_keeps_its_plan_whatever_memory_is_free(folder, monkeypatch, capsys, again):
    """With fewer pairs than were asked for; with less memory it waits for more."""
    line = ["stylize", "photo.png", "painting.png", "-o", "out.png", *ENCODER, *QUICK]
    line += ["--iterations", "6", "--save-every", "3", "--history", "40"]
    set_room(monkeypatch, 3 + 1.35 * 2 * 16.5)
    give_up(monkeypatch, *line)
    chosen = json.loads(Path("kept/run.json").read_text())["chosen"]
    assert chosen["memory"] == "tiles"
    assert chosen["history"] == 16
    capsys.readouterr()
    words = [*line, "--checkpoint", "kept"] if again == "stylize" else ["resume", "kept"]
    set_room(monkeypatch, 20)
    assert cli.main(words) == 1
    assert "--memory tiles would need" in (printed := capsys.readouterr().err)
    assert "free some" in printed
    assert printed.count("jaxstyle: ") == 1
    set_room(monkeypatch, 1e6)
    assert cli.main(words) == 0
    settings = files.load_metadata("out.png").settings
    assert {name: settings[name] for name in chosen} == chosen
    assert "memory whole" not in capsys.readouterr().err


def test_a_run_that_never_began_does_not_block_its_folder(folder, monkeypatch, capsys):
    """Refused for its memory, or while it was painted: its advice can be followed."""
    words = ["--checkpoint", "kept", "--memory"]
    set_room(monkeypatch, 2)
    assert stylize(*words, "whole") == 1
    assert not Path("kept").exists()
    set_room(monkeypatch, 1e6)
    # A process was killed while it wrote which run it is.
    name = name_temporary(".jaxstyle-").replace(f"-{os.getpid()}-", f"-{killed_process()}-")
    Path("kept").mkdir()
    Path("kept", f"{name}.tmp").write_text("{")
    with monkeypatch.context() as patch:
        patch.setattr(painter, "paint", lambda *_, **__: files.load_image("no-such.png"))
        assert stylize(*words, "whole") == 2
    assert json.loads(Path("kept/run.json").read_text())["recipe"]["memory"] == "whole"
    before = Path("kept/inputs/content/photo.png").read_bytes()
    # What reads the copies that are there must not replace them.
    assert cli.main(["stylize", "kept/inputs/content/photo.png", "painting.png", "-o", "out.png",
                     *ENCODER, *QUICK, *words, "tiles"]) == 2  # fmt: skip
    assert Path("kept/inputs/content/photo.png").read_bytes() == before
    assert stylize(*words, "tiles") == 0


def test_resume_replaces_only_files_of_the_run(folder, monkeypatch, capsys):
    line = ["stylize", "photo.png", "painting.png", "-o", "out.png", *ENCODER, *QUICK]
    watched = ["--trace", "out.jsonl", "--preview", "now.png", "--save-every", "1"]
    give_up(monkeypatch, *line, *watched, "--iterations", "6", "--overwrite")
    photo = Path("photo.png").read_bytes()
    Path("other.jsonl").write_text("mine")
    capsys.readouterr()
    for name, option in {
        "photo.png": "--preview",
        "painting.png": "-o",
        "other.jsonl": "--trace",
    }.items():
        assert cli.main(["resume", "kept", option, name]) == 2
        assert f"{name}: exists already" in capsys.readouterr().err
    assert Path("photo.png").read_bytes() == photo
    assert cli.main(["resume", "kept", "--watch", "--trace", "other.jsonl", "--overwrite"]) == 0
    assert "not a terminal" in capsys.readouterr().err
    assert len(list(folder.glob("out-?.png"))) == 6


@pytest.mark.parametrize(("prepare", "needle"), [
    (lambda kept: None, "no such folder"),
    (lambda kept: kept.mkdir(), "has no unfinished run"),
    (lambda kept: [kept.mkdir(), (kept / "run.json").write_text("{")], "is damaged"),
], ids=["none", "empty", "damaged"])  # fmt: skip
def test_resume_refuses(folder, capsys, prepare, needle):
    prepare(folder / "kept")
    check_refused(capsys, folder, cli.main(["resume", "kept"]), "kept", needle)


def test_checkpoints_that_cannot_be_saved_lose_no_picture(folder, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "save_checkpoint", full)
    assert stylize("--checkpoint", "kept", "--checkpoint-every", "0") == 0
    assert "kept: no checkpoint was saved (No space left on device)" in capsys.readouterr().err
    Path("kept").mkdir()
    Path("kept/thesis.txt").write_text("mine")
    Path("out.png").unlink()
    check_refused(capsys, folder, stylize("--checkpoint", "kept"), "kept: is not empty")
    assert Path("kept/thesis.txt").read_text() == "mine"


def test_pictures_with_the_same_name_are_distinguished(folder, capsys):
    """By their checksums: a photograph is not used as a painting of the same name."""
    Path("away").mkdir()
    Path("painting.png").rename("away/photo.png")
    stylize(styles=("away/photo.png",))
    capsys.readouterr()
    check = rerun("out.png", "-o", "again.png")
    assert check == 2
    assert "photo.png is another of its pictures" in capsys.readouterr().err
    assert rerun("out.png", "-o", "again.png", "--styles", "away/photo.png") == 0
    assert Path("again.png").read_bytes() == Path("out.png").read_bytes()


def test_runs_whose_files_were_changed(folder, monkeypatch, capsys):
    """One line that does not advise the command that has just failed."""
    line = ["stylize", "photo.png", "painting.png", "-o", "out.png", *ENCODER, *QUICK]
    give_up(monkeypatch, *line)
    path, capture = Path("kept/run.json"), capsys.readouterr
    whole = json.loads(path.read_text())
    for change in (
        {"run": []},
        {"options": [1]},
        {"options": {"watching": []}},
        {"files": {"x": 1}},
    ):
        path.write_text(json.dumps(whole | change))
        capture()
        check_refused(capsys, folder, cli.main(["resume", "kept"]), "kept/run.json: is damaged")
    path.write_text("[" * 100_000)
    check_refused(capsys, folder, cli.main(["resume", "kept"]), "kept/run.json: is damaged")
    path.write_text(json.dumps(whole))
    files.save_image("kept/inputs/content/photo.png", js.load_image("painting.png"), overwrite=True)
    code = cli.main(["resume", "kept", "--quiet", "--no-compile-cache"])
    check_refused(capsys, folder, code, "kept: the inputs or options of the run have changed")
