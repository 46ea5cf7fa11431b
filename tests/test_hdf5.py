"""HDF5 files of others: links to other files, too large contents, and crashes of libhdf5."""

import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

from jaxstyle import cli, pretrained
from jaxstyle.encoder.vgg import VGG
from jaxstyle.errors import InputError
from jaxstyle.pretrained import hdf5, random_encoder, read_encoder, save_encoder

NETWORK = VGG((1, 1), (4, 5))
KERNEL = "conv1_1/kernel"
SHAPE = (3, 3, 3, 4)


@pytest.fixture
def path(tmp_path):
    save_encoder(tmp_path / "x.h5", random_encoder(NETWORK), {"licence": "mine", "epochs": 3})
    return tmp_path / "x.h5"


def in_another_file(file, folder):
    secret = folder / "secret"
    secret.write_bytes(bytes(4 * 108))
    del file[KERNEL]
    file.create_dataset(KERNEL, SHAPE, "f4", external=[(str(secret), 0, 4 * 108)])


def in_a_pipe(file, folder):
    os.mkfifo(folder / "pipe")
    del file[KERNEL]
    file.create_dataset(KERNEL, SHAPE, "f4", external=[(str(folder / "pipe"), 0, 4 * 108)])


def virtual(file, folder):
    with h5py.File(folder / "other.h5", "w") as other:
        other["kernel"] = np.ones(SHAPE, "f4")
    layout = h5py.VirtualLayout(SHAPE, "f4")
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "kernel", SHAPE)
    del file[KERNEL]
    file.create_virtual_dataset(KERNEL, layout)


def external_link(file, folder):
    with h5py.File(folder / "other.h5", "w") as other:
        other["kernel"] = np.ones(SHAPE, "f4")
    del file[KERNEL]
    file[KERNEL] = h5py.ExternalLink(str(folder / "other.h5"), "kernel")


def soft_link(file, _):
    file["conv1_1/other"] = h5py.SoftLink("/conv2_1/kernel")


def cycle(file, _):
    file["conv1_1/again"] = file["/"]


def huge(file, _):
    del file[KERNEL]
    file.create_dataset(KERNEL, (3, 3, 1 << 20, 1 << 20), "f4", chunks=(3, 3, 1, 4))


def huge_chunk(file, _):
    del file[KERNEL]
    most = (3, 3, 1 << 12, 1 << 12)
    file.create_dataset(KERNEL, SHAPE, "f4", chunks=most, maxshape=most)


HAZARDS = {
    in_another_file: "conv1_1/kernel is in another file",
    in_a_pipe: "conv1_1/kernel is in another file",
    virtual: "conv1_1/kernel is in another file",
    external_link: "conv1_1/kernel is a link",
    soft_link: "conv1_1/other is a link",
    cycle: "has more levels",
    huge: "too many",
    huge_chunk: "too many",
}


@pytest.mark.parametrize("hazard", HAZARDS, ids=lambda hazard: hazard.__name__)
def test_links_out_of_a_file_are_refused(path, tmp_path, hazard):
    with h5py.File(path, "a") as file:
        hazard(file, tmp_path)
    with pytest.raises(InputError, match=HAZARDS[hazard]) as error:
        read_encoder(path)
    assert str(error.value).startswith(f"{path}: ")


def test_reading_in_another_process_gives_the_same(path, tmp_path):
    here, apart = hdf5.read(path), hdf5.read_apart(path)
    assert apart.attributes == here.attributes
    assert (apart.attributes["licence"], apart.attributes["epochs"]) == ("mine", 3)
    assert apart.arrays.keys() == here.arrays.keys()
    for name, array in here.arrays.items():
        np.testing.assert_array_equal(apart.arrays[name], array)
        assert apart.arrays[name].dtype == array.dtype
    with h5py.File(path, "a") as file:
        soft_link(file, tmp_path)
    for read in (pretrained.load_encoder, pretrained.verify, convert_as_keras):
        with pytest.raises(InputError, match="conv1_1/other is a link"):
            read(path)


def convert_as_keras(path):
    pretrained.convert(path, path.with_name("ours.h5"))


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import os; os.abort()", "reading it fails"),
        ("while True: pass", "reading it takes too long"),
    ],
)
def test_crashes_and_hangs_of_libhdf5_are_caught(path, tmp_path, monkeypatch, program, message):
    """Which damaged files cause this depends on the version."""
    script = tmp_path / "script.py"
    script.write_text(program)
    monkeypatch.setattr(hdf5, "__file__", str(script))
    monkeypatch.setattr(hdf5, "_WAIT_S", 1)
    with pytest.raises(InputError, match=rf"x\.h5: is damaged: {message}; get it again"):
        pretrained.load_encoder(path)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems lack the limit")
def test_the_other_process_has_limits():
    script = "import runpy, sys; runpy.run_path(sys.argv[1])['_limit'](); bytes(4 << 30)"
    told = subprocess.run([sys.executable, "-c", script, hdf5.__file__], capture_output=True)
    assert told.stderr.strip().endswith(b"MemoryError")


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_pipes_and_folders_are_not_converted(tmp_path, capsys, kind):
    source = tmp_path / kind
    if kind == "pipe":
        os.mkfifo(source)
    elif kind == "folder":
        source.mkdir()
    source = "/dev/zero" if kind == "device" else str(source)
    assert cli.main(["weights", "convert", source, str(tmp_path / "ours.h5")]) == 2
    told = f"jaxstyle: {source}: is a folder, pipe or device, not a file\n"
    assert capsys.readouterr().err == told
