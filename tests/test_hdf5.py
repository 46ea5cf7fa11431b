"""HDF5 files that are refused: links to other files, and too large contents."""

import os

import h5py
import numpy as np
import pytest

from jaxstyle import cli, pretrained
from jaxstyle.encoder.vgg import VGG
from jaxstyle.errors import InputError
from jaxstyle.pretrained import random_encoder, read_encoder, save_encoder

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


HAZARDS = {
    in_another_file: "conv1_1/kernel is in another file",
    virtual: "conv1_1/kernel is in another file",
    external_link: "conv1_1/kernel is a link",
    soft_link: "conv1_1/other is a link",
    cycle: "has more levels",
    huge: "too many",
}


@pytest.mark.parametrize("hazard", HAZARDS, ids=lambda hazard: hazard.__name__)
def test_links_out_of_a_file_are_refused(path, tmp_path, hazard):
    with h5py.File(path, "a") as file:
        hazard(file, tmp_path)
    with pytest.raises(InputError, match=HAZARDS[hazard]) as error:
        read_encoder(path)
    assert str(error.value).startswith(f"{path}: ")


def convert_as_keras(path):
    pretrained.convert(path, path.with_name("ours.h5"))


@pytest.mark.parametrize("read", [pretrained.load_encoder, pretrained.verify, convert_as_keras])
def test_every_reader_refuses_links(path, read):
    with h5py.File(path, "a") as file:
        soft_link(file, None)
    with pytest.raises(InputError, match="conv1_1/other is a link"):
        read(path)


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_pipes_and_folders_are_not_converted(tmp_path, capsys, kind):
    source = tmp_path / kind
    if kind == "pipe":
        os.mkfifo(source)
    elif kind == "folder":
        source.mkdir()
    source = "/dev/zero" if kind == "device" else str(source)
    assert cli.main(["weights", "convert", source, str(tmp_path / "ours.h5")]) == 2
    message = f"jaxstyle: {source}: is a folder, pipe or device, not a file\n"
    assert capsys.readouterr().err == message
