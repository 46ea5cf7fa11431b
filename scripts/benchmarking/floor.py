"""The arithmetic limit: the operations of the objective at the rate of a large matrix product."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxstyle.encoder.vgg import block_of

from .problem import OBJECTIVE, Problem
from .rounds import Side, seconds


def operations(problem: Problem) -> int:
    """Counts the multiplications and additions of one loss and gradient by direct convolution.

    ``2·9·n·i·o`` for each convolution of ``n`` positions, ``i`` to ``o`` channels, and as many for
    its adjoint; ``2·n·c²`` for each Gram matrix, and as many for its gradient.

    """
    total = 0
    for name, p in problem.params.items():
        shrink = block_of(name) - 1
        positions = (problem.size >> shrink) ** 2
        inputs, outputs = p["kernel"].shape[2:]
        total += 2 * 2 * 9 * positions * inputs * outputs
        if name in OBJECTIVE.style_layers:
            total += 2 * 2 * positions * outputs**2
    return total


def make_floor(problem: Problem, side: int) -> Side:
    """Returns the side that takes the least time: all operations at a matrix product's rate.

    Args:
        problem: Whose operations.
        side: Of the matrices. The faster of JAX's and, on CPUs, PyTorch's product counts.
    """
    matrix = np.random.default_rng(0).random((side, side), "float32")
    ours = jnp.asarray(matrix)
    multiply = jax.jit(partial(jnp.matmul, precision="high"))
    products = [lambda: jax.block_until_ready(multiply(ours, ours))]
    if jax.default_backend() == "cpu":
        import torch

        theirs = torch.from_numpy(matrix)
        products.append(lambda: theirs @ theirs)
    share = operations(problem) / (2 * side**3)
    return lambda: share * min(seconds(product) for product in products)
