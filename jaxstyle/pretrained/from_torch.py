"""Parameters from a PyTorch ``state_dict``: safetensors, or pickles without running their code.

The names are those of torchvision, ``features.0.weight``, where the numbers show the poolings:
convolution and ReLU count two, a pooling one more, and a batch normalisation, which is folded into
the convolution before it, one more. Or they are names of layers, as in ``vgg_conv.pth`` of Gatys'
PyTorch notebook. A prefix for a wrapping module or dictionary is ignored. Kernels are OIHW.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors

from jaxstyle.errors import InputError
from jaxstyle.pretrained.store import Arrays

Names = Literal["numbered", "named"]

_NUMBERED = re.compile(r"(?:(.*)\.)?(\d+)\.(\w+)")
_NAMED = re.compile(r"(?:(.*)\.)?(conv\d_\d+)\.(weight|bias)")

# Before 2.10 a malicious file could bypass `weights_only` (CVE-2025-32434, CVE-2026-24747).
_SAFE_TORCH = (2, 10)


def _name_layers(indices: list[int], step: int, where: str) -> list[str]:
    """Returns the names of layers, given the indices of the convolutions in the sequence."""
    block, i, names = 1, 0, []
    for previous, index in zip([i - step for i in indices[:1]] + indices, indices):
        gap = index - previous
        if gap not in (step, step + 1):
            raise InputError(f"{where}: layers {previous} and {index} are not as in a VGG network")
        block, i = (block, i + 1) if gap == step else (block + 1, 1)
        names.append(f"conv{block}_{i}")
    return names


def fold(
    conv: dict[str, np.ndarray], norm: dict[str, np.ndarray], epsilon: float = 1e-5
) -> dict[str, np.ndarray]:
    """Folds ``γ·(x − μ)/√(σ² + ε) + β`` into the convolution that computes ``x``."""
    scale = norm["weight"] / np.sqrt(norm["running_var"] + epsilon)
    return {
        "weight": conv["weight"] * scale[:, None, None, None],
        "bias": (conv["bias"] - norm["running_mean"]) * scale + norm["bias"],
    }


def read_names(
    names: Iterable[str], get: Callable[[str], np.ndarray], where: str
) -> tuple[Arrays, Names]:
    """Returns the parameters with PyTorch's names, and the style of these names.

    Args:
        names: Names of all arrays.
        get: Returns the array with a name.
        where: The file, for error messages.

    Raises:
        InputError: There is none or more than one VGG network.
    """
    matches = [(name, match) for name in names if (match := _NUMBERED.fullmatch(name))]
    matches = [(name, match) for name, match in matches if "classifier" not in _path(match)]
    features = [(name, match) for name, match in matches if "features" in _path(match)]
    named = [(name, match) for name in names if (match := _NAMED.fullmatch(name))]
    parts: dict[str, dict[str, np.ndarray]] = defaultdict(dict)
    for name, match in named or features or matches:
        if match[3] in parts[match[2]]:
            raise InputError(f"{where}: contains {match[2]} twice; save the VGG network alone")
        parts[match[2]][match[3]] = get(name)
    if not named:
        parts = _name_numbered({int(i): p for i, p in parts.items()}, where)
    if not parts:
        raise InputError(f"{where}: has no VGG network: no features.0.weight, no conv1_1.weight")
    style: Names = "named" if named else "numbered"
    return {name: to_hwio(layer) for name, layer in parts.items()}, style


def _path(match: re.Match[str]) -> list[str]:
    return (match[1] or "").split(".")


def _name_numbered(numbered: dict[int, dict[str, np.ndarray]], where: str) -> Arrays:
    indices = sorted(i for i, p in numbered.items() if "weight" in p and p["weight"].ndim == 4)
    normalised = any("running_mean" in p for p in numbered.values())
    names = _name_layers(indices, 3 if normalised else 2, where)
    try:
        return {
            name: fold(numbered[i], numbered[i + 1]) if normalised else numbered[i]
            for name, i in zip(names, indices)
        }
    except KeyError as error:
        raise InputError(f"{where}: a layer has no {error.args[0]}; get it again") from error


def to_hwio(layer: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Converts a layer's names and order of axes from PyTorch's."""
    # `infer_network` checks what is missing or misshapen.
    parts = {"bias": layer["bias"]} if "bias" in layer else {}
    if "weight" in layer:
        weight = layer["weight"]
        parts["kernel"] = weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else weight
    return parts


def read_safetensors(path: Path) -> tuple[Arrays, Names]:
    """Reads the convolution layers of a VGG network from a safetensors file.

    Returns:
        ``{layer: {"kernel": f32[3, 3, i, o], "bias": f32[o]}}``, with unchecked shapes, and the
        style of the names: ``numbered`` or ``named``.

    Raises:
        InputError: The file is damaged, or its layers are not those of a VGG network.
    """
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            return read_names(
                list(file.keys()), lambda name: file.get_tensor(name).astype(np.float32), str(path)
            )
    except InputError:
        raise
    # Number formats that NumPy lacks have no exception of their own.
    except Exception as error:
        raise InputError(f"{path}: is damaged; get it again ({error})") from error


def read_pickle(path: Path) -> tuple[Arrays, Names]:
    """Reads the convolution layers of a VGG network from a file of ``torch.save``.

    Only tensors are unpickled (``weights_only``). This needs PyTorch.

    Returns:
        As :func:`read_safetensors`.

    Raises:
        InputError: PyTorch is missing or too old, the file is damaged or has other objects than
            tensors, or its layers are not those of a VGG network.
    """
    try:
        import torch
    except ImportError as error:
        raise InputError(
            f"{path}: reading it needs PyTorch; install torch, or get the safetensors file instead"
        ) from error
    if tuple(int(n) for n in torch.__version__.split(".")[:2]) < _SAFE_TORCH:
        needed = ".".join(map(str, _SAFE_TORCH))
        raise InputError(
            f"{path}: torch {torch.__version__} cannot read it safely; install torch {needed} or "
            "newer, or get the safetensors file instead"
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    # A damaged or malicious file makes the unpickler raise anything.
    except Exception as error:
        raise InputError(
            f"{path}: is damaged or contains other objects than tensors, and was not loaded "
            f"({type(error).__name__})"
        ) from error
    if not isinstance(state, dict):
        raise InputError(f"{path}: contains a {type(state).__name__}, not a state_dict")
    tensors = dict(_flatten(state, torch.Tensor))
    return read_names(tensors, lambda name: tensors[name].detach().float().numpy(), str(path))


def _flatten(state: Mapping[Any, Any], kind: type, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the tensors of a ``state_dict`` and of nested dictionaries, with their paths."""
    for key, value in state.items():
        if isinstance(value, kind):
            yield f"{prefix}{key}", value
        elif isinstance(value, Mapping):
            yield from _flatten(value, kind, f"{prefix}{key}.")
