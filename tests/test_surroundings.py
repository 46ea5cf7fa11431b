"""Terminals, links, files of other programs, missing devices, and the cache folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import command
import jaxstyle as js
from command import check_refused
from jaxstyle import cli
from jaxstyle.atomic import make_private, name_temporary, replacing

folder = command.folder


def stylize(*options, out="out.png"):
    words = ["stylize", "photo.png", "painting.png", "-o", out, *command.ENCODER, *command.QUICK]
    return cli.main([*words, *options])


def run(*words, **environment):
    return subprocess.run(
        [sys.executable, "-m", "jaxstyle", *words],
        env=os.environ | environment,
        capture_output=True,
    )


def test_terminals_without_some_characters(folder):
    printed = run("stylize", "--help", PYTHONIOENCODING="ascii")
    assert printed.returncode == 0, printed.stderr
    assert b"--style-weight" in printed.stdout
    words = ["stylize", "photo.png", "painting.png", *command.ENCODER, *command.QUICK]
    printed = run(*words, "-o", "日.png", PYTHONIOENCODING="ascii")
    assert printed.returncode == 0, printed.stderr
    assert printed.stdout == rb"\u65e5.png" + os.linesep.encode()
    assert Path("日.png").exists()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_settings_in_the_encodings_that_programs_write(folder, encoding):
    Path("mine.toml").write_text("# ü\niterations = 1\n", encoding=encoding)
    assert stylize("--config", "mine.toml", "--quiet") == 0


def test_output_through_a_link(folder, capsys):
    Path("elsewhere").mkdir()
    Path("link.png").symlink_to("elsewhere/real.png")
    check_refused(capsys, folder, stylize(out="link.png"), "link.png", "exists already")
    assert stylize("--overwrite", out="link.png") == 0
    assert Path("link.png").is_symlink()
    assert js.load_image("elsewhere/real.png").shape == (33, 40, 3)


def test_a_file_keeps_its_permissions(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o600)
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600


def test_files_of_killed_processes_are_removed(tmp_path):
    mine = f"{name_temporary('.jaxstyle-')}.tmp"
    dead = mine.replace(f"-{os.getpid()}-", f"-{command.killed_process()}-")
    another = re.sub("-[0-9a-f]{8}-", "-00000000-", dead)
    for name in (mine, dead, another, ".jaxstyle-of-yours.tmp"):
        (tmp_path / name).write_text("half")
    with replacing(tmp_path / "file") as temporary:
        temporary.write_text("new")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"file", mine, another, ".jaxstyle-of-yours.tmp"}


def test_a_folder_is_tidied_once(tmp_path, monkeypatch):
    """A folder with a million pictures is not listed for each of them."""
    seen, plain = [], Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda path: seen.append(path) or plain(path))
    for name in ("a", "b", "c"):
        with replacing(tmp_path / name) as temporary:
            temporary.write_text("new")
    assert seen == [tmp_path]


def test_missing_devices_are_refused(folder):
    words = ["stylize", "photo.png", "painting.png", "-o", "out.png", *command.ENCODER]
    printed = run(*words, JAX_PLATFORMS="rocm")
    assert printed.returncode == 2
    assert printed.stderr.startswith(b"jaxstyle: JAX_PLATFORMS=rocm")
    assert printed.stderr.count(b"\n") == 1


@pytest.mark.parametrize(("options", "needles"), [
    (["--color", "content"], ["--colour"]),
    (["--normalization", "mean"], ["--normalisation"]),
    (["--init", "gray"], ["--init", "grey"]),
    (["--style-layers", "relu1_1"], ["relu1_1", "perhaps conv1_1"]),
    (["--style-layers", "conv1_1,conv1_1"], ["--style-layers", "twice"]),
    (["--size", "100000000"], ["--size", "65536"]),
], ids=lambda value: " ".join(value))  # fmt: skip
def test_messages_suggest_the_intended_name(folder, capsys, options, needles):
    check_refused(capsys, folder, stylize(*options), *needles)


def test_layers_with_spaces(folder):
    assert stylize("--style-layers", "image=3, conv1_1", "--quiet") == 0


def test_programs_of_a_folder_that_others_may_write_to_are_not_run(folder, tmp_path, monkeypatch):
    """Nor stored there; a private folder is used, and only its owner can read it."""
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    words = ["stylize", "photo.png", "painting.png", *command.ENCODER[:2], *command.QUICK]
    mine, shared = tmp_path / "mine", tmp_path / "shared"
    (shared / "compiled").mkdir(parents=True)
    (shared / "compiled").chmod(0o777)
    for number, cache in enumerate((mine, shared)):
        printed = run(*words, "-o", f"{number}.png", "--cache", str(cache), "--quiet")
        assert printed.returncode == 0, printed.stderr
        assert (b"other users can write" in printed.stderr) == (cache == shared)
    assert list((mine / "compiled").iterdir())
    assert (mine / "compiled").stat().st_mode & 0o777 == 0o700
    assert not list((shared / "compiled").iterdir())


# Each function has its name, and with it its file.
MISHAPS = """
import shutil, sys, warnings
from pathlib import Path
import jax, numpy
from jaxstyle.compilation import keep_programs

def run():
    jax.clear_caches()
    for name in "one", "two", "three":
        function = lambda x: 2 * x
        function.__name__ = name
        jax.jit(function)(numpy.ones(3))

folder = Path(sys.argv[1])
keep_programs(folder)
run()
assert len(list(folder.iterdir())) == 3
for path in sorted(folder.iterdir())[:2]:
    path.write_bytes(path.read_bytes()[:20])
run()
assert [path.stat().st_size > 20 for path in folder.iterdir()] == 3 * [True]
shutil.rmtree(folder)
folder.touch()
run()
warnings.warn("of others")
"""


def test_compiled_programs_that_cannot_be_read_or_written(tmp_path):
    """JAX would warn about each, and leave unreadable ones as they are."""
    environment = {name: v for name, v in os.environ.items() if "COMPILATION_CACHE" not in name}
    printed = subprocess.run(
        [sys.executable, "-c", MISHAPS, str(tmp_path / "compiled")],
        env=environment,
        capture_output=True,
    )
    assert printed.returncode == 0, printed.stderr
    assert len(printed.stderr.splitlines()) == 1
    assert printed.stderr.strip().endswith(b"UserWarning: of others")


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o777, 0o770])
def test_a_folder_that_others_can_write_to_is_not_private(tmp_path, mode):
    folder = tmp_path / "cache"
    assert make_private(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(mode)
    assert make_private(folder) == (mode in (0o700, 0o755))
