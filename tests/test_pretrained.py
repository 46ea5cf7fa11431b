"""Encoders by name and by file: random parameters, the file format, and refusals."""

import dataclasses
import hashlib

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle import pretrained
from jaxstyle.encoder import encode
from jaxstyle.encoder.preprocessing import PREPROCESSINGS, TORCH
from jaxstyle.encoder.vgg import VGG, VGG19
from jaxstyle.errors import InputError
from jaxstyle.pretrained import initial, load_encoder, random_encoder, sources

NETWORK = VGG((2, 1, 2), (4, 6, 5), "average")


@pytest.fixture(scope="module")
def full():
    return load_encoder("random")


def test_random_kernels_are_orthogonal(full):
    for name in full.network.layers:
        kernel = np.asarray(full.params[name]["kernel"], np.float64)
        matrix = kernel.reshape(-1, kernel.shape[-1])
        matrix = matrix if matrix.shape[0] < matrix.shape[1] else matrix.T
        gram = matrix @ matrix.T
        scale = gram.trace() / len(gram)
        np.testing.assert_allclose(gram / scale, np.eye(len(gram)), atol=1e-5)
        assert not np.any(full.params[name]["bias"])


def test_the_full_random_network_has_mean_one(full):
    quarter = tuple(width // 4 for width in VGG19.widths)
    assert full.network == VGG19.clone(widths=quarter, pooling="average", padding="replicate")
    layers = full.network.layers
    features = jax.jit(encode, static_argnums=2)(initial.reference_image(), full, layers)
    assert [float(f.mean()) for f in features.values()] == pytest.approx([1] * 16, abs=1e-3)


def test_random_kernels_are_uniform_over_rotations():
    """Haar: no sign is preferred, as the bare Q of a QR decomposition would."""
    signs = [
        np.sign(random_encoder(VGG((1,), (27,)), seed=seed).params["conv1_1"]["kernel"])
        .reshape(27, 27)
        .diagonal()
        for seed in range(40)
    ]
    # 1080 fair coins: five standard deviations are 0.15.
    assert abs(np.mean(signs)) < 0.15


def test_seeds():
    first, again, other = (random_encoder(NETWORK, seed=seed) for seed in (1, 1, 2))
    assert pretrained.fingerprint(first) == pretrained.fingerprint(again)
    assert pretrained.fingerprint(first) != pretrained.fingerprint(other)
    kernels = [np.ravel(e.params["conv3_2"]["kernel"]) for e in (first, other)]
    assert abs(np.corrcoef(*kernels)[0, 1]) < 0.3


def test_the_reference_image_is_like_natural_ones():
    image = np.asarray(initial.reference_image(), np.float64)
    assert image.min() >= 0
    assert image.max() <= 1
    preprocessing = TORCH
    np.testing.assert_allclose(image.mean((0, 1)), preprocessing.mean, atol=0.02)
    np.testing.assert_allclose(image.std((0, 1)), preprocessing.std, atol=0.02)
    power = np.abs(np.fft.fft2(image.mean(-1))) ** 2
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(128), np.fft.fftfreq(128)))
    band = (f > 0.02) & (f < 0.3)
    slope = np.polyfit(np.log(f[band]), np.log(power[band]), 1)[0]
    assert slope == pytest.approx(-2, abs=0.15)


def test_pooling_and_padding_are_options(tmp_path):
    pretrained.save_encoder(tmp_path / "x.h5", random_encoder(NETWORK))
    # Repeated borders are the default, whatever the network was trained with.
    assert load_encoder(tmp_path / "x.h5").network == NETWORK.clone(padding="replicate")
    changed = load_encoder(tmp_path / "x.h5", pooling="max", padding="zeros")
    assert changed.network == NETWORK.clone(pooling="max", padding="zeros")


