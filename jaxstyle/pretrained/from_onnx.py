"""Parameters from ONNX files, by the order of operations, because exporters choose the names.

A pooling starts a new block; a batch normalisation is folded into the convolution before it.
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from jaxstyle.errors import InputError
from jaxstyle.pretrained.from_torch import fold, to_hwio
from jaxstyle.pretrained.store import Arrays

_POOLINGS = {"MaxPool", "AveragePool"}
_CLASSIFIER = {"Flatten", "Reshape", "Gemm", "MatMul", "GlobalAveragePool"}
_NORM = ("weight", "bias", "running_mean", "running_var")


def read_onnx(path: Path) -> Arrays:
    """Reads the convolution layers of a VGG network from an ONNX file.

    Returns:
        ``{layer: {"kernel": f32[3, 3, i, o], "bias": f32[o]}}``, with unchecked shapes.

    Raises:
        InputError: The package onnx is missing, the file is damaged or refers to other files, or
            its layers are not those of a VGG network.
    """
    try:
        import onnx
    except ImportError as error:
        raise InputError(
            f'{path}: reading it needs the package onnx; pip install "jaxstyle[onnx]"'
        ) from error
    try:
        graph = onnx.load_model(path, load_external_data=False).graph
        tensors = {tensor.name: tensor for tensor in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant":
                tensors.update((node.output[0], a.t) for a in node.attribute if a.name == "value")
        layers = _read_layers(graph.node, tensors, str(path))
    except InputError:
        raise
    # Damage makes the parser raise anything.
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"{path}: is damaged, or not an ONNX file; get it again ({reason})"
        ) from error
    if not layers:
        raise InputError(f"{path}: has no convolutions; name a VGG network")
    return {name: to_hwio(layer) for name, layer in layers.items()}


def _read_layers(nodes: Any, tensors: dict[str, Any], where: str) -> Arrays:
    from onnx import TensorProto, numpy_helper

    def get(name: str) -> np.ndarray:
        if name not in tensors:
            raise InputError(f"{where}: {name} is computed, not stored; export float32 parameters")
        if tensors[name].data_location == TensorProto.EXTERNAL:
            raise InputError(f"{where}: {name} is in another file; save it as one file")
        return numpy_helper.to_array(tensors[name]).astype(np.float32)

    layers: Arrays = defaultdict(dict)
    block, i, pooled = 1, 0, False
    for node in nodes:
        last = layers[f"conv{block}_{i}"] if layers else None
        stored = [name for name in node.input if name in tensors]
        if node.op_type == "Conv":
            weight = get(node.input[1])
            # A fully connected layer can be written as a convolution.
            if last and weight.shape[2:] != (3, 3):
                break
            block, i, pooled = (block + 1, 1, False) if pooled and last else (block, i + 1, False)
            bias = get(node.input[2]) if len(node.input) > 2 else np.zeros(len(weight), np.float32)
            layers[f"conv{block}_{i}"] = {"weight": weight, "bias": bias}
        elif node.op_type in _POOLINGS:
            pooled = True
        elif not last:
            continue
        elif node.op_type in _CLASSIFIER:
            break
        elif node.op_type == "BatchNormalization":
            norm = {part: get(name) for part, name in zip(_NORM, node.input[1:])}
            last.update(fold(last, norm, *(a.f for a in node.attribute if a.name == "epsilon")))
        elif node.op_type == "Add" and stored:
            last["bias"] = last["bias"] + get(stored[0]).ravel()
        elif node.op_type in ("Add", "Sum", "Concat"):
            raise InputError(f"{where}: is not a VGG network, because its layers branch")
    return layers
