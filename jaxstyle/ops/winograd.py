"""Winograd's 3×3 convolution: 2.25 multiplications per output and channel pair instead of 9.

``F(4×4, 3×3)`` of Lavin & Gray 2016 (arXiv:1509.09308, section 4.2): tiles of 6×6 inputs, the
kernel and tiles of 4×4 outputs are transformed by fixed matrices, and the convolution becomes 36
matrix products. The transforms are products with small matrices, one axis after the other; written
as sums, they take 50 % longer to compile on XLA's CPU backend. The relative error of a convolution
is 2e-6 to 5e-6. The layout is HWC; kernels are HWIO.
"""

import math
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

# Approximate number of tiles per strip: enough to divide each product between two cores, few enough
# for the intermediate results to stay in the cache.
_TILES = 256

# Multiplications of the direct convolution, divided by 9, below which a run of 100 iterations does
# not make up for the additional 60 ms of compile time per convolution.
_WORK = 2**24


def suits(kernel: Float[Array, "3 3 i o"]) -> bool:
    """Returns whether there are enough channels for Winograd to be faster than direct convolution.

    The savings grow with the product of both channel counts, the cost of the transforms with their
    sum.
    """
    return kernel.shape[2] * kernel.shape[3] >= 64 * 128


def pays(x: Float[Array, "h w i"], kernel: Float[Array, "3 3 i o"]) -> bool:
    """Returns whether the convolution is large enough to make up for the compile time."""
    return x.size * kernel.shape[3] >= _WORK


def _transform(matrix: np.ndarray, x: Array, axis: int = 0) -> Array:
    """Multiplies by a matrix along an axis."""
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    # Broadcast over the leading axes; otherwise XLA moves the axis to the front and copies ``x``.
    matrices = jnp.broadcast_to(matrix, (math.prod(before), *matrix.shape))
    y = jnp.matmul(matrices, x.reshape(*matrices.shape[::2], -1), precision="highest")
    return y.reshape(*before, -1, *after)


def transform_kernel(kernel: Float[Array, "3 3 i o"]) -> Float[Array, "36 i o"]:
    """Returns the transformed kernel for :func:`convolve`, four times as large."""
    transformed = _transform(_KERNEL, _transform(_KERNEL, kernel), 1)
    return transformed.reshape(36, *kernel.shape[2:])


def _windows(x: Array, axis: int) -> Array:
    """Cuts an axis of ``4n + 4`` into ``n`` windows of 6 with an overlap of 2.

    The elements of a window lie along a new first axis.
    """
    x = x.reshape(*x.shape[:axis], -1, 4, *x.shape[axis + 1 :])
    x = jnp.moveaxis(x, axis + 1, 0)
    cut = partial(jax.lax.slice_in_dim, axis=axis + 1)
    return jnp.concatenate([cut(x, 0, -1), cut(x[:2], 1, None)])


def _convolve_strip(strip: Float[Array, "h w i"], kernel: Array) -> Float[Array, "_ _ o"]:
    """Convolves a strip of ``4n + 2`` rows and ``4m + 2`` columns."""
    # Padding the strip instead of the whole image makes XLA materialise the strip before it cuts
    # windows. Otherwise it clamps the strip's position for every element of every window.
    x = jnp.pad(strip, ((0, 2), (0, 2), (0, 0)))
    x = _transform(_INPUT, _windows(x, 1))  # columns
    x = _transform(_INPUT, _windows(x, 1))  # rows
    _, _, down, across, _ = x.shape
    x = x.reshape(36, down * across, -1)
    y = jax.lax.dot_general(x, kernel, (((2,), (1,)), ((0,), (0,))), precision="highest")
    y = y.reshape(6, 6, down, across, -1)
    y = _transform(_OUTPUT, _transform(_OUTPUT, y), 1)
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
    rows = -(-down // min(down, -(-down * across // _TILES)))
    strips = -(-down // rows)
    filled = 4 * strips * rows + 2, 4 * across + 2
    after = (n - m - size for n, m, size in zip(filled, pad, x.shape[:2], strict=True))
    x = jnp.pad(x, (*zip(pad, after, strict=True), (0, 0)))

    def strip(i: Array) -> Array:
        cut = jax.lax.dynamic_slice_in_dim(x, 4 * rows * i, 4 * rows + 2)
        return _convolve_strip(cut, kernel)

    y = jax.lax.map(strip, jnp.arange(strips))
    return y.reshape(4 * strips * rows, 4 * across, -1)[:height, :width]
