"""Converts Magenta's arbitrary stylisation network from ONNX, as weights/README.md describes.

    python scripts/make_instant.py arbitrary_predict.onnx arbitrary_transform.onnx OUT

Needs the package onnx. 8-bit kernels and their scales are copied without a change.
"""

import re
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from safetensors.numpy import save_file

# Names in the ONNX files, and in ours.
RENAMES = (
    (r"^MobilenetV2/Conv$", "style/first"),
    (r"^MobilenetV2/Conv_1$", "style/last"),
    (r"^mobilenet_conv/Conv$", "style/vector"),
    (r"^MobilenetV2/expanded_conv/", "style/block0/"),
    (r"^MobilenetV2/expanded_conv_(\d+)/", r"style/block\1/"),
    (r"^.*transformer/contract/conv(\d)$", r"transformer/contract\1"),
    (r"^.*transformer/residual/(residual\d/conv\d)$", r"transformer/\1/conv"),
    (r"^.*transformer/residual/(residual\d/conv\d)/StyleNorm/", r"transformer/\1/"),
    (r"^.*transformer/expand/conv(\d)/conv$", r"transformer/expand\1/conv"),
    (r"^.*transformer/expand/conv(\d)/conv/StyleNorm/", r"transformer/expand\1/"),
    (r"/Conv_1$", "/scale"),
    (r"/Conv$", "/shift"),
)


def main(predict: str, transform: str, out: str) -> None:
    arrays = read(predict) | read(transform)
    facts = {
        "source": "Magenta, arbitrary image stylization (Ghiasi et al. 2017, arXiv:1705.06830)",
        "licence": "Apache-2.0, The Magenta Authors",
    }
    save_file(arrays, out, facts)
    print(f"{out}: {len(arrays)} arrays, {Path(out).stat().st_size / 1e6:.2f} MB")


def read(path: str) -> dict[str, np.ndarray]:
    """Returns the kernels, scales and biases of all convolutions, by our names."""
    graph = onnx.load(path).graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    quantised = {
        node.output[0]: (*(tensors[name] for name in node.input), node.input[0])
        for node in graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in tensors
    }
    arrays: dict[str, np.ndarray] = {}
    for node in graph.node:
        if node.op_type == "Conv":
            kernel, scale, zero, name = quantised[node.input[1]]
            assert not zero.any()
            ours = rename(re.sub(r"/(depthwise_)?weights$", "", name))
            # From output, input, row, column to row, column, input, output.
            kernel = np.ascontiguousarray(kernel.transpose(2, 3, 1, 0))
            if ours.endswith(("/scale", "/shift")):
                kernel = kernel[0, 0]  # a 1×1 convolution of a vector: a matrix
            arrays |= {f"{ours}/kernel": kernel, f"{ours}/kernel_scale": scale}
            # Before a style normalisation a bias has no effect.
            if not ours.endswith("/conv"):
                bias, scale, *_ = quantised[node.input[2]]
                arrays[f"{ours}/bias"] = (bias * scale).astype(np.float32)
    return arrays


def rename(name: str) -> str:
    for pattern, replacement in RENAMES:
        name = re.sub(pattern, replacement, name)
    return name


if __name__ == "__main__":
    main(*sys.argv[1:])
