"""Files written by other libraries, or in the layouts that these libraries write."""

import os
import pickle
import sys
import types
import zipfile

import h5py
import jax.numpy as jnp
import numpy as np
import onnx
import pytest
import safetensors.flax
import safetensors.numpy

import oracles
from jaxstyle import cli
from jaxstyle.encoder import encode
from jaxstyle.encoder.vgg import VGG, VGG16, VGG19
from jaxstyle.errors import InputError
from jaxstyle.pretrained import (
    convert,
    load_encoder,
    read_attributes,
    read_encoder,
    save_encoder,
)

WIDTHS = (3, 4, 5, 6, 6)
NETWORKS = {"VGG16": VGG(VGG16.depths, WIDTHS), "VGG19": VGG(VGG19.depths, WIDTHS)}
TORCH_MISSING = "the oracle extra (PyTorch) is not installed"


def make_params(vgg, seed=0):
    """Kernels in HWIO, drawn by NumPy, wide enough for the signal to reach the last layer."""
    rng, width, params = np.random.default_rng(seed), 3, {}
    for name in vgg.layers:
        out = vgg.widths[int(name[4]) - 1]
        kernel = rng.normal(0, (2 / (9 * width)) ** 0.5, (3, 3, width, out))
        params[name] = {"kernel": kernel.astype("f4"), "bias": rng.normal(0, 0.1, out).astype("f4")}
        width = out
    return params


def block_name(layer):
    return f"block{layer[4]}_conv{layer[6]}"


def torch_names(vgg, normalised=False):
    """Layer to its place in torchvision's `features`, by walking through the sequence."""
    places, place = {}, 0
    for name in vgg.layers:
        if name.endswith("_1") and name != "conv1_1":
            place += 1
        places[name] = place
        place += 3 if normalised else 2
    return places


def state_dict(vgg, params, name_layer="features.{place}"):
    state = {}
    for name, place in torch_names(vgg).items():
        weight = params[name]["kernel"].transpose(3, 2, 0, 1)
        named = name_layer.format(place=place, block=name[4])
        state[f"{named}.weight"] = np.ascontiguousarray(weight)
        state[f"{named}.bias"] = params[name]["bias"]
    return state | {
        "classifier.0.weight": np.ones((4, 6), "f4"),
        "pre_logits.fc1.weight": np.ones((4, 6, 7, 7), "f4"),
    }


def write_keras(path, params, pattern):
    """Keras 2 and whole models: the patterns that files of several versions show."""
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if pattern == "whole model" else file
        names = [block_name(layer) for layer in params]
        root.attrs["layer_names"] = np.array(["input_1", *names, "block1_pool"], "S")
        root.create_group("block1_pool").attrs["weight_names"] = np.array([], "S")
        for layer, name in zip(params, names):
            inner = {
                "keras 1": (f"{name}_W_1:0", f"{name}_b_1:0"),
                "keras 2": (f"{name}/kernel:0", f"{name}/bias:0"),
                "whole model": (f"{name}/kernel", f"{name}/bias"),
            }[pattern]
            root[f"{name}/{inner[0]}"] = params[layer]["kernel"]
            root[f"{name}/{inner[1]}"] = params[layer]["bias"]
            # The optimiser's slots of a compiled model, by Keras 3 and by Keras 2: the same shapes,
            # and nearly the same names.
            if pattern == "whole model":
                slots = (f"adam/{name}_kernel_momentum", f"Adam/{name}/kernel/m:0")
                for slot in slots:
                    file[f"optimizer_weights/{slot}"] = np.zeros_like(params[layer]["kernel"])


def write_keras3(path, params, folder="layers", noted=True):
    """`save_weights("x.weights.h5")`: 3.15 notes the layer's name at `vars`, 3.5 did not yet."""
    with h5py.File(path, "w") as file:
        file.create_group("vars")
        for i, layer in enumerate(params):
            group = file.create_group(f"{folder}/conv2d{f'_{i}' if i else ''}/vars")
            group["0"], group["1"] = params[layer]["kernel"], params[layer]["bias"]
            if noted:
                group.attrs["name"] = block_name(layer)
        file.create_group(f"{folder}/max_pooling2d/vars")
        file[f"{folder}/dense/vars/0"] = np.ones((6, 4), "f4")
        file[f"{folder}/dense/vars/1"] = np.ones(4, "f4")
        file["optimizer/vars/0"] = np.ones((3, 3, 3, 3), "f4")


