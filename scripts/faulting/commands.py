"""The command in processes of its own, as a person or a batch system starts it."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

import jaxstyle as js

QUICK = ("--encoder", "random", "--size", "64", "--iterations", "3", "--scales", "1")
LIMIT_S = 120
_SIGNALLED = (129, 130, 143, -1, -2, -15)


class Told(NamedTuple):
    """How a command ended.

    Attributes:
        code: Its exit code; negative for the signal that ended it.
        out: What it printed as its result.
        error: What it printed besides.
    """

    code: int
    out: str
    error: str


def make_pictures(folder: Path) -> None:
    """Writes a photograph and a painting."""
    rng = np.random.default_rng(0)
    for name in ("photo.png", "painting.png"):
        values = np.cumsum(rng.integers(-9, 10, (64, 80, 3)), 1) + 128
        Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).save(folder / name)


# In the new process, and not between fork and exec, where threads of JAX's are in the way.
_LIMITED = (
    "import os, resource, sys; most = int(sys.argv[2]); "
    "resource.setrlimit(int(sys.argv[1]), (most, most)); os.execv(sys.argv[3], sys.argv[3:])"
)


def start(
    words: Sequence[str],
    folder: Path,
    limit: tuple[int, int] | None = None,
    cache: Path | None = None,
) -> "subprocess.Popen[str]":
    """Starts the command in a folder.

    Args:
        words: Its arguments.
        folder: Where it works.
        limit: A resource, and how much of it there is.
        cache: Its cache; in the folder if None.
    """
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONUNBUFFERED": "1"}
    environment["JAXSTYLE_CACHE"] = str(cache or folder / "cache")
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    command = [sys.executable, "-m", "jaxstyle", *words]
    if limit is not None:
        command = [sys.executable, "-c", _LIMITED, *map(str, limit), *command]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True
    )


def stylize(out: str = "out.png", *more: str) -> list[str]:
    """Returns the arguments of a quick run."""
    return ["stylize", "photo.png", "painting.png", "-o", out, "--quiet", *QUICK, *more]


def finish(process: "subprocess.Popen[str]", limit_s: float = LIMIT_S) -> Told:
    """Waits for a command; one that takes too long ends with -9."""
    try:
        out, error = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        process.kill()
        out, error = process.communicate()
    return Told(process.returncode, out, error)


def trouble_of(told: Told, folder: Path, *, signalled: bool = False) -> str:
    """Returns what is wrong with how a command ended.

    Right are a picture where it says, or one line; after a signal also nothing.
    """
    unprintable = [c for c in told.out + told.error if not c.isprintable() and c != "\n"]
    lines = told.error.splitlines()
    if unprintable or "Traceback" in told.error:
        return f"printed: {told.error[-300:]!r}"
    if signalled and told.code in _SIGNALLED and not told.out:
        return "" if len(lines) <= 1 else f"printed: {told.error[-300:]!r}"
    if told.out:
        return picture_trouble(folder / told.out.strip())
    if told.code in (1, 2) and len(lines) == 1 and lines[0].startswith("jaxstyle: "):
        return ""
    return f"exit code {told.code}, {len(lines)} lines: {told.error[-300:]!r}"


def picture_trouble(path: Path) -> str:
    """Returns why a file is no picture."""
    try:
        js.load_image(path)
    except js.InputError as error:
        return str(error)
    return ""


def litter(folder: Path) -> list[str]:
    """Returns files that a command has left behind half written."""
    return [str(path.relative_to(folder)) for path in folder.rglob(".jaxstyle-*")]
