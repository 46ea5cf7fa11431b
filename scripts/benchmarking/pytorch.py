"""PyTorch's side: the closure of Gatys' notebook and of PyTorch's tutorial."""

from collections.abc import Callable, Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .problem import Problem
from .timing import Side, seconds

Kernels = Mapping[str, tuple[Tensor, Tensor]]


def _features(image: Tensor, kernels: Kernels) -> dict[str, Tensor]:
    x, features = image, {}
    for name, (kernel, bias) in kernels.items():
        if name.endswith("_1") and name != "conv1_1":
            x = functional.max_pool2d(x, 2)
        x = features[name] = functional.relu(functional.conv2d(x, kernel, bias, padding=1))
    return features


def _gram(x: Tensor) -> Tensor:
    flat = x.flatten(2)[0]
    return flat @ flat.T / flat.shape[1]


class PyTorch:
    """Loss, closure and L-BFGS with the same parameters and pictures.

    Attributes:
        image: The network's input, which is optimised.
        evaluations: Number of evaluations so far.
    """

    def __init__(self, problem: Problem, device: str = "cpu", *, compiled: bool = False) -> None:
        # cuDNN's tensor cores want channels last.
        layout = torch.channels_last if device == "cuda" else torch.contiguous_format

        def place(array: np.ndarray) -> Tensor:
            tensor = torch.tensor(np.ascontiguousarray(array), device=device)
            return tensor.contiguous(memory_format=layout) if tensor.ndim == 4 else tensor

        params = jax.tree.map(np.asarray, problem.encoder.params)
        self._kernels = {
            name: (place(p["kernel"].transpose(3, 2, 0, 1)), place(p["bias"]))
            for name, p in params.items()
        }
        normalise = problem.encoder.preprocessing
        content, painting = (
            place(np.asarray(normalise(picture)).transpose(2, 0, 1)[None])
            for picture in problem.pictures
        )
        weights, layers = problem.loss_weights, problem.objective.style_layers
        content_weight, style = weights.of("content").of("conv4_2"), weights.of("style")
        self._content_weight = np.asarray(content_weight).item()
        self._style_weights = {name: np.asarray(style.of(name)).item() for name in layers}
        with torch.no_grad():
            self._content = _features(content, self._kernels)["conv4_2"]
            features = _features(painting, self._kernels)
            self._grams = {name: _gram(features[name]) for name in layers}
        self.image = content.clone().requires_grad_()
        self._loss = torch.compile(self.loss) if compiled else self.loss
        self._device, self.evaluations = device, 0

    def loss(self, image: Tensor) -> Tensor:
        """Returns the loss of the gatys recipe."""
        features = _features(image, self._kernels)
        loss = self._content_weight * functional.mse_loss(features["conv4_2"], self._content)
        for name, target in self._grams.items():
            loss += self._style_weights[name] * functional.mse_loss(_gram(features[name]), target)
        return loss

    def closure(self) -> Tensor:
        """Evaluates the loss and its gradient."""
        self.image.grad = None
        loss = self._loss(self.image)
        loss.backward()
        self.evaluations += 1
        return loss

    def evaluate(self) -> None:
        """Evaluates the loss and its gradient, and waits for them."""
        self.closure()
        if self._device == "cuda":
            torch.cuda.synchronize()

    def descend(self, evaluations: int, history: int = 10) -> int:
        """Runs L-BFGS, and returns the number of evaluations."""
        before = self.evaluations
        solver = torch.optim.LBFGS(
            [self.image], max_iter=evaluations, max_eval=evaluations, history_size=history,
            tolerance_grad=0.0, tolerance_change=0.0,
        )  # fmt: skip
        solver.step(self.closure)  # pyright: ignore[reportArgumentType]
        if self._device == "cuda":
            torch.cuda.synchronize()
        return self.evaluations - before


def make_floor(problem: Problem, side: int) -> Side:
    """Returns the arithmetic limit: all operations at the rate of a large matrix product.

    Args:
        problem: What is computed.
        side: Of the matrices. The faster of JAX's and, on CPUs, PyTorch's product counts.
    """
    matrix = np.random.default_rng(0).random((side, side), "float32")
    ours, theirs = jnp.asarray(matrix), torch.from_numpy(matrix)
    multiply = jax.jit(partial(jnp.matmul, precision="high"))
    products: list[Callable[[], object]] = [lambda: jax.block_until_ready(multiply(ours, ours))]
    if jax.default_backend() == "cpu":
        products.append(lambda: theirs @ theirs)
    share = problem.operations() / (2 * side**3)
    return lambda: share * min(seconds(product) for product in products)
