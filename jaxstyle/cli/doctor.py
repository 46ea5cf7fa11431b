"""``jaxstyle doctor``: what is installed, whether it works, and how to repair it."""

import contextlib
import dataclasses
import os
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxstyle as js
from jaxstyle import pretrained
from jaxstyle.cli import report, run
from jaxstyle.cli.options import Cache, Debug, Flag, Json
from jaxstyle.compilation import compiler_options
from jaxstyle.errors import InputError
from jaxstyle.files.result import surroundings
from jaxstyle.recipes.recipe import Recipe
from jaxstyle.recipes.system_memory import free_memory

_PACKAGES = ("jax", "jaxlib", "flax", "jaxopt", "optax", "numpy", "pillow")
_EXTRAS = {
    "heif": "pillow-heif",
    "formats": "imagecodecs",
    "onnx": "onnx",
    "plot": "matplotlib",
    "ray": "ray",
    "video": "av",
    "web": "starlette",
}
_TOLERANCE = 0.05  # of a derivative in float32, by finite differences
_SIDE, _GOAL = 512, "goal on an H200: 1.5 ms"
# Files that show an accelerator, and JAX's extra for it.
_ACCELERATORS = {
    "NVIDIA GPU": (("/dev/nvidia0", "/proc/driver/nvidia/version"), "cuda12"),
    "TPU": (("/dev/accel0", "/dev/accel_0"), "tpu"),
    "AMD GPU": (("/dev/kfd",), "rocm"),
}


@dataclasses.dataclass(frozen=True)
class Doctor:
    """Check versions, devices, memory, caches and encoders, and paint a small test picture."""

    clear: Flag = False
    """Remove cached compiled programs; downloaded parameters stay."""
    cache: Cache = None
    json: Json = False
    debug: Debug = False

    def run(self) -> int:
        """Runs the command and returns its exit code: 1 if something is wrong."""
        programs = pretrained.programs_folder(self.cache)
        if self.clear:
            shutil.rmtree(programs, ignore_errors=True)
        wrong = list(_unusable())
        usable = not wrong
        rows = [*_versions(), *_machine(usable), *_caches(self.cache, programs)]
        if usable:
            run.keep_programs(self.cache)
            rows += _speed()
            wrong += [*_missing_devices(), *_tests(rows)]
        report.print_table(rows, ("what", "is"))
        for line in wrong:
            report.print_error(line)
        return int(bool(wrong))


def _versions() -> Iterator[tuple[str, str]]:
    yield "jaxstyle", js.__version__
    yield "python", platform.python_version()
    for name in _PACKAGES:
        yield name, version(name)
    for extra, package in _EXTRAS.items():
        try:
            yield f"extra {extra}", version(package)
        except PackageNotFoundError:
            yield f"extra {extra}", f'not installed: pip install "jaxstyle[{extra}]"'


def _machine(usable: bool) -> Iterator[tuple[str, str]]:
    yield "system", platform.platform()
    yield "processors", str(os.cpu_count())
    for device in jax.devices() if usable else []:
        stats = (device.platform != "cpu" and device.memory_stats()) or {}
        limit = stats.get("bytes_limit")
        name = surroundings()["device"]
        yield f"device {device.id}", f"{name}, {_size(limit)}" if limit else name
    yield "free memory", _size(free_memory())
    prefixes = ("JAX_", "XLA_", "JAXSTYLE_")
    yield from sorted((k, v) for k, v in os.environ.items() if k.startswith(prefixes))


def _caches(cache: Path | None, programs: Path) -> Iterator[tuple[str, str]]:
    folder = pretrained.cache_folder(cache)
    yield "cache", str(folder)
    yield "compiled programs", _size(_bytes_in(programs))
    yield "downloads", _size(_bytes_in(folder) - _bytes_in(programs))
    for encoder in pretrained.available(cache):
        missing = f"not installed: jaxstyle weights download {encoder.name}"
        yield f"encoder {encoder.name}", "installed" if encoder.here else missing


