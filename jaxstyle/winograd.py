"""Winograd's 3×3 convolution: 2.25 multiplications per output and channel pair instead of 9.

``F(4×4, 3×3)`` of Lavin & Gray 2016 (arXiv:1509.09308, section 4.2): every tile of 6×6 inputs, the
kernel and every tile of 4×4 outputs go through fixed matrices, and in between the convolution is 36
products of matrices. The transforms are products with small matrices too: written as sums they
take XLA's CPU backend five times as long to compile, and inside loops longer to run. The relative
error of a convolution is 2e-6 to 5e-6. Layout is HWC, kernels are HWIO.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# Interpolation at 0, ±1, ±2 and infinity: the matrices of the paper's section 4.2.
_INPUT = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    np.float32,
)
_KERNEL = (
    np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]], np.float32)
    / 24
)
_OUTPUT = np.array(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]],
    np.float32,
)

# Tiles go through the three steps together until one of the 36 products has as many
# multiplications, enough for two cores to share it; but not so many tiles that what stands between
# the steps leaves the cache.
_PRODUCT = 2**24
_MOST_TILES = 1024

# Multiplications of the direct convolution, over 9, below which a run of a hundred iterations does
# not win back the 60 ms by which each of these convolutions takes longer to compile.
_WORK = 2**24


def suits(kernel: Float[Array, "3 3 i o"]) -> bool:
    """Returns whether there are channels enough for Winograd to beat the direct convolution.

    What it saves grows with the product of both channel counts, what the transforms cost with
    their sum.
    """
    return kernel.shape[2] * kernel.shape[3] >= 64 * 128


def pays(x: Float[Array, "h w i"], kernel: Float[Array, "3 3 i o"]) -> bool:
    """Returns whether there is work enough for Winograd to be worth its compilation."""
    return x.size * kernel.shape[3] >= _WORK


def _transform(matrix: np.ndarray, x: Array) -> Array:
    """Applies ``M x Mᵀ`` to the two leading axes, which are one axis here, row by row."""
    both = np.kron(matrix, matrix)
    return jnp.matmul(both, x.reshape(both.shape[1], -1), precision="highest")


def transform_kernel(kernel: Float[Array, "3 3 i o"]) -> Float[Array, "36 i o"]:
    """Returns the kernel as :func:`convolve` takes it; four times as large."""
    return _transform(_KERNEL, kernel).reshape(36, *kernel.shape[2:])


def _tiles(strip: Float[Array, "h w i"]) -> Float[Array, "6 6 n m i"]:
    """Cuts a strip of ``4n + 2`` rows into tiles of 6×6; neighbours share 2 rows or columns."""
    # Padded here, not with the whole image: XLA then writes the strip before it cuts tiles, and
    # does not clamp the strip's position for every element of every tile.
    x = jnp.pad(strip, ((0, 2), (0, 2), (0, 0)))
    h, w, channels = x.shape
    x = x.reshape(h // 4, 4, w // 4, 4, channels).transpose(1, 3, 0, 2, 4)
    x = jnp.concatenate([x[:, :, :-1], x[:2, :, 1:]], 0)
    return jnp.concatenate([x[:, :, :, :-1], x[:, :2, :, 1:]], 1)


def _convolve_strip(strip: Float[Array, "h w i"], kernel: Array) -> Float[Array, "_ _ o"]:
    tiles = _tiles(strip)
    down, across = tiles.shape[2:4]
    x = _transform(_INPUT, tiles).reshape(36, down * across, -1)
    y = jax.lax.dot_general(x, kernel, (((2,), (1,)), ((0,), (0,))), precision="highest")
    y = _transform(_OUTPUT, y).reshape(4, 4, down, across, -1)
    return y.transpose(2, 0, 3, 1, 4).reshape(4 * down, 4 * across, -1)


@partial(jax.jit, static_argnames="pad")
def convolve(
    x: Float[Array, "h w i"], kernel: Float[Array, "36 i o"], pad: tuple[int, int]
) -> Array:
    """Convolves by Winograd's ``F(4×4, 3×3)``.

    Args:
        x: Input.
        kernel: From :func:`transform_kernel`.
        pad: Rows and columns of zeros around ``x``.

    Returns:
        ``f32[h + 2·pad[0] − 2, w + 2·pad[1] − 2, o]``.
    """
    height, width = (n + 2 * m - 2 for n, m in zip(x.shape[:2], pad, strict=True))
    down, across = -(-height // 4), -(-width // 4)
    tiles = min(-(-_PRODUCT // (kernel.shape[1] * kernel.shape[2])), _MOST_TILES)
    rows = -(-down // min(down, -(-down * across // tiles)))
    strips = -(-down // rows)
    filled = 4 * strips * rows + 2, 4 * across + 2
    after = (n - m - size for n, m, size in zip(filled, pad, x.shape[:2], strict=True))
    x = jnp.pad(x, (*zip(pad, after, strict=True), (0, 0)))

    def strip(i: Array) -> Array:
        cut = jax.lax.dynamic_slice_in_dim(x, 4 * rows * i, 4 * rows + 2)
        return _convolve_strip(cut, kernel)

    y = jax.lax.map(strip, jnp.arange(strips))
    return y.reshape(4 * strips * rows, 4 * across, -1)[:height, :width]
