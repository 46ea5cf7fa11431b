"""``memory``: the peak of a run of L-BFGS, ours and PyTorch's, each in a process of its own."""

import dataclasses
import sys
from pathlib import Path

import jax.numpy as jnp

import jaxstyle as js
from jaxstyle.run.chunks import advance
from jaxstyle.run.loop import Program

from .options import Measurement, Numbers
from .outcome import Row
from .problem import Problem, begin, make_problem, proceed
from .processes import in_own_process

_STATUS = Path("/proc/self/status")


def resident(*, anew: bool = False) -> tuple[int, int]:
    """Returns the resident memory of this process in bytes, now and at its peak.

    Args:
        anew: Whether the peak starts anew here, where the system can do that.
    """
    if not _STATUS.exists():
        import resource  # not on Windows

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        peak *= 1 if sys.platform == "darwin" else 1024
        return peak, peak
    if anew:
        Path("/proc/self/clear_refs").write_text("5")
    # Linux hands ru_maxrss on from parent to child; these fields are the process' own.
    fields = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    now, peak = (int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    return now, peak


def _ours(problem: Problem, iterations: int, history: int) -> int:
    image, program = problem.image(), Program(problem.objective, js.lbfgs(history=history))
    before, _ = resident()
    data = problem.data()
    proceed(begin(data, image, program), iterations, data, program)
    return resident()[1] - before


def _theirs(problem: Problem, iterations: int, history: int) -> int:
    from .original import Original

    before, _ = resident()
    Original(problem).descend(iterations, history)
    return resident()[1] - before


@dataclasses.dataclass(frozen=True, kw_only=True)
class Memory(Measurement):
    """Measure the peak memory of L-BFGS beside PyTorch's: what the run adds to loaded libraries."""

    sizes: Numbers = (1024,)
    """Sides of the square image, in pixels."""
    iterations: int = 12
    """Of the run: enough to fill the history."""
    history: int = 10
    """Pairs that L-BFGS remembers, on both sides."""

    def measure(self, encoder: js.VGGEncoder) -> list[Row]:
        """Returns a row a size."""
        return [self._row(make_problem(encoder, size, self.memory)) for size in self.sizes]

    def _row(self, problem: Problem) -> Row:
        ours, theirs = (
            in_own_process(side, problem, self.iterations, self.history)
            for side in (_ours, _theirs)
        )
        return {
            "size": problem.size,
            "ours [MB]": ours / 1e6,
            "PyTorch [MB]": theirs / 1e6,
            "ours / PyTorch": ours / theirs,
        } | planned(problem, self.history)


def planned(problem: Problem, history: int) -> Row:
    """Returns what XLA says that the compiled loop takes."""
    data, program = problem.data(), Program(problem.objective, js.lbfgs(history=history))
    before = begin(data, problem.image(), program)
    arguments = (*before, jnp.int32(1), jnp.float32(0), data, program)
    plan = advance.lower(*arguments).compile().memory_analysis()
    if plan is None:
        return {}
    return {
        "XLA: temporary [MB]": plan.temp_size_in_bytes / 1e6,
        "XLA: arguments [MB]": plan.argument_size_in_bytes / 1e6,
        "XLA: results not donated [MB]": (plan.output_size_in_bytes - plan.alias_size_in_bytes)
        / 1e6,
    }
