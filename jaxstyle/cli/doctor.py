"""``jaxstyle doctor``: what is here, whether it works, and what to do about what does not."""

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
from jaxstyle.errors import InputError
from jaxstyle.files.result import surroundings
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
_ROUGHLY = 0.05  # of a derivative in float32, by differences
# Where the systems show an accelerator, and the JAX that can use it.
_ACCELERATORS = {
    "NVIDIA GPU": (("/dev/nvidia0", "/proc/driver/nvidia/version"), "cuda12"),
    "TPU": (("/dev/accel0", "/dev/accel_0"), "tpu"),
    "AMD GPU": (("/dev/kfd",), "rocm"),
}


@dataclasses.dataclass(frozen=True)
class Doctor:
    """Tell what is here and whether it works: versions, devices, memory, caches, encoders."""

    clear: Flag = False
    """Remove the compiled programs that are kept; downloaded parameters stay."""
    cache: Cache = None
    json: Json = False
    debug: Debug = False

    def run(self) -> int:
        """Runs the command and returns its exit code: 1 if something is wrong."""
        cache = pretrained.cache_folder(self.cache)
        programs = pretrained.programs_folder(self.cache)
        if self.clear:
            shutil.rmtree(programs, ignore_errors=True)
        wrong = list(_unusable())
        usable = not wrong
        rows = [*_versions(), *_machine(usable), *_caches(cache, programs)]
        rows += _encoders(self.cache)
        if usable:
            wrong += _missing_devices()
            run.keep_programs(self.cache)
            rows += _tested(wrong)
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
            yield f"extra {extra}", f'not here: pip install "jaxstyle[{extra}]"'


def _tested(wrong: list[str]) -> Iterator[tuple[str, str]]:
    """Yields how a small painting went, and adds to what is wrong."""
    began = time.monotonic()
    with report.console().status("a small painting"):
        troubles = list(_self_test())
    took = f"{time.monotonic() - began:.1f} s"
    yield "self-test", "; ".join(troubles) or f"paints, and derivatives hold; {took}"
    wrong += [f"self-test: {trouble}" for trouble in troubles]


def _machine(usable: bool) -> Iterator[tuple[str, str]]:
    yield "system", platform.platform()
    yield "processors", str(os.cpu_count())
    for device in jax.devices() if usable else []:
        stats = (device.platform != "cpu" and device.memory_stats()) or {}
        limit = stats.get("bytes_limit")
        yield (
            f"device {device.id}",
            surroundings()["device"] + (f", {_size(limit)}" if limit else ""),
        )
    yield "free memory", _size(free_memory())
    chosen = {k: v for k, v in os.environ.items() if k.startswith(("JAX_", "XLA_", "JAXSTYLE_"))}
    yield from sorted(chosen.items())


def _caches(cache: Path, programs: Path) -> Iterator[tuple[str, str]]:
    yield "cache", str(cache)
    yield "kept programs", _size(_bytes_in(programs))
    yield "downloads", _size(_bytes_in(cache) - _bytes_in(programs))


def _bytes_in(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def _encoders(cache: Path | None) -> Iterator[tuple[str, str]]:
    for encoder in pretrained.available(cache):
        get = f"not here: jaxstyle weights download {encoder.name}"
        yield f"encoder {encoder.name}", "here" if encoder.here else get


def _unusable() -> Iterator[str]:
    """Yields why JAX has no device at all; nothing if it has."""
    try:
        run.check_devices()
    except (InputError, RuntimeError, AssertionError) as error:
        yield str(error).strip().partition("\n")[0] or type(error).__name__


def _missing_devices() -> Iterator[str]:
    """Yields what to do about accelerators that the machine has and this JAX cannot use."""
    if jax.default_backend() != "cpu":
        return
    for name, (places, extra) in _ACCELERATORS.items():
        if not any(map(os.path.exists, places)) and not (extra == "cuda12" and _driver()):
            continue
        if os.environ.get("JAX_PLATFORMS", "") == "cpu":
            yield f"{name}: is present, and JAX_PLATFORMS=cpu keeps JAX off it; unset it"
        else:
            extra = _cuda() if extra == "cuda12" else extra
            yield f'{name}: is present but this JAX cannot use it; pip install "jax[{extra}]"'


def _driver() -> str:
    """Returns what NVIDIA's driver says of itself; nothing where there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        told = subprocess.run([program], capture_output=True, text=True, timeout=20)
        return told.stdout if told.returncode == 0 else ""
    return ""


def _cuda() -> str:
    """Returns the extra of JAX for the driver that is here."""
    found = re.search(r"CUDA Version:\s*(\d+)", _driver())
    return "cuda13" if found and int(found[1]) >= 13 else "cuda12"


def _self_test() -> Iterator[str]:
    """Yields what goes wrong with a small painting and one derivative of the loss."""
    try:
        yield from _painting()
    except Exception as error:
        yield str(error).strip().partition("\n")[0] or type(error).__name__


def _painting() -> Iterator[str]:
    encoder = js.load_encoder("random")
    content, style, direction = jax.random.uniform(jax.random.key(0), (3, 48, 48, 3))
    objective = js.Objective(content_layers=("conv2_2",), style_layers=("conv1_1", "conv2_1"))
    schedule = js.Schedule(iterations=8, scales=1)
    result = js.stylize(content, style, encoder, objective=objective, schedule=schedule)
    losses = np.sum(result.terms, axis=0)
    if not losses[-1] < losses[0]:
        yield f"the loss does not go down ({losses[0]:.4g} to {losses[-1]:.4g})"
    targets = jax.jit(js.make_targets, static_argnums=3)(content, style, encoder, objective)

    def along(t: Any) -> Any:
        image = content + t * (direction - 0.5)
        return js.loss(image, targets, js.LossWeights(), encoder, objective)

    # One program for both, as compiling is all that takes time here.
    both = jax.jit(jax.value_and_grad(along), compiler_options=js.compilation.compiler_options())
    step, here = 0.01, jnp.float32(0.1)
    found = float(both(here)[1])
    expected = float(both(here + step)[0] - both(here - step)[0]) / (2 * step)
    if not abs(found - expected) <= _ROUGHLY * abs(expected):
        yield f"the derivative of the loss is {found:.4g}, and {expected:.4g} by differences"


def _size(count: int | float) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