def write_keras_default(path, params, _):
    """A whole model of Keras 3 in HDF5, whose layers got their names from Keras."""
    with h5py.File(path, "w") as file:
        for i, parts in enumerate(params.values()):
            name = f"conv2d_{i + 7}"
            file[f"model_weights/{name}/{name}/kernel"] = parts["kernel"]
            file[f"model_weights/{name}/{name}/bias"] = parts["bias"]
            file[f"optimizer_weights/adam/{name}_kernel_momentum"] = parts["kernel"]
        file["model_weights/dense/dense/kernel"] = np.ones((6, 4), "f4")


def write_keras_zip(path, params, _):
    inner = path.with_name("inner")
    write_keras3(inner, params, noted=False)
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(inner, "model.weights.h5")
        archive.writestr("config.json", "{}")
    inner.unlink()


def write_npz(path, params, _):
    names = {
        f"{layer}_{'W' if part == 'kernel' else 'b'}": value
        for layer, parts in params.items()
        for part, value in parts.items()
    }
    with path.open("wb") as file:
        np.savez(file, **names, fc6_W=np.ones((6, 4), "f4"))


def make_onnx(params, vgg, normalise=None):
    """As exporters write it: with arbitrary names, and with layers after the convolutions."""
    nodes, tensors, last = [], [], "input"

    def add(kind, *constants, **attributes):
        nonlocal last
        names = [f"t{len(tensors) + i}" for i in range(len(constants))]
        tensors.extend(onnx.numpy_helper.from_array(c, n) for c, n in zip(constants, names))
        out = f"n{len(nodes)}"
        nodes.append(onnx.helper.make_node(kind, [last, *names], [out], **attributes))
        last = out

    for name in vgg.layers:
        if name.endswith("_1") and name != "conv1_1":
            add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
        add("Conv", params[name]["kernel"].transpose(3, 2, 0, 1), params[name]["bias"])
        if normalise:
            add("BatchNormalization", *normalise(name), epsilon=1e-3)
        add("Relu")
    add("Flatten")
    add("MatMul", np.ones((6, 4), "f4"))
    add("Add", np.ones(4, "f4"))
    types = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes,
        "g",
        [onnx.helper.make_tensor_value_info("input", types, [1, 3, 64, 64])],
        [onnx.helper.make_tensor_value_info(last, types, None)],
        tensors,
    )
    return onnx.helper.make_model(graph, producer_name="pytorch")


def write_torch(path, params, vgg, wrap=dict, **options):
    torch = pytest.importorskip("torch", reason=TORCH_MISSING)
    state = {k: torch.from_numpy(v) for k, v in state_dict(vgg, params).items()}
    torch.save(wrap(state), path, **options)


def write_safetensors(name_layer):
    def write(path, params, vgg):
        safetensors.numpy.save_file(state_dict(vgg, params, name_layer), path)

    return write


def write_vgg_conv(path, params, _):
    torch = pytest.importorskip("torch", reason=TORCH_MISSING)
    state = {}
    for name, parts in params.items():
        state[f"{name}.weight"] = torch.from_numpy(parts["kernel"]).permute(3, 2, 0, 1)
        state[f"{name}.bias"] = torch.from_numpy(parts["bias"])
    torch.save(state, path)


