"""``gpu``: one evaluation, the gatys recipe and memory on a GPU, ours at several precisions."""

import dataclasses
import time
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from rich.console import Console

import jaxstyle as js
from jaxstyle.loop import Program

from .floor import make_floor
from .options import Measurement, Numbers
from .outcome import Row
from .problem import OBJECTIVE, RECIPE, Problem, begin, evaluate, evaluation, make_problem, proceed
from .processes import in_own_process
from .rounds import Side, alternate, seconds, summarise

if TYPE_CHECKING:
    from .original import Original

# JAX's names of products in full float32, TensorFloat-32 and bfloat16.
PRECISIONS = {"highest": "highest", "tf32": "tensorfloat32", "bf16": "bfloat16"}
_PART = 50
_PROGRAM = Program(OBJECTIVE, RECIPE.make_solver())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gpu(Measurement):
    """Time and measure on a GPU, beside PyTorch eager and compiled; does nothing without one."""

    sizes: Numbers = (512,)
    """Sides of the square image, in pixels."""
    evaluations: int = 500
    """Of the gatys recipe."""
    matrix: int = 8192
    """Side of the matrices whose product sets the arithmetic limit."""
    largest: int = 16384
    """Side up to which the largest square that fits is looked for; 0 for not at all."""

    def measure(self, encoder: js.Encoder) -> list[Row]:
        """Returns rows for every size and side, and the largest square."""
        if jax.default_backend() != "gpu":
            Console().print("no GPU here: nothing to measure")
            return []
        return self.rows(encoder)

    def rows(self, encoder: js.Encoder) -> list[Row]:
        """Measures on whatever device there is."""
        rows = [row for size in self.sizes for row in self._rows(make_problem(encoder, size))]
        if self.largest:
            problem = make_problem(encoder, min(self.sizes))
            rows.append(in_own_process(largest, problem, self.largest))
        return rows

    def _rows(self, problem: Problem) -> list[Row]:
        size, count = problem.size, self.evaluations
        # Peaks count from a process' start.
        runs = {name: in_own_process(run_ours, problem, name, count) for name in PRECISIONS}
        names = list(_originals(problem))
        runs |= {name: in_own_process(run_theirs, problem, name, count) for name in names}
        ratios = [(ours, other) for ours in PRECISIONS for other in (*names, "floor")]
        times = summarise(alternate(self._sides(problem), self.rounds), ratios)
        rows: list[Row] = []
        for name in (*runs, "floor"):
            row: Row = {"size": size, "side": name, "evaluation [s]": times[f"{name} [s]"]}
            row |= {f"/ {b}": times[f"{a} / {b}"] for a, b in ratios if a == name}
            rows.append(row | runs.get(name, {}))
        return rows

    def _sides(self, problem: Problem) -> dict[str, Side]:
        alone = evaluation(problem.data(), problem.image())
        floor = make_floor(problem, self.matrix)
        sides = {name: _at(name, lambda: seconds(alone)) for name in PRECISIONS}
        for name, original in _originals(problem).items():
            sides[name] = lambda original=original: seconds(original.evaluate)
        return sides | {"floor": _at("tf32", floor)}


def _at(precision: str, side: Side) -> Side:
    def run() -> float:
        with jax.default_matmul_precision(PRECISIONS[precision]):
            return side()

    return run


def run_ours(problem: Problem, precision: str, evaluations: int) -> Row:
    """Runs the recipe at a precision, and measures the memory and the error of the gradient."""
    with jax.default_matmul_precision(PRECISIONS[precision]):
        row: Row = {f"{evaluations} evaluations [s]": descend(problem, evaluations)}
        row |= _memory(problem.size, _peak())
        gradient = evaluate(problem.image(), *problem.data(), OBJECTIVE)[1]
    with jax.default_matmul_precision("highest"):
        exact = evaluate(problem.image(), *problem.data(), OBJECTIVE)[1]
    error = jnp.linalg.norm(gradient - exact) / jnp.linalg.norm(exact)
    return row | {"gradient error": float(error)}


def descend(problem: Problem, evaluations: int) -> float:
    """Returns the seconds, without compiling, of the recipe's descent up to some evaluation."""
    data, done = problem.data(), 0
    proceed(begin(data, problem.image(), _PROGRAM), 1, data, _PROGRAM)
    before = begin(data, problem.image(), _PROGRAM)
    started = time.perf_counter()
    while done < evaluations and not before[0].stuck:
        chunk = proceed(before, min(evaluations - done, _PART), data, _PROGRAM)
        before, done = (chunk.state, chunk.average), int(chunk.state.evaluations)
    return (time.perf_counter() - started) * evaluations / done


def run_theirs(problem: Problem, name: str, evaluations: int) -> Row:
    """Runs the recipe in PyTorch, eager or compiled, and measures the memory."""
    import torch

    original, cuda = _originals(problem)[name], torch.cuda.is_available()
    original.evaluate()
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    done = []
    spent = seconds(lambda: done.append(original.descend(evaluations, RECIPE.history)))
    peak = torch.cuda.max_memory_allocated() / 1e9 if cuda else None
    row: Row = {f"{evaluations} evaluations [s]": spent * evaluations / done[0]}
    return row | _memory(problem.size, peak)


def _originals(problem: Problem) -> dict[str, "Original"]:
    """PyTorch as fast as it goes: tuned, channels last, and compiled as well."""
    import torch

    from .original import Original

    if jax.default_backend() == "gpu" and not torch.cuda.is_available():
        return {}  # Its CPU would be no match.
    if not torch.cuda.is_available():
        return {"PyTorch eager": Original(problem)}
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    return {
        "PyTorch eager": Original(problem, "cuda"),
        "PyTorch compiled": Original(problem, "cuda", compiled=True),
    }


def _peak() -> float | None:
    """Returns the most gigabytes that JAX has had on the device, where it counts them."""
    stats = jax.devices()[0].memory_stats()
    return stats["peak_bytes_in_use"] / 1e9 if stats else None


def _memory(size: int, peak: float | None) -> Row:
    if peak is None:
        return {}
    return {"peak [GB]": peak, "peak per megapixel [GB]": peak / size**2 * 1e6}


def largest(problem: Problem, limit: int) -> Row:
    """Returns the largest square, twice as large as the one before, that the recipe fits in."""
    row: Row = {"side": "largest that fits"}
    size = problem.size
    while size <= limit:
        try:
            bigger = make_problem(problem.encoder, size)
            data = bigger.data()
            proceed(begin(data, bigger.image(), _PROGRAM), 2, data, _PROGRAM)
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            break
        row |= {"size": size} | _memory(size, _peak())
        size *= 2
    return row
