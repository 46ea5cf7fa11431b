"""Places that a picture cannot be written to, and ever less memory."""

import contextlib
import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .commands import Told, finish, litter, make_pictures, start, trouble_of
from .commands import stylize as quick
from .outcome import Tally

_GIGABYTE = 1 << 30
_STARVED_S = 900  # What fits is painted, on slow machines, too.


@contextlib.contextmanager
def _mounted(options: str) -> Iterator[Path | None]:
    """Yields a small file system, None where none may be mounted."""
    folder = Path(tempfile.mkdtemp(prefix="faults-mounted-"))
    words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        mounted = not subprocess.run(words, capture_output=True).returncode
    except OSError:
        mounted = False
    try:
        yield folder if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()


def write(count: int, seed: int, folder: Path) -> Tally:
    """Writes to full disks, to folders that may not be written to, and to such as go away."""
    make_pictures(folder)
    tally = Tally("full disks and lost folders")
    for number in range(count):  # A file may have so many bytes, and not one more.
        most = (0, 1, 100, 1000, 4000, 8000, 20_000)[(number + seed) % 7]
        (folder / "old.png").write_bytes(b"old")
        told = finish(start(quick("old.png", "--overwrite"), folder, (resource.RLIMIT_FSIZE, most)))
        trouble = trouble_of(told, folder)
        if told.code and (folder / "old.png").read_bytes() != b"old":
            trouble = trouble or "the old picture is gone"
        tally.add(f"files of at most {most} bytes", trouble or _left(folder))
    with _mounted("size=8k") as full:
        if full is None:
            tally.remark = "no file system may be mounted here; "
        else:
            (full / "old.png").write_bytes(b"old")
            told = finish(start(quick(f"{full}/old.png", "--overwrite"), folder))
            trouble = trouble_of(told, folder)
            if (full / "old.png").read_bytes() != b"old" or not told.out:
                trouble = trouble or "the old picture is gone, or the new one"
            tally.add("a disk of 8 KB", trouble or _left(full))
    with _mounted("ro") as sealed:
        if sealed is not None:
            told = finish(start(quick(f"{sealed}/out.png"), folder))
            tally.add("a disk to be read only", trouble_of(told, folder) or _refused(told))
    closed = folder / "closed"
    closed.mkdir(mode=0o500)
    if os.access(closed, os.W_OK):
        tally.remark += "permissions do not bind this user"
    else:
        told = finish(start(quick("closed/out.png"), folder))
        tally.add("a folder to be read only", trouble_of(told, folder) or _refused(told))
    for number in range(2):
        (folder / "away").mkdir(exist_ok=True)
        words = [word for word in quick("away/out.png") if word != "--quiet"]
        process = start(words, folder)
        assert process.stderr is not None
        while line := process.stderr.readline():
            if line.startswith("device"):  # All has been checked.
                break
        # A file in its place is as bad.
        shutil.rmtree(folder / "away")
        if number:
            (folder / "away").write_bytes(b"")
        told = finish(process)
        trouble = trouble_of(told, folder) or _left(folder)
        tally.add("a folder that goes away", trouble or ("" if told.out else "no picture"))
        (folder / "away").unlink(missing_ok=True)
    return tally


def _left(folder: Path) -> str:
    left = litter(folder)
    return f"left {left}" if left else ""


def _refused(told: Told) -> str:
    return "" if told.code == 2 else f"exit code {told.code}"


def starve(gigabytes: tuple[int, ...], seed: int, folder: Path) -> Tally:
    """Paints large and small pictures with little memory: a picture, or a line that helps."""
    make_pictures(folder)
    tally = Tally("little memory")
    for most in gigabytes:
        for size, memory in (("256", "high"), ("1024", "high"), ("1024", "low"), ("3000", "high")):
            words = ["stylize", "photo.png", "painting.png", "-o", f"{most}-{size}-{memory}.png"]
            words += ["--quiet", "--size", size, "--memory", memory, "--iterations", "1"]
            words += ["--coarse-iterations", "1"]
            limit = (resource.RLIMIT_AS, most * _GIGABYTE)
            told = finish(start(words, folder, limit), _STARVED_S)
            trouble = trouble_of(told, folder)
            if not trouble and not told.out and "--size" not in told.error:
                trouble = f"the line does not help: {told.error}"
            case = f"--size {size} --memory {memory} with {most} GB"
            tally.add(case, trouble)
    return tally
