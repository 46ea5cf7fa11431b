"""Signals, and pictures that cannot be saved: nothing is lost."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import command
import jaxstyle as js
from command import stylize
from jaxstyle import files, interrupts
from jaxstyle.cli import report

folder = command.folder


@pytest.fixture(autouse=True)
def hangup():
    """Enables SIGHUP, which nohup disables."""
    previous = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, previous)


def interrupt(monkeypatch, act):
    """Calls a function at every report of progress."""
    plain = report.RunBar.update

    def interrupted(self, progress):
        plain(self, progress)
        act()

    monkeypatch.setattr(report.RunBar, "update", interrupted)


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_saves_the_current_picture(folder, monkeypatch, name, code):
    number = getattr(signal, name)
    before = signal.getsignal(number)
    interrupt(monkeypatch, lambda: signal.raise_signal(number))
    assert stylize("--iterations", "1000") == code
    settings = files.load_metadata("out.png").provenance
    assert settings["status"] == "stopped"
    assert int(settings["evaluations"]) < 100
    assert signal.getsignal(number) is before


def test_the_second_ctrl_c_gives_up(folder, monkeypatch):
    interrupt(monkeypatch, lambda: [signal.raise_signal(signal.SIGINT) for _ in range(2)])
    assert stylize("--iterations", "1000") == 130
    assert not (folder / "out.png").exists()


def test_other_signals_may_come_in_a_row(folder, monkeypatch):
    several = [signal.SIGTERM, signal.SIGHUP, signal.SIGTERM]
    interrupt(monkeypatch, lambda: [signal.raise_signal(number) for number in several])
    assert stylize("--iterations", "1000") == 143
    assert files.load_metadata("out.png").provenance["status"] == "stopped"


def test_nohup_is_respected(folder, monkeypatch):
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        interrupt(monkeypatch, lambda: signal.raise_signal(signal.SIGHUP))
        assert stylize() == 0
    finally:
        signal.signal(signal.SIGHUP, previous)


def test_a_terminal_that_closes(folder):
    """Nothing can be printed any more, and the picture is saved all the same."""
    words = [sys.executable, "-m", "jaxstyle", "stylize", "photo.png", "painting.png"]
    words += ["-o", "out.png", *command.ENCODER, *command.QUICK, "--iterations", "100000"]
    # The first process of a session that opens a terminal receives its SIGHUP.
    code = "import os, sys; os.open(os.ttyname(0), os.O_RDWR); os.execv(sys.argv[1], sys.argv[1:])"
    ours, theirs = pty.openpty()
    streams = {name: theirs for name in ("stdin", "stdout", "stderr")}
    with subprocess.Popen(
        [sys.executable, "-c", code, *words], start_new_session=True, **streams
    ) as run:
        os.close(theirs)
        printed = b""
        while b"size 40" not in printed:
            printed += os.read(ours, 1000)
        os.read(ours, 1000)
        os.close(ours)
        assert run.wait(60) == 129
    assert files.load_metadata("out.png").provenance["status"] == "stopped"


def test_ctrl_c_while_importing(tmp_path):
    """As the console script does it; the signal comes as soon as the first module is imported."""
    (tmp_path / "jaxstyle").write_text(
        "import os, signal, sys, threading\n"
        "def end():\n"
        "    while 'jaxstyle.errors' not in sys.modules: pass\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "threading.Thread(target=end, daemon=True).start()\nfrom jaxstyle.cli import main\n"
    )
    printed = subprocess.run(
        [sys.executable, tmp_path / "jaxstyle", "--version"], capture_output=True
    )
    assert (printed.returncode, printed.stderr) == (-signal.SIGINT, b"")


def test_other_programs_keep_their_handling_of_ctrl_c():
    assert not interrupts.IN_COMMAND


# --- Saving ---------------------------------------------------------------------------------------


@pytest.fixture
def places(folder, tmp_path_factory, monkeypatch):
    """The working folder, the temporary one, and one for the output."""
    temporary = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(temporary))
    (folder / "there").mkdir()
    return folder, temporary, folder / "there"


def fail_in(monkeypatch, *folders):
    """Makes writing into some folders fail, as on full disks."""
    plain = os.replace

    def replace(source, target):
        if Path(target).parent in folders:
            raise OSError(28, "No space left on device")
        plain(source, target)

    monkeypatch.setattr("os.replace", replace)


@pytest.mark.parametrize("full", [1, 2, 3])
def test_a_picture_is_saved_where_there_is_room(places, monkeypatch, capsys, full):
    working, temporary, there = places
    (temporary / "out.png").write_bytes(b"another's")
    fail_in(monkeypatch, *(there, working, temporary)[:full])
    code = stylize(out="there/out.png")
    out, printed = capsys.readouterr()
    assert code == 1
    trouble = "there/out.png: cannot be written (No space left on device)"
    assert trouble in printed
    if full == 3:
        assert printed.splitlines()[-1].startswith("jaxstyle: there/out.png: ")
        assert "lost" in printed
    else:
        saved = working / "out.png" if full == 1 else temporary / "out-1.png"
        assert Path(out.strip()).resolve() == saved
        assert f"the picture was saved as {saved}" in printed
        assert js.load_image(saved).shape == (33, 40, 3)
    assert (temporary / "out.png").read_bytes() == b"another's"
    assert not [*working.rglob("*.tmp"), *temporary.rglob("*.tmp")]


@pytest.mark.parametrize("quiet", [[], ["--quiet"]])
def test_a_folder_that_is_removed_during_the_run(places, monkeypatch, capsys, quiet):
    working, _, there = places
    interrupt(monkeypatch, lambda: there.exists() and there.rmdir())
    assert stylize(*quiet, out="there/out.png") == 1
    out, printed = capsys.readouterr()
    assert out == "out.png\n"
    line = printed.splitlines()[-1]
    assert line.startswith("jaxstyle: there/out.png: ")
    assert line.endswith(f"the picture was saved as {working / 'out.png'}")


def test_a_file_that_appears_during_the_run_is_not_replaced(folder, monkeypatch, capsys):
    interrupt(monkeypatch, lambda: Path("out.png").write_bytes(b"another's"))
    assert stylize() == 1
    assert capsys.readouterr().out == "out-1.png\n"
    assert Path("out.png").read_bytes() == b"another's"
    assert js.load_image("out-1.png").shape == (33, 40, 3)


@pytest.mark.parametrize(("suffix", "limit"), [("jpg", 65500), ("webp", 16383)])
def test_sizes_that_a_format_cannot_hold_are_refused_before_the_run(folder, capsys, suffix, limit):
    code = stylize("--size", f"{limit + 1}x16", out=f"out.{suffix}")
    command.check_refused(capsys, folder, code, f"out.{suffix}", str(limit))


# --- Streams that cannot be written ---------------------------------------------------------------

COMMANDS = {
    "stylize": ["stylize", "photo.png", "painting.png", "-o", "out.png", *command.QUICK],
    "batch": ["batch", "photo.png", "--styles", "painting.png", "--name", "out.png", "-o", ".",
              *command.QUICK],
}  # fmt: skip


def run_with(streams, *words):
    """Runs a command in a process whose streams are given as descriptors."""
    line = [sys.executable, "-m", "jaxstyle", *words, *command.ENCODER]
    with subprocess.Popen(line, **streams) as process:
        return process.wait(120)


@pytest.fixture
def broken_pipe():
    """A pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.mark.parametrize("name", ["stylize", "batch"])
def test_a_picture_is_saved_if_stderr_is_closed(folder, broken_pipe, name):
    streams = {"stdout": subprocess.DEVNULL, "stderr": broken_pipe}
    assert run_with(streams, *COMMANDS[name]) == 0
    assert js.load_image("out.png").shape


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_full_streams_lose_no_picture(folder, pictures, broken_pipe):
    """A batch paints everything, and its exit code says that paths could not be printed."""
    for i in range(3):
        files.save_image(f"q{i}.png", pictures[0] * (1 - i / 20))
    words = ["batch", "q*.png", "--styles", "painting.png", "-o", "all", *command.QUICK]
    with open("/dev/full", "w") as full:
        assert run_with({"stdout": full, "stderr": subprocess.DEVNULL}, *words) == 1
        assert len(list(Path("all").glob("*.png"))) == 3
    streams = {"stdout": broken_pipe, "stderr": subprocess.DEVNULL}
    assert run_with(streams, *words, "--style-weight", "3", "--name", "{content}.png") == 0
    assert len(list(Path("all").glob("*.png"))) == 6