WRITERS = {
    "keras 1": (lambda p, a, v: write_keras(p, a, "keras 1"), "caffe"),
    "keras 2": (lambda p, a, v: write_keras(p, a, "keras 2"), "caffe"),
    "keras whole model": (lambda p, a, v: write_keras(p, a, "whole model"), "caffe"),
    "keras 3.15": (lambda p, a, v: write_keras3(p, a), "caffe"),
    "keras 3.5": (lambda p, a, v: write_keras3(p, a, noted=False), "caffe"),
    "keras 2.15": (
        lambda p, a, v: write_keras3(p, a, "_layer_checkpoint_dependencies", noted=False),
        "caffe",
    ),
    "keras 2.15, backslashes": (
        lambda p, a, v: write_keras3(p, a, "_layer_checkpoint_dependencies\\nested", noted=False),
        "caffe",
    ),
    "keras 3, names by default": (write_keras_default, "caffe"),
    "keras zip": (write_keras_zip, "caffe"),
    "npz": (write_npz, "caffe"),
    "onnx": (lambda p, a, v: onnx.save(make_onnx(a, v), p), "torch"),
    "safetensors": (write_safetensors("features.{place}"), "torch"),
    "safetensors, a layer wrapped": (write_safetensors("vgg.features.module.{place}"), "torch"),
    "safetensors, in slices": (write_safetensors("module.slice{block}.{place}"), "torch"),
    "torch zip": (write_torch, "torch"),
    "torch checkpoint": (
        lambda p, a, v: write_torch(p, a, v, lambda s: {"epoch": 3, "model": {"state_dict": s}}),
        "torch",
    ),
    "torch legacy": (
        lambda p, a, v: write_torch(p, a, v, _use_new_zipfile_serialization=False),
        "torch",
    ),
    "vgg_conv.pth": (write_vgg_conv, "caffe"),
}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("layout", WRITERS)
def test_parameters_survive(tmp_path, layout, network):
    write, preprocessing = WRITERS[layout]
    vgg = NETWORKS[network]
    params = make_params(vgg)
    # The name is arbitrary: the content must identify the file.
    write(tmp_path / "source.bin", params, vgg)
    written = convert(tmp_path / "source.bin", tmp_path / "ours.h5")
    read = read_encoder(tmp_path / "ours.h5")
    for encoder in (written, read):
        assert encoder.network == vgg
        assert encoder.preprocessing.name == preprocessing
        assert encoder.params.keys() == params.keys()
        for name, parts in params.items():
            np.testing.assert_array_equal(encoder.params[name]["kernel"], parts["kernel"])
            np.testing.assert_array_equal(encoder.params[name]["bias"], parts["bias"])


def test_a_truncated_network_keeps_its_depths(tmp_path):
    params = make_params(VGG((2, 1, 3), (4, 4, 4)))
    safetensors.numpy.save_file(state_dict(VGG((2, 1, 3)), params), tmp_path / "source")
    assert convert(tmp_path / "source", tmp_path / "ours.h5").network == VGG((2, 1, 3), (4, 4, 4))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_short_number_formats(tmp_path, dtype):
    params = make_params(VGG((1,), (4,)))
    state = {k: jnp.asarray(v, dtype) for k, v in state_dict(VGG((1,)), params).items()}
    safetensors.flax.save_file(state, tmp_path / "source")
    encoder = convert(tmp_path / "source", tmp_path / "ours.h5")
    rounded = params["conv1_1"]["kernel"].astype(dtype).astype("f4")
    np.testing.assert_array_equal(encoder.params["conv1_1"]["kernel"], rounded)


def test_batch_normalisation_is_folded(tmp_path, pictures):
    torch = pytest.importorskip("torch", reason=TORCH_MISSING)
    vgg = VGG((2, 1), (4, 5))
    torch.manual_seed(0)
    steps, width = [], 3
    for name in vgg.layers:
        out = vgg.widths[int(name[4]) - 1]
        if name == "conv2_1":
            steps.append(torch.nn.MaxPool2d(2))
        steps += [
            torch.nn.Conv2d(width, out, 3, padding=1),
            torch.nn.BatchNorm2d(out),
            torch.nn.ReLU(),
        ]
        width = out
    model = torch.nn.Module()
    model.features = torch.nn.Sequential(*steps)
    x = torch.rand(2, 3, 16, 16)
    model.features(x)  # so that the running statistics are no longer 0 and 1
    model.eval()
    torch.save(model.state_dict(), tmp_path / "source")
    encoder = convert(tmp_path / "source", tmp_path / "ours.h5")
    image = (x[0].permute(1, 2, 0).numpy() * oracles.STD + oracles.MEAN).astype("f4")
    with torch.no_grad():
        expected = model.features(x[:1])[0].permute(1, 2, 0).numpy()
    features = encode(jnp.asarray(image), encoder, ("conv2_1",))["conv2_1"]
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-5)


def test_onnx_folds_and_stops(tmp_path, rng):
    """With its own epsilon; fully connected layers written as convolutions are left out."""
    vgg = VGG((1, 2), (4, 5))
    params = make_params(vgg)
    drawn = {
        name: [rng.uniform(0.5, 2, len(parts["bias"])).astype("f4") for _ in range(4)]
        for name, parts in params.items()
    }
    model = make_onnx(params, vgg, normalise=drawn.get)
    classifier = onnx.numpy_helper.from_array(np.ones((8, 5, 7, 7), "f4"), "classifier")
    model.graph.initializer.append(classifier)
    flatten = next(n for n in model.graph.node if n.op_type == "Flatten")
    flatten.op_type = "Conv"
    flatten.input.append("classifier")
    onnx.save(model, tmp_path / "source")
    encoder = convert(tmp_path / "source", tmp_path / "ours.h5")
    assert encoder.network == vgg
    for name, (gamma, beta, mean, variance) in drawn.items():
        scale = gamma / np.sqrt(variance + 1e-3)
        kernel, bias = encoder.params[name]["kernel"], encoder.params[name]["bias"]
        np.testing.assert_allclose(kernel, params[name]["kernel"] * scale, rtol=1e-5)
        expected = (params[name]["bias"] - mean) * scale + beta
        np.testing.assert_allclose(bias, expected, rtol=1e-5, atol=1e-6)


