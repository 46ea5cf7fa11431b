"""Perceptual distances against PyTorch, the authors' code, and finite differences."""

import dataclasses
import functools
import hashlib
import importlib.metadata
import pickle
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxstyle as js
from jaxstyle import perceptual
from jaxstyle.errors import InputError
from jaxstyle.pretrained import calibrations, download, random_encoder
from oracles import MEAN, STD, slope_error
from programs import configured

NETWORK = js.VGG(depths=(1, 2, 1), widths=(4, 5, 6), padding="zeros")
DEEP = ("conv1_1", "conv2_2", "conv3_1")
PURE = ("content_distance", "style_distance", "lpips_uncalibrated", "dists_uncalibrated")


@pytest.fixture(scope="module")
def encoder():
    return random_encoder(NETWORK)


@pytest.fixture(scope="module")
def pair():
    """Odd sides, which pooling has to cut."""
    rng = np.random.default_rng(3)
    smooth = [np.cumsum(rng.normal(0, 0.1, (27, 22, 3)), 0) for _ in range(2)]
    return [jnp.asarray(np.clip(0.5 + x, 0.02, 0.98), jnp.float32) for x in smooth]


@functools.partial(jax.jit, static_argnums=0)
def distance(name, image, reference, encoder):
    if name == "content_distance":
        objective = js.Objective(content_layers=("conv2_1", "conv3_1"))
        return perceptual.content_distance(image, reference, encoder, objective)
    if name == "style_distance":
        objective = js.Objective(style_layers=("image", *DEEP))
        return perceptual.style_distance(image, reference, encoder, objective)
    return getattr(perceptual, name)(image, reference, encoder, DEEP)


@pytest.mark.parametrize("name", PURE)
def test_gradients_agree_with_finite_differences(name, pair, rng):
    """For both pictures; average pooling, since the derivative of a maximum jumps."""
    with configured(jax_enable_x64=True):
        image, reference = (jnp.asarray(x, jnp.float64) for x in pair)
        narrow = random_encoder(NETWORK.clone(pooling="average"))
        narrow = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), narrow)
        for which in (0, 1):
            fun = jax.jit(
                lambda x, which=which: distance(
                    name, *((x, reference) if which == 0 else (image, x)), narrow
                )
            )
            x = (image, reference)[which]
            assert slope_error(fun, x, jax.jit(jax.grad(fun))(x), rng, 1e-6) < 1e-5


@pytest.mark.parametrize("name", PURE)
def test_distance_is_zero_for_equal_pictures_only(name, pair, encoder):
    image, other = pair
    assert distance(name, image, image, encoder) == pytest.approx(0, abs=1e-6)
    assert distance(name, image, other, encoder) > 0.01


@pytest.mark.parametrize("name", ["lpips_uncalibrated", "dists_uncalibrated"])
def test_distances_are_symmetric(name, pair, encoder):
    there, back = (distance(name, *pictures, encoder) for pictures in (pair, pair[::-1]))
    assert there == pytest.approx(float(back), rel=1e-6)


def test_distances_of_terms_are_symmetric_with_means(pair, encoder):
    layers = {"content_layers": ("conv2_1",), "style_layers": ("image", *DEEP)}
    objective = js.Objective(normalisation="mean", **layers)
    for fun in (perceptual.content_distance, perceptual.style_distance):
        there, back = (jax.jit(fun)(*p, encoder, objective) for p in (pair, pair[::-1]))
        assert there == pytest.approx(float(back), rel=1e-4)


def test_gradient_for_black_pictures_is_finite(encoder):
    """Features that are zero everywhere have neither a direction nor a variance."""
    black = jnp.zeros((16, 16, 3))
    bare = jax.tree.map(jnp.zeros_like, encoder)
    for name in ("lpips_uncalibrated", "dists_uncalibrated"):
        gradient = jax.jit(jax.grad(functools.partial(distance, name)))(black + 0.1, black, bare)
        assert np.isfinite(gradient).all()


