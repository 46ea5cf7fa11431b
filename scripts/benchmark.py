"""Measure a loss and gradient of Gatys' objective, alone and in the loop, beside PyTorch.

VGG19 up to conv5_1, five Gram matrices and one content layer, float32, the same parameters and
pictures on both sides. The sides take turns round by round, so that a machine whose speed drifts
drifts for both; the table shows medians, and ratios taken within a round.

    pip install ".[oracle]" && python scripts/benchmark.py --sizes 256 512 --json evaluate.json
"""

import dataclasses
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

import jaxstyle as js
from jaxstyle import loop, vgg

LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
OBJECTIVE = js.Objective(("conv4_2",), LAYERS)
LOSS_WEIGHTS = js.LossWeights(1.0, 1000.0, 0.0, style_layers={})


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Time one loss and gradient, alone and in the compiled loop, beside PyTorch."""

    sizes: tuple[int, ...] = (256, 512)
    """Sides of the square image, in pixels."""
    rounds: int = 7
    """How often the sides take turns."""
    iterations: int = 8
    """Solver iterations in one run of the loop."""
    threads: int = os.cpu_count() or 1
    """That PyTorch may use; JAX takes all that the process may run on."""
    json: Path | None = None
    """File to write the numbers to."""


def pictures(size: int) -> tuple[jax.Array, jax.Array]:
    """Two smooth random pictures: the time does not depend on what they show."""
    noise = jax.random.uniform(jax.random.key(0), (2, size // 8, size // 8, 3))
    content, style = (jnp.clip(jax.image.resize(n, (size, size, 3), "cubic"), 0, 1) for n in noise)
    return content, style


def seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def ours(encoder: js.Encoder, size: int, iterations: int) -> dict[str, Callable[[], float]]:
    """Seconds of one evaluation alone, and per evaluation and iteration of the compiled loop."""
    content, style = pictures(size)
    targets = js.make_targets(content, style, encoder, OBJECTIVE)
    weights = jax.tree.map(jnp.float32, LOSS_WEIGHTS)
    evaluate = jax.jit(jax.value_and_grad(js.loss))
    arguments = (targets, weights, encoder)

    def alone() -> float:
        return seconds(lambda: jax.block_until_ready(evaluate(content, *arguments, OBJECTIVE)))

    spent = {}

    def compiled() -> float:
        state = loop.start(content, arguments, OBJECTIVE, js.lbfgs())
        started = int(state.evaluations)
        clock = time.perf_counter()
        chunk = loop.advance(state, jnp.int32(iterations), arguments, OBJECTIVE, js.lbfgs())
        jax.block_until_ready(chunk)
        spent["seconds"] = time.perf_counter() - clock
        return spent["seconds"] / (int(chunk.state.evaluations) - started)

    return {"alone": alone, "loop": compiled, "iteration": lambda: spent["seconds"] / iterations}


def pytorch(encoder: js.Encoder, size: int, threads: int) -> Callable[[], float]:
    """Seconds of the original's closure: zero_grad, forward, Gram matrices, backward."""
    import torch
    from torch.nn import functional

    torch.set_num_threads(threads)
    x, style = (
        torch.from_numpy(np.array(vgg.PREPROCESSINGS[encoder.preprocessing](p)))
        .permute(2, 0, 1)[None]
        .contiguous()
        for p in pictures(size)
    )
    kernels = {
        name: (
            torch.from_numpy(np.array(p["kernel"])).permute(3, 2, 0, 1).contiguous(),
            torch.from_numpy(np.array(p["bias"])),
        )
        for name, p in encoder.params.items()
    }

    def features(x: torch.Tensor) -> dict[str, torch.Tensor]:
        found = {}
        for name, (kernel, bias) in kernels.items():
            if name.endswith("_1") and name != "conv1_1":
                x = functional.max_pool2d(x, 2)
            x = functional.relu(functional.conv2d(x, kernel, bias, padding=1))
            found[name] = x
        return found

    def gram(x: torch.Tensor) -> torch.Tensor:
        flat = x.flatten(2)[0]
        return flat @ flat.T / flat.shape[1]

    with torch.no_grad():
        kept = features(x)["conv4_2"]
        targets = {name: gram(f) for name, f in features(style).items() if name in LAYERS}
    image = x.clone().requires_grad_()
    optimiser = torch.optim.LBFGS([image])

    def closure() -> None:
        optimiser.zero_grad()
        found = features(image)
        loss = functional.mse_loss(found["conv4_2"], kept)
        for name, target in targets.items():
            loss = loss + 1000 * functional.mse_loss(gram(found[name]), target)
        loss.backward()

    return lambda: seconds(closure)


def measure(size: int, options: Benchmark) -> dict[str, float]:
    """Medians in seconds, and medians of the ratios within a round."""
    encoder = js.load_encoder("random", pooling="max", padding="zeros")
    layers = (*OBJECTIVE.content_layers, *OBJECTIVE.style_layers)
    encoder = vgg.prepare(vgg.truncate(encoder, layers))
    sides = ours(encoder, size, options.iterations)
    sides["pytorch"] = pytorch(encoder, size, options.threads)
    for run in sides.values():
        run()
    rounds = [{name: run() for name, run in sides.items()} for _ in range(options.rounds)]
    pairs = [("loop", "alone"), ("iteration", "alone"), ("alone", "pytorch"), ("loop", "pytorch")]
    ratios = {f"{a} / {b}": (a, b) for a, b in pairs}
    row = {name: median(r[name] for r in rounds) for name in sides}
    return row | {name: median(r[a] / r[b] for r in rounds) for name, (a, b) in ratios.items()}


def circumstances() -> dict[str, str | int | None]:
    """What a number depends on beside the code."""
    import torch

    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
    )
    return {
        "commit": commit.stdout.strip() or None,
        "jax": jax.__version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "device": jax.devices()[0].device_kind,
        "cores": os.cpu_count(),
    }


def main() -> None:
    options = tyro.cli(Benchmark)
    rows = {size: measure(size, options) for size in options.sizes}
    names = list(rows[options.sizes[0]])
    table = Table("size", *(n if "/" in n else f"{n} [s]" for n in names))
    for size, row in rows.items():
        table.add_row(f"{size}²", *(f"{row[name]:.3f}" for name in names))
    Console().print(table)
    facts = circumstances()
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    if options.json:
        options.json.write_text(json.dumps({"circumstances": facts, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
