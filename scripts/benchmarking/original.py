"""PyTorch's side: the original's closure, as Gatys' notebook and PyTorch's tutorial have it."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from jaxstyle.encoder.preprocessing import PREPROCESSINGS

from .problem import OBJECTIVE, Problem

Kernels = Mapping[str, tuple[Tensor, Tensor]]


def _features(image: Tensor, kernels: Kernels) -> dict[str, Tensor]:
    x, found = image, {}
    for name, (kernel, bias) in kernels.items():
        if name.endswith("_1") and name != "conv1_1":
            x = functional.max_pool2d(x, 2)
        x = functional.relu(functional.conv2d(x, kernel, bias, padding=1))
        found[name] = x
    return found


def _gram(x: Tensor) -> Tensor:
    flat = x.flatten(2)[0]
    return flat @ flat.T / flat.shape[1]


class Original:
    """Loss, closure and solver on the same parameters and pictures as ours.

    The image that moves is the network's input, as the original has it.

    Attributes:
        image: Where it stands.
    """

    def __init__(self, problem: Problem, device: str = "cpu", *, compiled: bool = False) -> None:
        self._preprocessing, self._device = PREPROCESSINGS[problem.preprocessing], device
        # cuDNN's tensor cores want channels last; on CPUs the original's layout stays.
        self._layout = torch.channels_last if device == "cuda" else torch.contiguous_format
        weights = problem.loss_weights
        self._content_weight = float(np.asarray(weights.of_content("conv4_2")))
        self._style_weights = {
            name: float(np.asarray(weights.of_style(name))) for name in OBJECTIVE.style_layers
        }
        self._kernels = {
            name: (
                self._place(p["kernel"].transpose(3, 2, 0, 1)),
                torch.tensor(p["bias"], device=device),
            )
            for name, p in problem.params.items()
        }
        with torch.no_grad():
            content, style = self._input(problem.content), self._input(problem.style)
            self._kept = _features(content, self._kernels)["conv4_2"]
            seen = _features(style, self._kernels)
            self._targets = {name: _gram(seen[name]) for name in OBJECTIVE.style_layers}
        self.image = content.clone().requires_grad_()
        self._loss = torch.compile(self.loss) if compiled else self.loss
        self.evaluations = 0

    def _place(self, array: np.ndarray) -> Tensor:
        return torch.tensor(array, device=self._device).contiguous(memory_format=self._layout)

    def _input(self, picture: np.ndarray) -> Tensor:
        how = self._preprocessing
        x = (picture * how.scale - np.array(how.mean)) / np.array(how.std)
        x = x[..., ::-1] if how.bgr else x
        return self._place(np.ascontiguousarray(x.transpose(2, 0, 1)[None], "float32"))

    def loss(self, image: Tensor) -> Tensor:
        """Returns the loss of the gatys recipe."""
        found = _features(image, self._kernels)
        loss = self._content_weight * functional.mse_loss(found["conv4_2"], self._kept)
        for name, target in self._targets.items():
            weight = self._style_weights[name]
            loss = loss + weight * functional.mse_loss(_gram(found[name]), target)
        return loss

    def closure(self, zero_grad: Callable[[], None] | None = None) -> Tensor:
        """Evaluates loss and gradient, as the solver asks for them."""
        if zero_grad is None:
            self.image.grad = None
        else:
            zero_grad()
        loss = self._loss(self.image)
        loss.backward()
        self.evaluations += 1
        return loss

    def evaluate(self) -> None:
        """Evaluates loss and gradient, and waits for them."""
        self.closure()
        self.wait()

    def wait(self) -> None:
        """Waits for the device."""
        if self._device == "cuda":
            torch.cuda.synchronize()

    def descend(self, evaluations: int, history: int) -> int:
        """Runs L-BFGS for about as many evaluations, waits, and returns how many they were."""
        before = self.evaluations
        solver = torch.optim.LBFGS(
            [self.image],
            max_iter=evaluations,
            max_eval=evaluations,
            history_size=history,
            tolerance_grad=0.0,
            tolerance_change=0.0,
        )
        solver.step(lambda: self.closure(solver.zero_grad))  # pyright: ignore[reportArgumentType]
        self.wait()
        return self.evaluations - before
