"""The authors' VGG-16 in the package: attribution, parameters, and reproducible conversion."""

import re
import sys
import time
from pathlib import Path

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import command
import jaxstyle as js
import oracles
from jaxstyle import cli, files, pretrained
from jaxstyle.encoder.vgg import VGG16
from test_conversion import NETWORKS, make_params, write_keras

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "scripts"))

import make_vgg16  # noqa: E402

folder = command.folder

FILE = ROOT / "weights" / "vgg16.h5"
README = (ROOT / "weights" / "README.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (conv\d_\d) \| (\S+) \| (\S+) \|$", README, re.MULTILINE)


@pytest.fixture(scope="module")
def stored():
    """The parameters, read by h5py alone."""
    with h5py.File(FILE) as file:
        return {name: {part: np.asarray(a) for part, a in file[name].items()} for name in file}


def test_the_package_has_the_repositorys_file():
    assert pretrained.packaged_file().read_bytes() == FILE.read_bytes()
    assert FILE.stat().st_size <= 26_000_000


def test_attribution_is_recorded():
    says = pretrained.read_attributes(FILE)
    assert "Simonyan" in says["authors"]
    assert "Zisserman" in says["authors"]
    assert says["licence"].startswith("CC BY 4.0")
    assert says["source_sha256"] in README
    for name in ("source", "citation", "changes", "command", "date", "source_fingerprint"):
        assert says[name]
    assert (says["preprocessing"], says["pooling"]) == ("caffe", "max")


def test_public_values(stored):
    """Listings of the authors' file begin with red, the last of Caffe's channels."""
    assert [name for name, *_ in ROWS] == list(VGG16.layers)
    for name, kernel, bias in ROWS:
        channel = 2 if name == "conv1_1" else 0
        assert stored[name]["kernel"][0, 0, channel, 0] == np.float16(kernel), name
        assert stored[name]["bias"][0] == np.float16(bias), name


def test_loaded_parameters_are_the_stored_ones(stored):
    encoder = js.load_encoder(padding="zeros")
    assert encoder.network == VGG16
    assert encoder.params.keys() == stored.keys()
    for name, parts in stored.items():
        for part, value in parts.items():
            assert value.dtype == np.float16
            np.testing.assert_array_equal(encoder.params[name][part], value.astype("f4"))


def test_every_layer_agrees_with_pytorch(stored):
    image = js.load_image(ROOT / "docs/examples/harbour.jpg", size=64)
    x = np.asarray(image, np.float64)[..., ::-1] * 255 - [103.939, 116.779, 123.68]
    params = jax.tree.map(lambda a: a.astype("f4"), stored)
    expected = oracles.torch_features(params, VGG16, x.astype("f4"))
    encoder = js.load_encoder("vgg16", padding="zeros")
    features = jax.jit(js.encode, static_argnums=2)(image, encoder, VGG16.layers)
    errors = {name: oracles.relative_error(features[name], expected[name]) for name in expected}
    assert len(errors) == 13
    assert max(errors.values()) <= 1e-5, errors


def test_a_file_in_the_cache_does_not_replace_it(tmp_path, encoder):
    pretrained.save_encoder(tmp_path / "vgg16.h5", encoder)
    expected = pretrained.read_attributes(FILE)["fingerprint"]
    assert pretrained.fingerprint(js.load_encoder("vgg16", cache=tmp_path)) == expected
    assert pretrained.download("vgg16", cache=tmp_path) == pretrained.packaged_file()
    assert pretrained.available(tmp_path)[0].path == pretrained.packaged_file()


def test_the_command_uses_it_by_default(folder, capsys):
    layers = ["--content-layers", "conv1_2", "--style-layers", "conv1_1", "--no-compile-cache"]
    words = ["stylize", "photo.png", "painting.png", "-o", "out.png", "--size", "24", *layers]
    assert cli.main([*words, "--scales", "1", "--iterations", "0"]) == 0
    assert "encoder vgg16\n" in capsys.readouterr().err
    assert files.load_metadata("out.png").settings["encoder"] == "vgg16"
    assert (
        files.load_metadata("out.png").provenance["encoder_sha256"]
        == pretrained.read_attributes(FILE)["fingerprint"]
    )


def test_the_command_needs_no_network_for_it(folder, capsys):
    assert cli.main(["weights", "download", "vgg16"]) == 0
    assert capsys.readouterr().out == f"{pretrained.packaged_file()}\n"
    assert cli.main(["weights", "list"]) == 0
    row = next(row for row in capsys.readouterr().out.splitlines() if row.startswith("vgg16 "))
    assert "with the package" in row
    assert cli.main(["weights", "verify", "vgg16"]) == 0
    assert "authors: K. Simonyan and A. Zisserman" in capsys.readouterr().out
    assert not (folder / "cache").exists()


def test_the_same_source_gives_the_same_bytes(tmp_path):
    """Even a second later: no file has a time in it."""
    params = make_params(NETWORKS["VGG16"])
    write_keras(tmp_path / "source.h5", params, "keras 1")
    first, again = tmp_path / "first.h5", tmp_path / "again.h5"
    make_vgg16.main(str(tmp_path / "source.h5"), str(first))
    time.sleep(1.1)
    make_vgg16.main(str(tmp_path / "source.h5"), str(again))
    assert first.read_bytes() == again.read_bytes()
    says, packaged = (pretrained.read_attributes(path) for path in (first, FILE))
    assert says.keys() == packaged.keys()
    of_the_source = {"fingerprint", *(name for name in says if name.startswith("source_"))}
    assert {k: says[k] for k in says.keys() - of_the_source}.items() <= packaged.items()
    read = pretrained.read_encoder(first)
    for name, parts in params.items():
        rounded = parts["kernel"].astype("f2").astype("f4")
        np.testing.assert_array_equal(read.params[name]["kernel"], jnp.asarray(rounded))