def _bytes_in(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def _unusable() -> Iterator[str]:
    """Yields why JAX has no device; nothing if it has one."""
    try:
        run.check_devices()
    except (InputError, RuntimeError, AssertionError) as error:
        yield _first_line(error)


def _missing_devices() -> Iterator[str]:
    """Yields how to use accelerators that the machine has and this JAX does not use."""
    if jax.default_backend() != "cpu":
        return
    for name, (paths, extra) in _ACCELERATORS.items():
        driver = _driver() if extra == "cuda12" else ""
        if not driver and not any(map(os.path.exists, paths)):
            continue
        if os.environ.get("JAX_PLATFORMS") == "cpu":
            yield f"{name}: not used because of JAX_PLATFORMS=cpu; unset it"
            continue
        cuda = re.search(r"CUDA Version:\s*(\d+)", driver)
        extra = "cuda13" if cuda and int(cuda[1]) >= 13 else extra
        yield f'{name}: not used by this JAX; pip install "jax[{extra}]"'


def _driver() -> str:
    """Returns the output of NVIDIA's driver; an empty string if there is none."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(["nvidia-smi"], capture_output=True, text=True, timeout=20)
        return done.stdout if done.returncode == 0 else ""
    return ""


def _tests(rows: list[tuple[str, str]]) -> Iterator[str]:
    """Yields the tests that fail, and adds a row for each test."""
    for name, test, good in (
        ("sums", _wrong_rows, "right"),
        ("self-test", _painting, "paints, and derivatives are right"),
    ):
        began = time.monotonic()
        with report.console().status(name):
            try:
                failures = list(test())
            except Exception as error:
                failures = [_first_line(error)]
        seconds = time.monotonic() - began
        rows.append((name, "; ".join(failures) or f"{good}; {seconds:.1f} s"))
        yield from (f"{name}: {failure}" for failure in failures)


def _wrong_rows() -> Iterator[str]:
    """Yields a failure if XLA sums squares wrongly, as in jax issue 39103."""
    matrix = jax.random.normal(jax.random.key(1), (3, 3))
    rows = jax.random.normal(jax.random.key(2), (32_769, 3))

    def sums(rows: jax.Array) -> jax.Array:
        return jax.vmap(lambda row: jnp.square(matrix @ row).sum())(rows)

    found = jax.jit(sums, compiler_options=compiler_options())(rows)
    expected = np.square(np.asarray(rows, np.float64) @ np.asarray(matrix, np.float64).T).sum(1)
    # Accelerators multiply in TF32 or bfloat16.
    if wrong := int((np.abs(found - expected) > 0.02 * expected.max()).sum()):
        yield f"{wrong} of {len(expected)} are wrong (jax issue 39103); install another jaxlib"


def _painting() -> Iterator[str]:
    """Yields what is wrong with a small painting and a derivative of its loss."""
    encoder = js.load_encoder("random")
    content, style, direction = jax.random.uniform(jax.random.key(0), (3, 48, 48, 3))
    objective = js.Objective(content_layers=("conv2_2",), style_layers=("conv1_1", "conv2_1"))
    schedule = js.Schedule(iterations=8, scales=1)
    result = js.stylize(content, style, encoder, objective=objective, schedule=schedule)
    losses = np.sum([*result.terms.values()], axis=0)
    if not losses[-1] < losses[0]:
        yield f"the loss does not decrease ({losses[0]:.4g} to {losses[-1]:.4g})"
    targets = jax.jit(js.make_targets, static_argnums=3)(content, style, encoder, objective)

    def along(t: Any) -> Any:
        image = content + t * (direction - 0.5)
        return js.loss(image, targets, js.LossWeights(), encoder, objective)

    # One program for both, since compiling takes most of the time.
    both = jax.jit(jax.value_and_grad(along), compiler_options=compiler_options())
    step, here = 0.01, jnp.float32(0.1)
    found = float(both(here)[1])
    expected = float(both(here + step)[0] - both(here - step)[0]) / (2 * step)
    if not abs(found - expected) <= _TOLERANCE * abs(expected):
        yield f"the derivative of the loss is {found:.4g}; {expected:.4g} by finite differences"


def _speed() -> Iterator[tuple[str, str]]:
    """Yields time and memory of one evaluation of the default recipe on an accelerator."""
    if jax.default_backend() == "cpu":
        return
    with report.console().status("one evaluation"):
        seconds = evaluation_time(_SIDE)
    recipe = Recipe()
    peak = (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    yield (
        f"evaluation, {_SIDE}×{_SIDE}, {recipe.precision}",
        f"{1e3 * seconds:.2f} ms ({_GOAL})" + (f", at most {_size(peak)} in use" if peak else ""),
    )


def evaluation_time(side: int, *, repeats: int = 20, rounds: int = 5) -> float:
    """Returns the seconds of one loss and gradient of the default recipe: the best round's mean.

    Args:
        side: Height and width in pixels.
        repeats: Evaluations in a round, each of which waits for the one before.
        rounds: Number of rounds.
    """
    recipe, encoder = Recipe(), js.load_encoder()
    objective, weights = recipe.make_objective(), recipe.make_loss_weights()
    image, style = jax.random.uniform(jax.random.key(0), (2, side, side, 3))
    targets = jax.jit(js.make_targets, static_argnums=3)(image, style, encoder, objective)

    def descend(image: jax.Array) -> jax.Array:
        return image - 1e-6 * jax.grad(js.loss)(image, targets, weights, encoder, objective)

    program = jax.jit(descend, compiler_options=compiler_options())
    image = jax.block_until_ready(program(image))
    best = np.inf
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(repeats):
            image = program(image)
        jax.block_until_ready(image)
        best = min(best, (time.perf_counter() - began) / repeats)
    return float(best)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _size(count: int | float) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
