"""Commands that are killed, interrupted, or short of disk or memory."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import jaxstyle as js

_EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
_SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
_HALF_WRITTEN = ".jaxstyle-*"


def _start(
    folder: Path, options: str = "", limit: str = "", cache: str = "cache"
) -> "subprocess.Popen[str]":
    """Starts a short run that writes ``out.png``; ``limit`` is an option of ``prlimit``."""
    limited = ["prlimit", limit] if limit else []
    pictures = [str(_EXAMPLES / name) for name in ("harbour.jpg", "painting.jpg")]
    short = "-o out.png --overwrite --quiet --encoder random --size 64 --iterations 3 --scales 1"
    command = [sys.executable, "-m", "jaxstyle", "stylize", *pictures, "--cache", cache]
    words = [*limited, *command, *short.split(), *options.split()]
    pipe = subprocess.PIPE
    return subprocess.Popen(words, cwd=folder, stdout=pipe, stderr=pipe, text=True)


def _prepare(folder: Path) -> tuple[float, bytes]:
    """Returns how long a run takes with a full cache, and its picture."""
    seconds = 0.0
    for _ in range(2):
        started = time.monotonic()
        _start(folder).communicate()
        seconds = time.monotonic() - started
    return seconds, (folder / "out.png").read_bytes()


def _problem(
    folder: Path, process: "subprocess.Popen[str]", codes: Collection[int] = (1, 2)
) -> str:
    """Waits for a command, and returns what is wrong with how it ended.

    Right is exit code 0, or one of some others with one line at most; ``out.png`` is a picture,
    the old one or the new one, and no half-written file is left.
    """
    _, error = process.communicate()
    lines = error.splitlines()
    told = len(lines) <= 1 and all(line.startswith("jaxstyle: ") for line in lines)
    if process.returncode not in (0, *codes) or not told:
        return f"exit code {process.returncode}, printed: {error[-300:]!r}"
    if left := list(folder.glob(_HALF_WRITTEN)):
        return f"left {left}"
    js.load_image(folder / "out.png")
    return ""


def kill(count: int, seed: int, folder: Path) -> Iterator[tuple[str, str]]:
    """Kills runs at any moment, every third while it writes, every fifth with an empty cache."""
    (seconds, good), rng = _prepare(folder), random.Random(seed)
    for number in range(count):
        cache = "cache" if number % 5 else f"cache {number}"
        process = _start(folder, cache=cache)
        if number % 3:
            time.sleep(rng.uniform(0, 1.2 * seconds))
        while not number % 3 and process.poll() is None and not any(folder.glob(_HALF_WRITTEN)):
            pass
        process.kill()
        process.communicate()
        problem = "" if (folder / "out.png").read_bytes() == good else "the picture is damaged"
        problem = problem or _problem(folder, _start(folder, cache=cache), codes=())
        yield f"number {number} of seed {seed}", problem


def interrupt(count: int, seed: int, folder: Path) -> Iterator[tuple[str, str]]:
    """Sends the signals of a person, a batch system and a closing terminal, once or twice."""
    (seconds, _), rng = _prepare(folder), random.Random(seed)
    for number in range(count):
        kind = list(_SIGNALS)[number % len(_SIGNALS)]
        process = _start(folder, "--iterations 300")
        moment = rng.uniform(0.3, seconds + 1)
        time.sleep(moment)
        for _ in range(rng.choice((1, 1, 2))):
            process.send_signal(kind)
            time.sleep(rng.uniform(0, 0.3))
        # While Python starts, the signal itself ends the process.
        problem = _problem(folder, process, codes=(_SIGNALS[kind], -kind))
        yield f"{kind.name} after {moment:.2f} s", problem


def fill_disk(count: int, seed: int, folder: Path) -> Iterator[tuple[str, str]]:
    """Limits the size of files: the old picture stays, or the new one is whole."""
    (_, good), rng = _prepare(folder), random.Random(seed)
    for number in range(count):
        size = round(len(good) * rng.uniform(0, 1.5)) if number else 0
        yield f"files of {size} bytes", _problem(folder, _start(folder, limit=f"--fsize={size}"))


def starve(count: int, seed: int, folder: Path) -> Iterator[tuple[str, str]]:
    """Limits the memory."""
    _prepare(folder)
    rng = random.Random(seed)
    for _ in range(count):
        size, gigabytes = rng.choice((256, 1024, 3000)), rng.uniform(2, 4)
        options = (
            f"--encoder vgg16 --iterations 1 --size {size} --memory {rng.choice(('high', 'low'))}"
        )
        process = _start(folder, options, limit=f"--as={round(gigabytes * 1e9)}")
        yield f"{options} with {gigabytes:.1f} GB", _problem(folder, process)
