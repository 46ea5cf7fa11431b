"""Try what may go wrong: damaged files and downloads, signals, full disks, little memory.

Every case must end with a picture or with one line that says what is wrong; no file may be lost.
Prints how many cases were tried and which went wrong; the exit code is 1 if any did. Needs Linux.

    python scripts/faults.py                      # every kind
    python scripts/faults.py --only pictures --cases 20000 --seed 7
"""

import sys
import tempfile
from pathlib import Path

import tyro

from faulting import commands, downloads, files

KINDS = {
    "pictures": (files.pictures, 2000),
    "parameters": (files.parameters, 500),
    "downloads": (downloads.fetch, 100),
    "kills": (commands.kill, 51),
    "signals": (commands.interrupt, 30),
    "disks": (commands.fill_disk, 7),
    "memory": (commands.starve, 9),
}


def main(*, seed: int = 0, only: tuple[str, ...] = (), cases: int | None = None) -> int:
    """Tries the kinds.

    Args:
        seed: Seed of the damage and of the moments of signals.
        only: The kinds to try; every kind by default.
        cases: Number of cases of each kind; by default from 7 disks to 2000 pictures.
    """
    failed = False
    for kind in only or KINDS:
        measure, count = KINDS[kind]
        folder = Path(tempfile.mkdtemp(prefix=f"faults-{kind}-"))
        results = list(measure(count if cases is None else cases, seed, folder))
        wrong = [(case, problem) for case, problem in results if problem]
        print(f"{kind}: {len(results)} tried, {len(wrong)} wrong", flush=True)
        for case, problem in wrong:
            print(f"  {case}: {problem!a}")
        failed = failed or bool(wrong)
    return int(failed)


if __name__ == "__main__":
    sys.exit(tyro.cli(main, description=__doc__))
