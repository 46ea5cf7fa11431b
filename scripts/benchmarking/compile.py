"""``compile``: what stands before the first iteration."""

import dataclasses
import re
import tempfile
import time
from typing import Any

import jax
import jax.numpy as jnp

import jaxstyle as js
from jaxstyle.losses import targets
from jaxstyle.run import chunks, loop

from .options import Measurement
from .outcome import Row
from .problem import begin, make_problem
from .processes import COMMAND, Command


def _stages(function: Any, *arguments: Any) -> Row:
    """Traces and compiles a jitted function, and counts what it became."""
    started = time.perf_counter()
    lowered = function.lower(*arguments)
    traced = time.perf_counter()
    compiled = lowered.compile()
    done = time.perf_counter()
    text = compiled.as_text()
    row: Row = {"tracing [s]": traced - started, "compiling [s]": done - traced}
    for kind in ("fusion", "convolution"):
        row[f"{kind}s"] = len(re.findall(rf" {kind}\(", text))
    return row


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compile(Measurement):
    """Time tracing and compiling of each program, and how long commands take to get going."""

    rounds: int = 3
    """How often the command is run with a warm cache."""
    command: str = COMMAND
    """Arguments of jaxstyle for the command to be timed; nothing for none."""

    def measure(self, encoder: js.VGGEncoder) -> list[Row]:
        """Returns a row for every size and program, then for the commands."""
        rows = [row for size in self.sizes for row in self._programs(encoder, size)]
        return rows + [row for size in self.sizes if self.command for row in self._command(size)]

    def _programs(self, encoder: js.VGGEncoder, size: int) -> list[Row]:
        problem = make_problem(encoder, size, self.memory)
        program = loop.Program(problem.objective, js.lbfgs())
        data, image = problem.data(), problem.image()
        before = begin(data, image, program)
        steps, decay = jnp.int32(1), jnp.float32(0)
        calls = {
            "targets": (targets.content_targets, image, data.encoder, problem.objective),
            "start": (chunks.start, image, None, decay, data.encoder, program),
            "advance": (chunks.advance, *before, steps, decay, data, program),
        }
        # What has been traced for another size or measurement would help.
        jax.clear_caches()
        return [{"size": size, "program": name} | _stages(*call) for name, call in calls.items()]

    def _command(self, size: int) -> list[Row]:
        """Up to the first iteration, a coarse one, and with one at the full size alone."""
        rows: list[Row] = []
        for name, arguments, until_first_iteration in (
            ("to first iteration", "", True),
            ("with one iteration, at the full size", "--scales 1 --iterations 1", False),
        ):
            with tempfile.TemporaryDirectory() as folder:
                words = f"{self.command} {arguments}"
                command = Command(words, size, folder, until_first_iteration)
                seconds = command.cold_and_warm(self.rounds)
            rows += [
                {"size": size, "program": f"command {name}, {cache} cache", "all [s]": s}
                for cache, s in seconds.items()
            ]
        return rows
