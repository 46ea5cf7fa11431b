"""``gpu``: one evaluation, the gatys recipe and memory on a GPU, ours at several precisions."""

import dataclasses
import time
from functools import partial
from typing import TYPE_CHECKING, get_args

import jax
import jax.numpy as jnp
from rich.console import Console

import jaxstyle as js
from jaxstyle.ops.convolution import Precision
from jaxstyle.run.loop import Program

from .floor import make_floor
from .options import Measurement, Numbers
from .outcome import Row
from .problem import RECIPE, Problem, begin, evaluate, make_problem, proceed
from .processes import in_own_process
from .rounds import Side, alternate, seconds, summarise

if TYPE_CHECKING:
    from .original import Original

PRECISIONS: tuple[Precision, ...] = get_args(Precision)
_PART = 50


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

    def measure(self, encoder: js.VGGEncoder) -> list[Row]:
        """Returns rows for every size and side, and the largest square."""
        if jax.default_backend() != "gpu":
            Console().print("no GPU here: nothing to measure")
            return []
        return self.rows(encoder)

    def rows(self, encoder: js.VGGEncoder) -> list[Row]:
        """Measures on whatever device there is."""
        rows = [row for size in self.sizes for row in self._rows(encoder, size)]
        if self.largest:
            problem = make_problem(encoder, min(self.sizes), self.memory)
            rows.append(in_own_process(largest, problem, self.largest))
        return rows

    def _rows(self, encoder: js.VGGEncoder, size: int) -> list[Row]:
        problem, count = make_problem(encoder, size, self.memory), self.evaluations
        # Peaks count from a process' start.
        runs = {p: in_own_process(run_ours, problem, p, count) for p in PRECISIONS}
        names = list(_originals(problem))
        runs |= {name: in_own_process(run_theirs, problem, name, count) for name in names}
        ratios = [(ours, other) for ours in PRECISIONS for other in (*names, "floor")]
        sides: dict[str, Side] = {
            p: partial(seconds, at(p, problem).evaluation()) for p in PRECISIONS
        }
        for name, original in _originals(problem).items():
            sides[name] = partial(seconds, original.evaluate)
        sides["floor"] = make_floor(problem, self.matrix)
        times = summarise(alternate(sides, self.rounds), ratios)
        rows: list[Row] = []
        for name in (*runs, "floor"):
            row: Row = {"size": size, "side": name, "evaluation [s]": times[f"{name} [s]"]}
            row |= {f"/ {b}": times[f"{a} / {b}"] for a, b in ratios if a == name}
            rows.append(row | runs.get(name, {}))
        return rows


def at(precision: Precision, problem: Problem) -> Problem:
    """Returns the problem with convolutions in some precision."""
    return problem._replace(vgg=problem.vgg.clone(precision=precision))


def run_ours(problem: Problem, precision: Precision, evaluations: int) -> Row:
    """Runs the recipe at a precision, and measures the memory and the error of the gradient."""
    row: Row = {f"{evaluations} evaluations [s]": descend(at(precision, problem), evaluations)}
    row |= _memory(problem.size, _peak())
    gradient, exact = (_gradient(at(p, problem)) for p in (precision, "highest"))
    error = jnp.linalg.norm(gradient - exact) / jnp.linalg.norm(exact)
    return row | {"gradient error": float(error)}


def _gradient(problem: Problem) -> jax.Array:
    return evaluate(problem.image(), *problem.data(), problem.objective)[1]


def descend(problem: Problem, evaluations: int) -> float:
    """Returns the seconds, without compiling, of the recipe's descent up to some evaluation."""
    data, program, done = problem.data(), _program(problem), 0
    proceed(begin(data, problem.image(), program), 1, data, program)
    before = begin(data, problem.image(), program)
    started = time.perf_counter()
    while done < evaluations and not before[0].stuck:
        chunk = proceed(before, min(evaluations - done, _PART), data, program)
        before, done = (chunk.state, chunk.average), int(chunk.state.evaluations)
    return (time.perf_counter() - started) * evaluations / done


def _program(problem: Problem) -> Program:
    return Program(problem.objective, RECIPE.make_solver())


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
            bigger = make_problem(problem.encoder, size, problem.objective.memory)
            data, program = bigger.data(), _program(bigger)
            proceed(begin(data, bigger.image(), program), 2, data, program)
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            break
        row |= {"size": size} | _memory(size, _peak())
        size *= 2
    return row
