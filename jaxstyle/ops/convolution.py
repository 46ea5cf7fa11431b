"""The 3×3 convolution of every layer, fused with its bias and ReLU, with a handwritten adjoint.

XLA's CPU backend has a fast path for plain ``SAME`` convolutions only. The transposed convolution
that autodiff emits misses it and is at least five times slower inside loops. If both channel counts
are large, Winograd is faster still on CPUs. The layout is HWC; kernels are HWIO.
"""

from functools import partial
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle.ops import winograd
from jaxstyle.ops.derivatives import handwritten, like_primal, varying_like

Pad: TypeAlias = tuple[int, int]
Precision = Literal["highest", "tf32", "bf16"]

# JAX's names for how accelerators round float32 operands. CPUs always compute in float32.
_PRECISIONS = {"highest": "highest", "tf32": "high", "bf16": "default"}


class Kernels(NamedTuple):
    """Kernels derived from a layer's kernel, computed once instead of at every step of a loop.

    Attributes:
        adjoint: Kernel of the adjoint convolution, ``f32[3, 3, o, i]``.
        winograd: The kernel and the adjoint kernel transformed for Winograd, ``f32[36, i, o]`` and
            ``f32[36, o, i]``; None if the layer does not use Winograd.
    """

    adjoint: Array
    winograd: tuple[Array, Array] | None = None


def adjoint_kernel(kernel: Float[Array, "3 3 i o"]) -> Float[Array, "3 3 o i"]:
    """Returns the kernel of the adjoint convolution: flipped in space, with transposed channels."""
    return kernel[::-1, ::-1].swapaxes(2, 3)


def prepare(kernel: Float[Array, "3 3 i o"], *, platform: str) -> Kernels:
    """Returns the kernels with which a layer runs fastest.

    Args:
        kernel: Kernel of the layer, in the data type of the computation.
        platform: JAX's name of the backend; Winograd is used on ``cpu`` only.
    """
    adjoint = adjoint_kernel(kernel)
    if not _uses_winograd(kernel, platform):
        return Kernels(adjoint)
    transformed = winograd.transform_kernel(kernel), winograd.transform_kernel(adjoint)
    return Kernels(adjoint, transformed)


def _uses_winograd(kernel: Array, platform: str) -> bool:
    return platform == "cpu" and kernel.dtype == jnp.float32 and winograd.suits(kernel)


def _transform_for(x: Array, kernel: Array) -> Array | None:
    """Returns the transformed kernel for this input; None if Winograd is not used."""
    if not _uses_winograd(kernel, jax.default_backend()):
        return None
    # Depends on the input through a zero that XLA cannot simplify. Otherwise XLA would hoist the
    # transforms of all kernels out of loops and hold them in memory.
    zero = jnp.minimum(jnp.abs(x[0, 0, 0]), 0.0)
    return winograd.transform_kernel(kernel + zero)


def _convolve(
    x: Array, kernel: Array, pad: Pad, precision: Precision, transformed: Array | None = None
) -> Array:
    if transformed is not None and winograd.pays(x, kernel):
        return winograd.convolve(x, transformed, pad)
    # Without padding XLA's CPU backend materialises all patches of the input, which takes four
    # times as long. Two superfluous columns cost almost nothing.
    spare = int(pad == (0, 0) and jax.default_backend() == "cpu")
    y = jax.lax.conv_general_dilated(
        x[None],
        kernel,
        window_strides=(1, 1),
        padding=((pad[0], pad[0]), (pad[1] + spare, pad[1] + spare)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=_PRECISIONS[precision],
    )[0]
    return y[:, spare : y.shape[1] - spare]


def conv_relu(
    x: Array,
    kernel: Array,
    bias: Array,
    kernels: Kernels | None,
    pad: Pad,
    precision: Precision = "highest",
) -> Array:
    """Convolves, adds the bias and rectifies: ``y = max(0, K * x + b)``.

    Args:
        x: Input, ``f32[h, w, i]``.
        kernel: ``f32[3, 3, i, o]``.
        bias: ``f32[o]``.
        kernels: ``prepare(kernel)``, so that a loop computes it once; None computes it here, in a
            fraction of the memory. Ignored if ``derivatives`` is ``any``
            (:mod:`jaxstyle.ops.derivatives`), because derivatives must then reach ``kernel``.
        pad: Rows and columns of zeros around ``x``: 1 preserves the size, 0 shrinks it by 2.
        precision: Precision of the products on an accelerator; sums are in float32.

    Returns:
        ``f32[h + 2·pad[0] − 2, w + 2·pad[1] − 2, o]``.
    """
    if handwritten():
        return _conv_relu_by_hand(x, kernel, bias, kernels, pad, precision)
    return jax.nn.relu(_convolve(x, kernel, pad, precision) + bias)


@partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _conv_relu_by_hand(
    x: Array,
    kernel: Array,
    bias: Array,
    kernels: Kernels | None,
    pad: Pad,
    precision: Precision,
) -> Array:
    return _conv_relu(x, kernel, bias, kernels, pad, precision)


def _conv_relu(
    x: Array,
    kernel: Array,
    bias: Array,
    kernels: Kernels | None,
    pad: Pad,
    precision: Precision,
) -> Array:
    if kernels is None:
        transformed = _transform_for(x, kernel)
    else:
        transformed, _ = kernels.winograd or (None, None)
    return jnp.maximum(_convolve(x, kernel, pad, precision, transformed) + bias, 0)


def _conv_relu_forward(
    x: Any, kernel: Any, bias: Any, kernels: Any, pad: Pad, precision: Precision
) -> Any:
    # With symbolic_zeros, JAX wraps every primal.
    kernels = jax.tree.map(lambda k: k.value, kernels, is_leaf=lambda k: hasattr(k, "perturbed"))
    y = _conv_relu(x.value, kernel.value, bias.value, kernels, pad, precision)
    # The mask of the ReLU follows from the output, so no other activation is stored. Only the
    # gradient of the kernel needs the input, and frozen parameters have none.
    trained = kernel.perturbed or bias.perturbed
    # The empty slice carries the mesh axes that the input varies over.
    return y, (y, kernel.value, bias.value, kernels, x.value if trained else None, x.value[:0])


def _conv_relu_backward(pad: Pad, precision: Precision, residuals: Any, dy: Any) -> Any:
    y, kernel, bias, kernels, x, kind = residuals
    if isinstance(dy, jax.custom_derivatives.SymbolicZero):
        return None, None, None, None
    dz = jnp.where(y > 0, dy, 0)
    if kernels is None:
        adjoint = adjoint_kernel(kernel)
        transformed = _transform_for(dz, adjoint)
    else:
        adjoint, (_, transformed) = kernels.adjoint, kernels.winograd or (None, None)
    dx = _convolve(dz, adjoint, (2 - pad[0], 2 - pad[1]), precision, transformed)
    dx = like_primal(dx, kind)
    if x is None:
        return dx, None, None, None
    varying = varying_like(kernel, dz)
    (dkernel,) = jax.vjp(lambda k: _convolve(x, k, pad, precision), varying)[1](dz)
    return dx, like_primal(dkernel, kernel), like_primal(dz.sum((0, 1)), bias), None


_conv_relu_by_hand.defvjp(_conv_relu_forward, _conv_relu_backward, symbolic_zeros=True)