@pytest.mark.parametrize("preprocessing", PREPROCESSINGS)
def test_round_trip(tmp_path, preprocessing):
    encoder = dataclasses.replace(
        random_encoder(NETWORK), preprocessing=PREPROCESSINGS[preprocessing]
    )
    pretrained.save_encoder(tmp_path / "x.h5", encoder, {"licence": "mine", "epochs": 3})
    read = pretrained.read_encoder(tmp_path / "x.h5")
    assert (read.network, read.preprocessing.name) == (encoder.network, preprocessing)
    for name, parts in encoder.params.items():
        for part, value in parts.items():
            np.testing.assert_array_equal(read.params[name][part], value)
            assert read.params[name][part].dtype == jnp.float32
    says = pretrained.read_attributes(tmp_path / "x.h5")
    assert (says["licence"], says["epochs"], says["format_version"]) == ("mine", 3, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["x.h5"]


def test_half_precision(tmp_path):
    encoder = random_encoder(NETWORK)
    pretrained.save_encoder(tmp_path / "x.h5", encoder, dtype="float16")
    assert pretrained.verify(tmp_path / "x.h5").dtype == "float16"
    with h5py.File(tmp_path / "x.h5") as file:
        kernel = file["conv1_1/kernel"]
        assert (kernel.dtype, kernel.compression, kernel.shuffle) == (np.float16, "gzip", True)
    read = pretrained.read_encoder(tmp_path / "x.h5")
    kernel = np.asarray(encoder.params["conv3_1"]["kernel"])
    np.testing.assert_array_equal(read.params["conv3_1"]["kernel"], kernel.astype("f2"))
    assert read.params["conv3_1"]["kernel"].dtype == jnp.float32


def test_numbers_too_large_for_half_precision_are_refused(tmp_path):
    encoder = random_encoder(VGG((1,), (4,)))
    encoder.params["conv1_1"]["kernel"] *= 1e6
    with pytest.raises(InputError, match="not finite"), np.errstate(over="ignore"):
        pretrained.save_encoder(tmp_path / "x.h5", encoder, dtype="float16")
    assert not list(tmp_path.iterdir())


def test_reserved_attributes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="pooling"):
        pretrained.save_encoder(tmp_path / "x.h5", random_encoder(NETWORK), {"pooling": "max"})


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no/x\.h5: cannot be written"):
        pretrained.save_encoder(tmp_path / "no" / "x.h5", random_encoder(NETWORK))


def test_fingerprint_follows_its_definition(tmp_path):
    encoder = random_encoder(VGG((1, 1), (4, 5)))
    digest = hashlib.sha256()
    for layer, shape in (("conv1_1", (3, 3, 3, 4)), ("conv2_1", (3, 3, 4, 5))):
        for part, size in (("kernel", shape), ("bias", shape[3:])):
            digest.update(f"{layer}/{part} {size}\n".encode())
            digest.update(np.asarray(encoder.params[layer][part]).astype("<f4").tobytes())
    assert pretrained.fingerprint(encoder) == digest.hexdigest()
    pretrained.save_encoder(tmp_path / "x.h5", encoder)
    assert pretrained.verify(tmp_path / "x.h5").fingerprint == digest.hexdigest()


def test_verify(tmp_path):
    path = tmp_path / "x.h5"
    pretrained.save_encoder(path, random_encoder(NETWORK))
    report = pretrained.verify(path)
    assert report.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert list(report.layers.items())[-2:] == [
        ("conv3_1", (3, 3, 6, 5)),
        ("conv3_2", (3, 3, 5, 5)),
    ]
    assert (report.preprocessing, report.pooling) == ("torch", "average")
    assert report.dtype == "float32"


def replace(name, value):
    def change(file):
        del file[name]
        file[name] = value

    return change


def delete(name):
    def change(file):
        del file[name]

    return change


def attribute(name, value):
    return lambda file: file.attrs.modify(name, value)


