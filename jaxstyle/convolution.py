"""The 3×3 convolution of every layer, fused with its bias and ReLU, and its own adjoint.

XLA's CPU backend has a fast path for plain ``SAME`` convolutions only; the one that autodiff emits
misses it, inside loops by a factor of five and more. Where both channel counts are large, Winograd
is faster still on CPUs. Layout is HWC, kernels are HWIO.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxstyle import winograd


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
        kernel: Of the layer.
        platform: JAX's name of the backend; all but ``cpu`` have fast convolutions of their own.
    """
    adjoint = adjoint_kernel(kernel)
    if platform != "cpu" or not winograd.suits(kernel):
        return Kernels(adjoint)
    transformed = winograd.transform_kernel(kernel), winograd.transform_kernel(adjoint)
    return Kernels(adjoint, transformed)


def _convolve(x: Array, kernel: Array, pad: int, transformed: Array | None = None) -> Array:
    if transformed is not None and winograd.pays(x, kernel):
        return winograd.convolve(x, transformed, pad)
    return jax.lax.conv_general_dilated(
        x[None],
        kernel,
        window_strides=(1, 1),
        padding=((pad, pad), (pad, pad)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )[0]


@partial(jax.custom_vjp, nondiff_argnums=(4,))
def conv_relu(x: Array, kernel: Array, bias: Array, kernels: Kernels, pad: int) -> Array:
    """Convolves, adds the bias and rectifies: ``y = max(0, K * x + b)``.

    Args:
        x: Input, ``f32[h, w, i]``.
        kernel: ``f32[3, 3, i, o]``.
        bias: ``f32[o]``.
        kernels: ``prepare(kernel)``, handed in so that a loop computes it once.
        pad: Rows and columns of zeros around ``x``: 1 keeps the size, 0 shrinks it by 2.

    Returns:
        ``f32[h + 2·pad − 2, w + 2·pad − 2, o]``.
    """
    transformed = None if kernels.winograd is None else kernels.winograd[0]
    return jax.nn.relu(_convolve(x, kernel, pad, transformed) + bias)


def _conv_relu_forward(x: Any, kernel: Any, bias: Any, kernels: Any, pad: int) -> Any:
    # A primal's wrapper is a leaf here, and every leaf is one.
    kernels = jax.tree.map(lambda k: k.value, kernels, is_leaf=lambda k: hasattr(k, "perturbed"))
    transformed, adjoint = kernels.winograd or (None, None)
    y = jax.nn.relu(_convolve(x.value, kernel.value, pad, transformed) + bias.value)
    # The rectifier's mask is read off the output, so that no other activation is kept; the input
    # is needed for the kernel's gradient alone, which nobody asks of frozen parameters.
    frozen = not (kernel.perturbed or bias.perturbed)
    trained = None if frozen else (x.value, kernel.value)
    return y, (y, (kernels.adjoint, adjoint), trained)


def _conv_relu_backward(pad: int, residuals: Any, dy: Any) -> Any:
    y, (adjoint, transformed), trained = residuals
    if isinstance(dy, jax.custom_derivatives.SymbolicZero):
        return None, None, None, None
    dz = jnp.where(y > 0, dy, 0)
    dx = _convolve(dz, adjoint, 2 - pad, transformed)
    if trained is None:
        return dx, None, None, None
    x, kernel = trained
    (dkernel,) = jax.vjp(lambda k: _convolve(x, k, pad), kernel)[1](dz)
    return dx, dkernel, dz.sum((0, 1)), None


conv_relu.defvjp(_conv_relu_forward, _conv_relu_backward, symbolic_zeros=True)
