"""Random parameters: an encoder that needs no file.

Untrained networks of this depth represent styles, too (He, Wang & Hopcroft 2016, arXiv:1606.04801),
if the signal neither vanishes nor explodes. Therefore the kernels are orthogonal, and each layer is
scaled so that its mean activation on an image with the statistics of natural images is 1.
"""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxstyle.arrays import Image, Params
from jaxstyle.encoder.preprocessing import TORCH
from jaxstyle.encoder.vgg import VGG, VGG19, block_of
from jaxstyle.encoder.vgg_encoder import VGGEncoder

NARROW = VGG19.clone(widths=(16, 32, 64, 128, 128), pooling="average")
"""VGG19's layout at a quarter of its width."""

_REFERENCE_SIZE = 128
_REFERENCE_SEED = 0


def reference_image() -> Image:
    """Returns noise with the statistics of natural images, the same in every call.

    The amplitude falls as ``1/f`` (Field 1987, "Relations between the statistics of natural images
    and the response properties of cortical cells"), nine tenths of the variance are shared by the
    three channels, and mean and standard deviation per channel are those of ImageNet.

    Returns:
        ``f32[128, 128, 3]``, sRGB in [0, 1].
    """
    n = _REFERENCE_SIZE
    white = np.asarray(jax.random.normal(jax.random.key(_REFERENCE_SEED), (n, n, 4)))
    frequency = np.hypot(np.fft.fftfreq(n)[:, None], np.fft.fftfreq(n)[None])
    frequency[0, 0] = np.inf
    noise = np.fft.ifft2(np.fft.fft2(white, axes=(0, 1)) / frequency[..., None], axes=(0, 1)).real
    noise /= noise.std((0, 1))
    mixed = np.sqrt(0.9) * noise[..., :1] + np.sqrt(0.1) * noise[..., 1:]
    pixels = np.asarray(TORCH.mean) + np.asarray(TORCH.std) * mixed
    return jnp.asarray(pixels.clip(0, 1), jnp.float32)


def _orthogonalise(x: np.ndarray) -> np.ndarray:
    """Returns orthonormal rows of a wide Gaussian matrix, which are uniform in Haar's measure.

    ``Q = L⁻¹·X`` with ``L·Lᵀ = X·Xᵀ``; done twice, Q is orthogonal up to rounding (Yamamoto et al.
    2015, "Roundoff error analysis of the CholeskyQR2 algorithm"). Matrix products take a fraction
    of the time of Householder reflections. NumPy is used, because XLA would compile every shape.
    """
    for _ in range(2):
        factor = np.linalg.cholesky((x @ x.T).astype(np.float64))
        x = np.linalg.inv(factor).astype(x.dtype) @ x
    return x


def _orthogonal_kernels(vgg: VGG, seed: int) -> Params:
    shapes, width = {}, 3
    for name in vgg.layers:
        out = vgg.widths[block_of(name) - 1]
        shapes[name] = (3, 3, width, out)
        width = out
    # One draw for all layers, because each shape would be compiled.
    total = sum(math.prod(shape) for shape in shapes.values())
    noise = np.asarray(jax.random.normal(jax.random.key(seed), (total,), jnp.float32))
    params, start = {}, 0
    for name, shape in shapes.items():
        rows, columns = math.prod(shape[:3]), shape[3]
        x = noise[start : start + rows * columns].reshape(min(rows, columns), -1)
        start += rows * columns
        q = _orthogonalise(x)
        kernel = (q.T if rows > columns else q).reshape(shape)
        params[name] = {"kernel": jnp.asarray(kernel), "bias": jnp.zeros(columns, jnp.float32)}
    return params


@partial(jax.jit, static_argnames="vgg")
def _normalise(params: Params, image: Image, vgg: VGG) -> Params:
    """Scales the kernels so that every layer's mean activation on the image is 1."""
    x = TORCH(image)
    features: Any = vgg.apply({"params": params}, x, vgg.layers)
    means = [1.0, *(features[name].mean() for name in vgg.layers)]
    return {
        name: {"kernel": params[name]["kernel"] * (before / after), "bias": params[name]["bias"]}
        for name, before, after in zip(vgg.layers, means, means[1:])
    }


def random_encoder(vgg: VGG | None = None, *, seed: int = 0) -> VGGEncoder:
    """Returns an encoder with orthogonal kernels, zero biases and mean activations of 1.

    With zero biases every layer is homogeneous, ``relu((s·K) * x) = s·relu(K * x)``, so one pass
    with the unscaled kernels gives all scales: ``s_l = mean_{l−1} / mean_l``.

    Args:
        vgg: The network, including its pooling and padding. None is :data:`NARROW`.
        seed: Seed of the kernels. The image that activations are measured on does not change.

    Returns:
        An encoder with the preprocessing ``torch``.

    He, Wang & Hopcroft 2016, arXiv:1606.04801; orthogonal kernels: Saxe et al. 2014,
    arXiv:1312.6120.

    Examples:
        >>> from jaxstyle.encoder.vgg import VGG
        >>> encoder = random_encoder(VGG(depths=(1, 2), widths=(8, 16)), seed=3)
        >>> encoder.params["conv2_1"]["kernel"].shape
        (3, 3, 8, 16)
    """
    vgg = vgg or NARROW
    # With the reduced precision of accelerators the means would differ from 1.
    with jax.default_matmul_precision("highest"):
        params = _normalise(_orthogonal_kernels(vgg, seed), reference_image(), vgg)
    return VGGEncoder(params=params, network=vgg, preprocessing=TORCH)
