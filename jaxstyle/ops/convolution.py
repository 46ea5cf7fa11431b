"""The 3×3 convolution of every layer, fused with its bias and ReLU, and its own adjoint.

XLA's CPU backend has a fast path for plain ``SAME`` convolutions only; the one that autodiff emits
misses it, inside loops by a factor of five and more. Where both channel counts are large, Winograd
is faster still on CPUs. Layout is HWC, kernels are HWIO.
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

# JAX's names: of what an accelerator makes of float32 operands. CPUs compute in float32 anyway.
_PRECISIONS = {"highest": "highest", "tf32": "high", "bf16": "default"}


class Kernels(NamedTuple):
    """What a layer runs on beside its own kernel, computed once and not in every step of a loop.

    Attributes:
        adjoint: Kernel of the adjoint convolution, ``f32[3, 3, o, i]``.
        winograd: The kernel and the adjoint's, ``f32[36, i, o]`` and ``f32[36, o, i]``, where
            Winograd may run.
    """

    adjoint: Array
    winograd: tuple[Array, Array] | None = None


def adjoint_kernel(kernel: Float[Array, "3 3 i o"]) -> Float[Array, "3 3 o i"]:
    """Returns the kernel of the adjoint convolution: flipped in space, its channels transposed."""
    return kernel[::-1, ::-1].swapaxes(2, 3)


def prepare(kernel: Float[Array, "3 3 i o"], *, platform: str) -> Kernels:
    """Returns what a layer runs on fastest.

    Args:
        kernel: Of the layer, of the type that it runs in.
        platform: JAX's name of the backend; all but ``cpu`` have fast convolutions of their own.
    """
    adjoint = adjoint_kernel(kernel)
    if not _takes_winograd(kernel, platform):
        return Kernels(adjoint)
    transformed = winograd.transform_kernel(kernel), winograd.transform_kernel(adjoint)
    return Kernels(adjoint, transformed)


def _takes_winograd(kernel: Array, platform: str) -> bool:
    return platform == "cpu" and kernel.dtype == jnp.float32 and winograd.suits(kernel)


def _transform_for(x: Array, kernel: Array) -> Array | None:
    """Returns the kernel transformed for one input alone, where Winograd may run."""
    if not _takes_winograd(kernel, jax.default_backend()):
        return None
    # Bound to the input by a zero that XLA cannot foresee: else it would transform all kernels
    # ahead of every loop and keep them.
    nothing = jnp.minimum(jnp.abs(x[0, 0, 0]), 0.0)
    return winograd.transform_kernel(kernel + nothing)


def _convolve(
    x: Array, kernel: Array, pad: Pad, precision: Precision, transformed: Array | None = None
) -> Array:
    if transformed is not None and winograd.pays(x, kernel):
        return winograd.convolve(x, transformed, pad)
    # Without any padding XLA's CPU backend writes out all the patches of the input, and takes four
    # times as long; two columns too many cost next to nothing.
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
            fraction of the memory. Not used for derivatives of any kind
            (:mod:`jaxstyle.ops.derivatives`), which have to reach the kernel itself.
        pad: Rows and columns of zeros around ``x``: 1 keeps the size, 0 shrinks it by 2.
        precision: Of the products on an accelerator; sums are in float32.

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
    # A primal's wrapper is a leaf here, and every leaf is one.
    kernels = jax.tree.map(lambda k: k.value, kernels, is_leaf=lambda k: hasattr(k, "perturbed"))
    y = _conv_relu(x.value, kernel.value, bias.value, kernels, pad, precision)
    # The rectifier's mask is read off the output, so that no other activation is kept; the input
    # is needed for the kernel's gradient alone, which frozen parameters do not have.
    trained = kernel.perturbed or bias.perturbed
    # No row of the input, but the mesh axes that it varies over.
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
