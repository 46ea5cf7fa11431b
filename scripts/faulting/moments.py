"""Commands that are ended at any moment, and commands that meet one another."""

import os
import random
import signal
import time
from pathlib import Path

from .commands import finish, litter, make_pictures, picture_trouble, start, stylize, trouble_of
from .outcome import Tally


def _prepare(folder: Path) -> float:
    """Makes pictures and a cache, and returns how long a command takes."""
    make_pictures(folder)
    took = 0.0
    for _ in range(2):
        started = time.monotonic()
        finish(start(stylize("out.png", "--overwrite"), folder))
        took = time.monotonic() - started
    return took


def _wait_for_writing(folder: Path, limit_s: float) -> None:
    """Waits until a file is being written."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end and not any(
        entry.name.startswith(".jaxstyle-") for entry in os.scandir(folder)
    ):
        pass


def kill(count: int, seed: int, folder: Path) -> Tally:
    """Kills runs over an existing picture, every third when it is just being written."""
    took, rng = _prepare(folder), random.Random(seed)
    good = (folder / "out.png").read_bytes()
    tally = Tally("SIGKILL", remark=f"a run takes {took:.1f} s")
    written = 0
    for number in range(count):
        (folder / "out.png").write_bytes(good)
        empty = number % 5 == 1  # The cache: it is being written, too.
        cache = folder / f"cache {number}" if empty else folder / "cache"
        process = start(stylize("out.png", "--overwrite"), folder, cache=cache)
        if number % 3:
            time.sleep(rng.uniform(0, took * (3 if empty else 1)))
        else:
            _wait_for_writing(folder, 60)
        process.kill()
        finish(process)
        trouble = picture_trouble(folder / "out.png")
        left = litter(folder)
        written += bool(left)
        for name in left:
            (folder / name).unlink()
        if empty:
            told = finish(start(stylize("again.png", "--overwrite"), folder, cache=cache))
            trouble = trouble or trouble_of(told, folder)
            if told.code or (folder / "again.png").read_bytes() != good:
                trouble = trouble or "with the cache that is left, another picture comes out"
        tally.add(f"{number} of seed {seed}", trouble)
    told = finish(start(stylize("out.png", "--overwrite"), folder))
    same = not told.code and (folder / "out.png").read_bytes() == good
    tally.add("the cache afterwards", "" if same else "another picture comes out")
    left = litter(folder)
    tally.add("what is left by the next command", f"is still there: {left}" if left else "")
    tally.remark += f", {written} left a file half written"
    return tally


def interrupt(count: int, seed: int, folder: Path) -> Tally:
    """Sends runs the signals that a person, a batch system or a closing terminal sends."""
    took, rng = _prepare(folder), random.Random(seed)
    good = (folder / "out.png").read_bytes()
    tally = Tally("SIGINT, SIGTERM, SIGHUP")
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in range(count):
        (folder / "out.png").write_bytes(good)
        process = start(stylize("out.png", "--overwrite", "--iterations", "300"), folder)
        moment = rng.uniform(0.3, took + 1)
        time.sleep(moment)
        for _ in range(rng.choice((1, 1, 2))):
            process.send_signal(signals[number % 3])
            time.sleep(rng.uniform(0, 0.3))
        told = finish(process)
        trouble = trouble_of(told, folder, signalled=True) or picture_trouble(folder / "out.png")
        if left := litter(folder):
            trouble = trouble or f"left {left}"
        tally.add(f"{signals[number % 3].name} after {moment:.2f} s", trouble)
    return tally


def meet(count: int, seed: int, folder: Path) -> Tally:
    """Starts two commands with one output and one cache, almost at once."""
    make_pictures(folder)
    rng, tally = random.Random(seed), Tally("two at once")
    for number in range(count):
        out = f"{number}.png"
        more = ["--overwrite"] if number % 2 else []
        words = stylize(out, *more)
        first = start(words, folder)
        time.sleep(rng.choice((0, 0, 0.05, 0.5)))
        told = [finish(process) for process in (start(words, folder), first)]
        trouble = next((t for t in (trouble_of(one, folder) for one in told) if t), "")
        codes = sorted(one.code for one in told)
        allowed = ([0, 0],) if more else ([0, 1], [0, 2])
        if codes not in allowed:
            trouble = trouble or f"exit codes {codes}"
        outs = {one.out for one in told if one.out}
        if not more and len(outs) < sum(bool(one.out) for one in told):
            trouble = trouble or "one picture was lost"
        if left := litter(folder):
            trouble = trouble or f"left {left}"
        tally.add(out, trouble)
    return tally