def test_onnx_files_of_other_networks_are_refused(tmp_path, monkeypatch):
    vgg, source = VGG((1, 2), (4, 5)), tmp_path / "x.onnx"
    model = make_onnx(make_params(vgg), vgg)
    outside = onnx.ModelProto()
    outside.CopyFrom(model)
    tensor = outside.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, "/etc/hostname")
    tensor.ClearField("raw_data")
    residual = onnx.ModelProto()
    residual.CopyFrom(model)
    relu = next(n for n in residual.graph.node if n.op_type == "Relu")
    relu.op_type = "Add"
    relu.input.append("input")
    computed = onnx.ModelProto()
    computed.CopyFrom(model)
    del computed.graph.initializer[0]
    cases = {"another file": outside, "layers branch": residual, "not stored": computed}
    for message, changed in cases.items():
        onnx.save(changed, source)
        with pytest.raises(InputError, match=message):
            convert(source, tmp_path / "ours.h5")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match=r'x\.onnx: .*pip install "jaxstyle\[onnx\]"'):
        convert(source, tmp_path / "ours.h5")


def test_other_zip_files_are_refused_by_name(tmp_path):
    with zipfile.ZipFile(tmp_path / "source", "w") as archive:
        archive.writestr("photos/1.jpg", b"")
    with pytest.raises(InputError, match=r"source: is a zip file with photos/1\.jpg") as error:
        convert(tmp_path / "source", tmp_path / "ours.h5")
    assert "torch" not in str(error.value)
    np.savez(tmp_path / "x.npz", np.ones((3, 3, 3, 4)))
    with pytest.raises(InputError, match=r"x\.npz: has no VGG network"):
        convert(tmp_path / "x.npz", tmp_path / "ours.h5")


@pytest.mark.parametrize(
    ("change", "preprocessing"),
    [
        ("saved anew", "caffe"),
        ("trained on", "caffe"),
        ("normalised", "caffe"),
        ("red first", "caffe"),
        ("another network", "torch"),
        ("said otherwise", "torch"),
    ],
)
def test_caffes_parameters_under_torchvisions_names(tmp_path, capsys, rng, change, preprocessing):
    """As neural-style-pt's script saves them: the filters show the preprocessing."""
    vgg = VGG((1, 1), (64, 4))
    params = make_params(vgg)
    first = np.asarray(load_encoder().params["conv1_1"]["kernel"])
    if change != "another network":
        params["conv1_1"]["kernel"] = {
            "trained on": first + rng.normal(0, 0.03, first.shape).astype("f4"),
            "normalised": first * rng.uniform(0.01, 0.1, 64).astype("f4"),
            "red first": first[:, :, ::-1],
        }.get(change, first)
    safetensors.numpy.save_file(state_dict(vgg, params), tmp_path / "source")
    words = ["weights", "convert", str(tmp_path / "source"), str(tmp_path / "ours.h5")]
    words += ["--preprocessing", "torch"] * (change == "said otherwise")
    assert cli.main(words) == 0
    assert f"preprocessing {preprocessing}" in capsys.readouterr().err
    encoder = read_encoder(tmp_path / "ours.h5")
    assert encoder.preprocessing.name == preprocessing
    expected = first if change == "red first" else params["conv1_1"]["kernel"]
    np.testing.assert_array_equal(encoder.params["conv1_1"]["kernel"], expected)


def test_provenance_is_recorded(tmp_path):
    vgg = NETWORKS["VGG16"]
    safetensors.numpy.save_file(state_dict(vgg, make_params(vgg)), tmp_path / "source.bin")
    convert(tmp_path / "source.bin", tmp_path / "ours.h5", attributes={"licence": "mine"})
    says = read_attributes(tmp_path / "ours.h5")
    assert says["source_file"] == "source.bin"
    assert says["source_layout"] == "safetensors"
    assert says["licence"] == "mine"
    assert len(says["source_sha256"]) == 64


