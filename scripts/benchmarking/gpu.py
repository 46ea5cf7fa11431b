"""``gpu``: one evaluation, a run and its memory on a GPU, at several precisions."""

import dataclasses
from functools import partial
from typing import Any, get_args

import jax
import jax.numpy as jnp

from jaxstyle.ops.convolution import Precision

from .options import Measurement
from .outcome import Row
from .problem import Problem, parse
from .timing import Side, compare, in_own_process, seconds


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gpu(Measurement):
    """Measure on a GPU beside PyTorch, eager and compiled; do nothing without a GPU."""

    sizes: tuple[str, ...] = ("512",)
    """Sizes of the image in pixels: one side of a square, or WIDTHxHEIGHT."""
    iterations: int = 500
    """Number of iterations of a run."""
    matrix: int = 8192
    """Side of the matrices whose product sets the arithmetic limit."""
    largest: int = 16384
    """Side up to which to look for the largest square that fits; 0 for not at all."""

    def measure(self) -> list[Row]:
        """Returns the rows of the table."""
        if jax.default_backend() != "gpu":
            print("there is no GPU: nothing to measure")
            return []
        return self.rows()

    def rows(self) -> list[Row]:
        """Measures on any device."""
        rows = [row for size in self.sizes for row in self._rows(parse(size))]
        if self.largest:
            rows.append(in_own_process(_largest, self.encoder, self.plan, self.largest))
        return rows

    def _rows(self, shape: tuple[int, int]) -> list[Row]:
        from .pytorch import PyTorch, make_floor

        problems = {
            p: Problem(self.encoder, shape, self.plan, precision=p) for p in get_args(Precision)
        }
        exact = problems["highest"]
        runs = {
            p: in_own_process(_run, problem, self.iterations) for p, problem in problems.items()
        }
        sides: dict[str, Side] = {}
        for precision, problem in problems.items():
            evaluate, image = problem.value_and_grad(), problem.pictures[0]
            sides[precision] = partial(seconds, partial(evaluate, image))
        for name, options in _pytorch_options().items():
            runs[name] = in_own_process(_run_pytorch, exact, options, self.iterations)
            sides[name] = partial(seconds, PyTorch(exact, **options).evaluate)
        sides["floor"] = make_floor(exact, self.matrix)
        ratios = [(p, other) for p in problems for other in sides if other not in problems]
        times = compare(sides, self.rounds, ratios)
        return [
            {"size": f"{shape[1]}x{shape[0]}", "side": name, "evaluation [s]": times[f"{name} [s]"]}
            | {f"/ {b}": times[f"{a} / {b}"] for a, b in ratios if a == name}
            | runs.get(name, {})
            for name in sides
        ]


def _pytorch_options() -> dict[str, dict[str, Any]]:
    import torch

    if not torch.cuda.is_available():
        return {"PyTorch eager": {}}
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    cuda = {"device": "cuda"}
    return {"PyTorch eager": cuda, "PyTorch compiled": cuda | {"compiled": True}}


def _run(problem: Problem, iterations: int) -> Row:
    problem.stylize(1)  # compiles
    row: Row = {"run [s]": seconds(lambda: problem.stylize(iterations))} | _peak()
    exact = dataclasses.replace(problem, precision="highest")
    gradient, reference = (p.gradient()[1] for p in (problem, exact))
    error = jnp.linalg.norm(gradient - reference) / jnp.linalg.norm(reference)
    return row | {"gradient error": float(error)}


def _run_pytorch(problem: Problem, options: dict[str, Any], iterations: int) -> Row:
    import torch

    from .pytorch import PyTorch

    _pytorch_options()
    pytorch = PyTorch(problem, **options)
    pytorch.evaluate()
    row: Row = {"run [s]": seconds(lambda: pytorch.descend(iterations))}
    cuda = torch.cuda.is_available()
    return row | ({"peak [GB]": torch.cuda.max_memory_allocated() / 1e9} if cuda else {})


def _peak() -> Row:
    stats = jax.devices()[0].memory_stats()
    return {"peak [GB]": stats["peak_bytes_in_use"] / 1e9} if stats else {}


def _largest(encoder: str, plan: Any, limit: int) -> Row:
    """Returns the largest square that a run fits in, doubling its side."""
    row: Row = {"side": "largest that fits"}
    size = min(512, limit)
    while size <= limit:
        try:
            Problem(encoder, (size, size), plan).stylize(2)
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            break
        row |= {"size": f"{size}x{size}"} | _peak()
        size *= 2
    return row