class Oracle:
    """Both distances as published, in PyTorch and float64, with any parameters."""

    def __init__(self, params, network):
        self.torch = pytest.importorskip("torch", reason="the oracle extra is not installed")
        tensor = self.tensor
        self.layers = [
            (name, tensor(params[name]["kernel"]).permute(3, 2, 0, 1), tensor(params[name]["bias"]))
            for name in network.layers
        ]

    def tensor(self, x):
        return self.torch.from_numpy(np.array(x, np.float64))

    def features(self, image, pool):
        torch, features = self.torch, {}
        x = (self.tensor(image) - self.tensor(MEAN)) / self.tensor(STD)
        x = x.permute(2, 0, 1)[None]
        for name, kernel, bias in self.layers:
            if name.endswith("_1") and name != "conv1_1":
                x = pool(x)
            x = features[name] = torch.relu(torch.nn.functional.conv2d(x, kernel, bias, padding=1))
        return features

    def hanning(self, x):
        a = np.hanning(5)[1:-1]
        window = self.tensor(np.outer(a, a) / np.outer(a, a).sum())
        window = window[None, None].repeat(x.shape[1], 1, 1, 1)
        convolve = self.torch.nn.functional.conv2d
        return (convolve(x**2, window, stride=2, padding=1, groups=x.shape[1]) + 1e-12).sqrt()

    def lpips(self, image, reference, channels):
        pool = self.torch.nn.MaxPool2d(2)
        x, y = self.features(image, pool), self.features(reference, pool)
        total = 0.0
        for name, w in channels.items():
            a, b = (f[name] / (f[name].pow(2).sum(1, keepdim=True).sqrt() + 1e-10) for f in (x, y))
            kernel = self.tensor(w).reshape(1, -1, 1, 1)
            total += self.torch.nn.functional.conv2d((a - b) ** 2, kernel).mean()
        return float(total)

    def dists(self, image, reference, alpha, beta):
        x, y = (self.features(p, self.hanning) for p in (image, reference))
        pixels = [self.tensor(p).permute(2, 0, 1)[None] for p in (image, reference)]
        x, y = x | {"image": pixels[0]}, y | {"image": pixels[1]}
        total = sum(float(np.sum(v)) for v in (*alpha.values(), *beta.values()))
        score = 1.0
        for name in alpha:
            a, b = x[name][0].flatten(1), y[name][0].flatten(1)
            m, n = a.mean(1), b.mean(1)
            covariance = (a * b).mean(1) - m * n
            likeness = (2 * m * n + 1e-6) / (m**2 + n**2 + 1e-6)
            structure = (2 * covariance + 1e-6) / (
                a.var(1, unbiased=False) + b.var(1, unbiased=False) + 1e-6
            )
            score -= float((self.tensor(alpha[name]) * likeness).sum()) / total
            score -= float((self.tensor(beta[name]) * structure).sum()) / total
        return score


def channels_of(layers, rng):
    widths = {"image": 3, "conv1_1": 4, "conv2_2": 5, "conv3_1": 6}
    return {name: jnp.asarray(rng.uniform(0, 2, widths[name]), jnp.float32) for name in layers}


def test_values_agree_with_pytorch(pair, encoder, rng):
    oracle = Oracle(encoder.params, NETWORK)
    channels = channels_of(DEEP, rng)
    ours = jax.jit(perceptual.lpips)(*pair, encoder, perceptual.LpipsCalibration(channels=channels))
    assert ours == pytest.approx(oracle.lpips(*pair, channels), rel=1e-4)
    alpha, beta = (channels_of(("image", *DEEP), rng) for _ in range(2))
    calibration = perceptual.DistsCalibration(texture=alpha, structure=beta)
    ours = jax.jit(perceptual.dists)(*pair, encoder, calibration)
    assert ours == pytest.approx(oracle.dists(*pair, alpha, beta), rel=1e-4)
    # Without a calibration each channel counts 1, or 1/c within each layer.
    ones = {name: np.ones(len(w)) for name, w in channels.items()}
    ours = distance("lpips_uncalibrated", *pair, encoder)
    assert ours == pytest.approx(oracle.lpips(*pair, ones), rel=1e-4)
    even = {name: w / len(w) for name, w in ones.items()}
    ours = distance("dists_uncalibrated", *pair, encoder)
    assert ours == pytest.approx(oracle.dists(*pair, even, even), rel=1e-4)