NAN = np.zeros((3, 3, 4, 4), "f4")
NAN[1, 1, 2, 3] = np.nan


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (delete("conv1_2/bias"), "conv1_2 has no bias"),
        (delete("conv1_2"), "its parameters have changed"),
        (delete("conv1_1"), "layer conv1_1 is missing"),
        (replace("conv1_2/kernel", NAN), "conv1_2/kernel has numbers that are not finite"),
        (replace("conv1_2/kernel", np.ones((3, 3, 3, 4), "f4")), "conv1_2/kernel has shape"),
        (replace("conv1_1/kernel", np.ones((5, 5, 3, 4), "f4")), "conv1_1/kernel has shape"),
        (replace("conv1_1/bias", np.ones(3, "f4")), "conv1_1/bias has shape"),
        (replace("conv1_1/bias", np.ones(4, "f4")), "its parameters have changed"),
        (
            lambda file: file.create_dataset("fc6/bias", data=np.ones(4, "f4")),
            "'fc6' is not",
        ),
        (lambda file: file.clear(), "has no convolution layers"),
        (attribute("format", "another"), "not an encoder of jaxstyle.*weights convert"),
        (attribute("format_version", 2), "format version 2.*update jaxstyle"),
        (attribute("preprocessing", "vgg"), "'vgg'; must be caffe or torch"),
        (attribute("pooling", "median"), "'median'; must be max or average or l2"),
    ],
)
def test_files_that_are_refused(tmp_path, change, message):
    path = tmp_path / "x.h5"
    pretrained.save_encoder(path, random_encoder(NETWORK))
    with h5py.File(path, "a") as file:
        change(file)
    with pytest.raises(InputError, match=message) as error:
        pretrained.read_encoder(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_a_block_of_uneven_width(tmp_path):
    encoder = random_encoder(NETWORK)
    encoder.params["conv1_2"] = {"kernel": jnp.ones((3, 3, 4, 7)), "bias": jnp.ones(7)}
    with pytest.raises(InputError, match="conv1_2 has 7 channels, its block 4"):
        pretrained.save_encoder(tmp_path / "x.h5", encoder)


@pytest.mark.parametrize("kept", [0, 0.3, 0.999])
def test_files_cut_off(tmp_path, kept):
    path = tmp_path / "x.h5"
    pretrained.save_encoder(path, random_encoder(NETWORK))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(InputError, match=r"x\.h5: ") as error:
        pretrained.read_encoder(path)
    assert "\n" not in str(error.value)


def test_every_flipped_byte_of_the_parameters_is_noticed(tmp_path, rng):
    path = tmp_path / "x.h5"
    pretrained.save_encoder(path, random_encoder(NETWORK))
    whole = path.read_bytes()
    with h5py.File(path) as file:
        data = file["conv3_1/kernel"].id
        start, size = data.get_offset(), data.get_storage_size()
    for place in rng.integers(start, start + size, 10):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        with pytest.raises(InputError, match=r"changed|not finite"):
            pretrained.read_encoder(path)


def test_text_and_missing_files(tmp_path):
    (tmp_path / "text.h5").write_text("These are not the weights you are looking for.")
    with pytest.raises(InputError, match=r"text\.h5: is cut off, or not an HDF5 file"):
        load_encoder(tmp_path / "text.h5")
    with pytest.raises(InputError, match=r"missing\.h5: no such file"):
        load_encoder(tmp_path / "missing.h5")
    with pytest.raises(InputError, match="folder: no such file"):
        load_encoder(tmp_path / "folder")


@pytest.mark.parametrize("name", ["vgg19", "vgg19-torch", "vgg16-torch"])
def test_encoders_that_are_not_downloaded_are_refused_in_one_line(tmp_path, name):
    for read in (load_encoder, pretrained.verify):
        with pytest.raises(InputError) as error:
            read(name, cache=tmp_path)
        assert str(error.value) == (
            f"encoder {name}: has not been downloaded; get it with: jaxstyle weights download "
            f"{name} --cache {tmp_path}, or paint with --encoder vgg16"
        )


def test_downloaded_encoders_are_found_in_the_cache(tmp_path):
    pretrained.save_encoder(tmp_path / "vgg19.h5", random_encoder(NETWORK))
    assert load_encoder("vgg19", padding="zeros", cache=tmp_path).network == NETWORK
    assert pretrained.verify("vgg19", tmp_path).path == tmp_path / "vgg19.h5"


def test_available(tmp_path):
    pretrained.save_encoder(tmp_path / "vgg16-torch.h5", random_encoder(NETWORK))
    rows = {row.name: row for row in pretrained.available(tmp_path)}
    assert list(rows) == ["vgg16", "vgg19", "vgg19-torch", "vgg16-torch", "random"]
    here = {name for name, row in rows.items() if row.here}
    assert here == {"vgg16", "vgg16-torch", "random"}
    content = pretrained.packaged_file().read_bytes()
    assert rows["vgg16"].checksum == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert rows["vgg16"].size == len(content)
    assert rows["vgg19"].path is None


def test_the_random_encoder_has_no_file(tmp_path):
    with pytest.raises(InputError, match="encoder random: is made from a seed"):
        pretrained.verify("random", tmp_path)


def test_the_registry_is_sound():
    digits = {"md5": 32, "sha256": 64}
    for name, source in sources().items():
        algorithm, _, checksum = source.checksum.partition(":")
        assert len(bytes.fromhex(checksum)) * 2 == digits[algorithm]
        assert source.name == name
        assert source.url.startswith("https://")
        assert source.preprocessing in PREPROCESSINGS
        assert name.startswith("vgg16" if len(source.vgg.layers) == 13 else "vgg19")
