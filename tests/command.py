"""Helpers of the command's tests."""

import subprocess
import sys

import pytest

from jaxstyle import cli, files, pretrained

LAYERS = ["--content-layers", "conv2_2", "--style-layers", "image=20,conv1_1,conv3_1"]
QUICK = [*LAYERS, "--size", "40", "--scales", "1", "--iterations", "4", "--coarsest", "16"]
# Programs that are stored would be used by later tests, too.
ENCODER = ["--encoder", "narrow.h5", "--no-compile-cache"]


@pytest.fixture
def folder(tmp_path, encoder, pictures, monkeypatch):
    """A folder with two pictures and the parameters of a narrow encoder; the cache is empty."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAXSTYLE_CACHE", str(tmp_path / "cache"))
    for name, picture in zip(("photo.png", "painting.png"), pictures, strict=True):
        files.save_image(name, picture)
    pretrained.save_encoder("narrow.h5", encoder, {})
    return tmp_path


def killed_process():
    """Returns the number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-S", "-c", ""]) as process:
        process.wait()
        return process.pid


def stylize(*options, styles=("painting.png",), out="out.png", quick=QUICK):
    pictures = ["stylize", "photo.png", *styles, "-o", out]
    return cli.main([*pictures, *ENCODER, *quick, *options])


def check_refused(capsys, folder, code, *needles):
    """Exit code 2, one line on stderr that names what is wrong, nothing written."""
    printed = capsys.readouterr()
    assert code == 2
    assert printed.out == ""
    assert printed.err.count("\n") == 1, printed.err
    assert printed.err.startswith("jaxstyle: ")
    assert "----" not in printed.err  # of a box
    for needle in needles:
        assert needle in printed.err, printed.err
    assert not (folder / "out.png").exists()
    assert not list(folder.glob("*tmp*"))