def test_prepared_encoder_gives_the_same_values(pair, encoder):
    prepared = encoder.prepare(DEEP)
    for name in PURE[2:]:
        assert distance(name, *pair, prepared) == pytest.approx(
            float(distance(name, *pair, encoder)), rel=1e-5
        )


def state_of(name, rng):
    """Returns arrays with the names and shapes of the authors' files."""
    if name == "lpips":
        widths = (64, 128, 256, 512, 512)
        return {
            f"lin{i}.model.1.weight": rng.uniform(0, 1, (1, c, 1, 1)) for i, c in enumerate(widths)
        }
    return {key: rng.uniform(0, 1, (1, 1475, 1, 1)) for key in ("alpha", "beta")}


def flat(calibration):
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(calibration)])


@pytest.mark.parametrize("name", ["lpips", "dists"])
def test_files_of_pytorch_are_read(name, rng, tmp_path):
    """In the layout of the authors' files, that of PyTorch before 1.6."""
    torch = pytest.importorskip("torch", reason="the oracle extra is not installed")
    state = {key: torch.tensor(x, dtype=torch.float32) for key, x in state_of(name, rng).items()}
    if name == "dists":
        state = {key: torch.nn.Parameter(x) for key, x in state.items()}
    path = tmp_path / f"{name}.pth"
    torch.save(state, path, _use_new_zipfile_serialization=False)
    found = js.load_calibration(name, file=path)
    wanted = np.concatenate([x.detach().numpy().ravel() for x in state.values()])
    order = found.channels if name == "lpips" else [found.texture, found.structure]
    parts = order.values() if name == "lpips" else [v for part in order for v in part.values()]
    np.testing.assert_array_equal(np.concatenate(list(parts)), wanted)
    assert found.fitted_to == perceptual.VGG16_TORCH
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b""):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="damaged"):
            js.load_calibration(name, file=path)