class Bomb:
    """Unpickling it without limits would create a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_code_in_a_pickle_is_never_run(tmp_path):
    torch = pytest.importorskip("torch", reason=TORCH_MISSING)
    source, crater = tmp_path / "source", tmp_path / "crater"
    torch.save(Bomb(crater), source)
    with pytest.raises(InputError, match="contains other objects than tensors"):
        convert(source, tmp_path / "ours.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]
    # Unpickled without limits, it does run its code.
    pickle.loads(pickle.dumps(Bomb(crater)))
    assert crater.exists()


@pytest.mark.parametrize("version", ["missing", "2.9.1+cpu"])
def test_torch_missing_or_unsafe(tmp_path, monkeypatch, version):
    fake = None if version == "missing" else types.SimpleNamespace(__version__=version)
    monkeypatch.setitem(sys.modules, "torch", fake)
    (tmp_path / "x.pth").write_bytes(pickle.dumps({}))
    with pytest.raises(InputError, match=r"x\.pth.*install torch.*safetensors"):
        convert(tmp_path / "x.pth", tmp_path / "ours.h5")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("features.5.bias"), "conv2_1 has no bias"),
        (lambda s: s.pop("features.5.weight"), "are not as in a VGG"),
        (lambda s: s.update({"features.5.weight": np.ones((4, 3, 1, 1), "f4")}), "shape"),
        (lambda s: s.update({"features.2.bias": np.full(3, np.inf, "f4")}), "not finite"),
        (lambda s: [s.pop(k) for k in list(s) if k.startswith("features")], "no VGG network"),
        (lambda s: s.update({"ema.features.0.bias": np.ones(3, "f4")}), "contains 0 twice"),
    ],
)
def test_other_networks_are_refused(tmp_path, change, message):
    vgg = NETWORKS["VGG19"]
    state = state_dict(vgg, make_params(vgg))
    change(state)
    safetensors.numpy.save_file(state, tmp_path / "source")
    with pytest.raises(InputError, match=message):
        convert(tmp_path / "source", tmp_path / "ours.h5")
    assert not (tmp_path / "ours.h5").exists()


@pytest.mark.parametrize("content", [b"", b"just text, long enough to hold a header"])
def test_unknown_files(tmp_path, content):
    (tmp_path / "source").write_bytes(content)
    with pytest.raises(InputError, match="source: is not a file of Keras"):
        convert(tmp_path / "source", tmp_path / "ours.h5")


CUT = ["keras 2", "keras zip", "npz", "onnx", "safetensors", "torch zip", "torch legacy"]


@pytest.mark.parametrize("layout", CUT)
@pytest.mark.parametrize("kept", [0.5, 0.99])
def test_files_cut_off(tmp_path, layout, kept):
    vgg = NETWORKS["VGG16"]
    source = tmp_path / "source"
    WRITERS[layout][0](source, make_params(vgg), vgg)
    source.write_bytes(source.read_bytes()[: int(source.stat().st_size * kept)])
    with pytest.raises(InputError) as error:
        convert(source, tmp_path / "ours.h5")
    assert str(error.value).startswith(f"{source}: ")
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_keras_network_of_unknown_depth(tmp_path):
    write_keras3(tmp_path / "source", make_params(VGG((2, 2), (4, 4))), noted=False)
    with pytest.raises(InputError, match="contains 4 convolutions"):
        convert(tmp_path / "source", tmp_path / "ours.h5")


def test_two_keras_networks_in_one_file(tmp_path):
    params = make_params(VGG((1,), (4,)))
    with h5py.File(tmp_path / "source", "w") as file:
        for model in ("teacher", "student"):
            file[f"{model}/block1_conv1/kernel:0"] = params["conv1_1"]["kernel"]
    with pytest.raises(InputError, match="block1_conv1 twice"):
        convert(tmp_path / "source", tmp_path / "ours.h5")


def test_refusals(tmp_path, encoder):
    ours = tmp_path / "ours.h5"
    save_encoder(ours, encoder)
    with pytest.raises(InputError, match=r"missing: no such file"):
        convert(tmp_path / "missing", tmp_path / "new.h5")
    with pytest.raises(InputError, match="already"):
        convert(ours, tmp_path / "new.h5")
    with pytest.raises(InputError, match="exists"):
        convert(ours, ours)
    with pytest.raises(InputError, match=r"'vgg'.*caffe, torch"):
        convert(ours, tmp_path / "new.h5", preprocessing="vgg")
