"""What the tests of the command share."""

import subprocess
import sys

import pytest

from jaxstyle import cli, files, pretrained
from jaxstyle.pretrained import hdf5

LAYERS = ["--content-layers", "conv2_2", "--style-layers", "image=20,conv1_1,conv3_1"]
QUICK = [*LAYERS, "--size", "40", "--scales", "1", "--iterations", "4", "--coarsest", "16"]
# What is kept would be for the tests to come, too.
ENCODER = ["--encoder", "narrow.h5", "--no-compile-cache"]


@pytest.fixture
def folder(tmp_path, encoder, pictures, monkeypatch):
    """A folder with two pictures and the parameters of a narrow encoder; the cache is empty."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAXSTYLE_CACHE", str(tmp_path / "cache"))
    for name, picture in zip(("photo.png", "painting.png"), pictures, strict=True):
        files.save_image(name, picture)
    pretrained.save_encoder("narrow.h5", encoder, {})
    # No stranger's file: a process for each test would take a quarter of a second.
    monkeypatch.setattr(hdf5, "read_apart", hdf5.read)
    return tmp_path


def killed_process():
    """Returns the number of a process that is no more."""
    with subprocess.Popen([sys.executable, "-S", "-c", ""]) as process:
        process.wait()
        return process.pid


def stylize(*options, styles=("painting.png",), out="out.png", quick=QUICK):
    pictures = ["stylize", "photo.png", *styles, "-o", out]
    return cli.main([*pictures, *ENCODER, *quick, *options])


def check_refused(capsys, folder, code, *needles):
    """Exit code 2, one line on stderr that names what is wrong, nothing written."""
    told = capsys.readouterr()
    assert code == 2
    assert told.out == ""
    assert told.err.count("\n") == 1, told.err
    assert told.err.startswith("jaxstyle: ")
    assert "----" not in told.err  # of a box
    for needle in needles:
        assert needle in told.err, told.err
    assert not (folder / "out.png").exists()
    assert not list(folder.glob("*tmp*"))