def test_reading_a_file_runs_no_code(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (open, (str(tmp_path / "made"), "w"))

    path = tmp_path / "vgg.pth"
    path.write_bytes(
        b"".join(pickle.dumps(x, 2) for x in (0x1950A86A20F9469CFC6C, 1001, {}, Hostile(), []))
    )
    with pytest.raises(InputError, match="contains other objects than"):
        js.load_calibration("lpips", file=path)
    assert not (tmp_path / "made").exists()


def test_calibration_refuses_other_encoders(pair, encoder, rng):
    calibration = perceptual.LpipsCalibration(
        channels=channels_of(DEEP, rng), fitted_to=perceptual.VGG16_TORCH
    )
    with pytest.raises(InputError, match="vgg16-torch"):
        perceptual.lpips(*pair, encoder, calibration)
    fitted = perceptual.FittedTo(
        network=NETWORK, preprocessing=encoder.preprocessing, name="narrow"
    )
    fitted.check(encoder)
    fitted.check(encoder.prepare(DEEP))
    with pytest.raises(InputError, match="narrow"):
        fitted.check(random_encoder(NETWORK.clone(padding="replicate")))
    with pytest.raises(InputError, match="give equal sizes"):
        perceptual.lpips_uncalibrated(pair[0], pair[1][:-1], encoder, DEEP)


# The package that contains the published file, and the end of the file's path.
PACKAGES = {"lpips": ("lpips", "v0.1/vgg.pth"), "dists": ("DISTS-pytorch", "weights.pt")}


def file_of(name):
    package, end = PACKAGES[name]
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{package} is not installed")
    return next(f.locate() for f in files if str(f).endswith(end))


@pytest.mark.parametrize("name", PACKAGES)
def test_published_files(name):
    path = file_of(name)
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    assert calibrations()[name].checksum == f"sha256:{digest}"
    torch = pytest.importorskip("torch")
    found = js.load_calibration(name, file=path)
    state = torch.load(path, map_location="cpu", weights_only=True)
    wanted = sorted(np.concatenate([x.numpy().ravel() for x in state.values()]))
    np.testing.assert_array_equal(np.sort(flat(found)), wanted)


def torch_vgg(encoder, torch):
    """Returns the network as a sequence of layers that is numbered as in torchvision."""
    parts = []
    for name in encoder.layers:
        params = encoder.params[name]
        kernel, bias = (torch.from_numpy(np.array(params[k])) for k in ("kernel", "bias"))
        if name.endswith("_1") and parts:
            parts.append(torch.nn.MaxPool2d(2))
        conv = torch.nn.Conv2d(kernel.shape[2], kernel.shape[3], 3, padding=1)
        conv.weight.data, conv.bias.data = kernel.permute(3, 2, 0, 1).contiguous(), bias
        parts += [conv, torch.nn.ReLU()]
    return torch.nn.Sequential(*parts)


def test_values_agree_with_the_code_of_the_authors(rng, monkeypatch):
    """Their packages, with our parameters instead of those of torchvision."""
    torch = pytest.importorskip("torch", reason="the oracle extra is not installed")
    encoder = js.load_encoder(padding="zeros")
    encoder = dataclasses.replace(encoder, preprocessing=perceptual.VGG16_TORCH.preprocessing)
    # They need no more of torchvision, whose build may not fit this PyTorch.
    vision, vgg = types.ModuleType("torchvision"), torch_vgg(encoder, torch)
    vision.models = types.SimpleNamespace(vgg16=lambda **_: types.SimpleNamespace(features=vgg))
    vision.transforms = None
    monkeypatch.setitem(sys.modules, "torchvision", vision)
    published = {n: pytest.importorskip(n) for n in ("lpips", "DISTS_pytorch")}
    pair = rng.uniform(0, 1, (2, 37, 50, 3)).astype(np.float32)
    x, y = (torch.from_numpy(p).permute(2, 0, 1)[None] for p in pair)
    theirs = {"lpips": published["lpips"].LPIPS(net="vgg", verbose=False)}
    theirs["dists"] = published["DISTS_pytorch"].DISTS(load_weights=False)
    path = {n: file_of(n) for n in PACKAGES}
    for name, tensor in torch.load(path["dists"], map_location="cpu", weights_only=True).items():
        getattr(theirs["dists"], name).data = tensor
    wanted = {"lpips": theirs["lpips"](x, y, normalize=True), "dists": theirs["dists"](x, y)}
    images = [jnp.asarray(p) for p in pair]
    for name, value in wanted.items():
        ours = jax.jit(getattr(perceptual, name))
        ours = ours(*images, encoder, js.load_calibration(name, file=path[name]))
        assert ours == pytest.approx(value.item(), rel=1e-3), name


def test_downloaded_file_is_verified_and_stored(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="weights download dists"):
        js.load_calibration("dists", cache=tmp_path)
    module = sys.modules["jaxstyle.pretrained.download"]
    content = b"a calibration"
    checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
    entry = dataclasses.replace(calibrations()["dists"], checksum=checksum)
    sent = []

    def transfer(url, file, most, progress):
        sent.append(url)
        file.write(content if len(sent) != 2 else b"another")

    monkeypatch.setattr(module, "_transfer", transfer)
    monkeypatch.setattr(module, "calibrations", lambda: {"dists": entry})
    path = download("dists", cache=tmp_path)
    assert path.read_bytes() == content
    assert download("dists", cache=tmp_path) == path
    assert sent == [entry.url]
    path.unlink()
    with pytest.raises(InputError, match="wrong sha256 checksum"):
        download("dists", cache=tmp_path)
    assert list(tmp_path.iterdir()) == []
