"""``loop``: an iteration of the compiled loop beside one evaluation."""

import dataclasses
import time

import jaxstyle as js
from jaxstyle.run.loop import Program

from .options import Measurement
from .outcome import Row
from .problem import begin, make_problem, proceed
from .rounds import seconds, summarise


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loop(Measurement):
    """Time an iteration of the compiled loop beside one evaluation, and count its evaluations."""

    rounds: int = 8
    """Parts of the descent, with an evaluation by itself after each."""
    iterations: int = 200
    """Of the whole descent; at most 64 a part."""
    history: int = 10
    """Pairs that L-BFGS remembers."""

    def measure(self, encoder: js.VGGEncoder) -> list[Row]:
        """Returns a row a size."""
        return [self._row(encoder, size) for size in self.sizes]

    def _row(self, encoder: js.VGGEncoder, size: int) -> Row:
        problem = make_problem(encoder, size, self.memory)
        program = Program(problem.objective, js.lbfgs(history=self.history))
        data, rounds, steps = problem.data(), [], 0
        alone = problem.evaluation()
        alone()
        # Compiles, and evaluates the image to start from.
        chunk = proceed(begin(data, problem.image(), program), 1, data, program)
        first = evaluations = int(chunk.state.evaluations)
        part = max(self.iterations // self.rounds, 1)
        while len(rounds) < self.rounds and not chunk.state.stuck:
            started = time.perf_counter()
            chunk = proceed((chunk.state, chunk.average), part, data, program)
            spent, step = time.perf_counter() - started, max(int(chunk.step), 1)
            evaluated = int(chunk.state.evaluations) - evaluations
            steps, evaluations = steps + step, evaluations + evaluated
            inside = {"iteration": spent / step, "evaluation in the loop": spent / evaluated}
            rounds.append({"evaluation": seconds(alone)} | inside)
        ratios = [("iteration", "evaluation"), ("evaluation in the loop", "evaluation")]
        counts = {"iterations": steps, "evaluations / iterations": (evaluations - first) / steps}
        return {"size": size} | counts | summarise(rounds, ratios)
