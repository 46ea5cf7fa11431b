"""Try what may go wrong: damaged files, signals, full disks, little memory, bad servers.

Every case must end in a picture, or in one line that says what is wrong; nothing may be lost,
executed or printed raw. Prints how many cases were tried and how many ended otherwise, and exits
with 1 if any did.

    python scripts/faults.py                      # all, with the defaults
    python scripts/faults.py --only pictures --pictures 20000 --seed 7
"""

import dataclasses
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import tyro

from faulting import moments, parameters, pictures, places, servers
from faulting.outcome import Tally, show


@dataclasses.dataclass(frozen=True, kw_only=True)
class Faults:
    """How much is tried."""

    seed: int = 0
    """Of the damage, and of the moments of signals."""
    only: tuple[str, ...] = ()
    """The kinds to try; all if left out."""
    pictures: int = 2000
    """Damaged pictures."""
    parameters: int = 500
    """Damaged files of parameters."""
    kills: int = 51
    """Runs that are killed."""
    signals: int = 30
    """Runs that other signals are sent to."""
    pairs: int = 6
    """Commands started two at a time."""
    disks: int = 7
    """Limits to the size of files."""
    gigabytes: tuple[int, ...] = (2, 3, 4)
    """Limits to the memory."""

    def measures(self) -> dict[str, Callable[[Path], Tally]]:
        """Returns the kinds of faults, each with what tries it in a folder."""
        return {
            "pictures": lambda folder: pictures.measure(self.pictures, self.seed, folder),
            "parameters": lambda folder: parameters.measure(self.parameters, self.seed, folder),
            "kills": lambda folder: moments.kill(self.kills, self.seed, folder),
            "signals": lambda folder: moments.interrupt(self.signals, self.seed, folder),
            "pairs": lambda folder: moments.meet(self.pairs, self.seed, folder),
            "disks": lambda folder: places.write(self.disks, self.seed, folder),
            "memory": lambda folder: places.starve(self.gigabytes, self.seed, folder),
            "downloads": servers.fetch,
        }


def main() -> int:
    chosen = tyro.cli(Faults, description=__doc__)
    tallies = []
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    for kind, measure in chosen.measures().items():
        if not chosen.only or kind in chosen.only:
            (folder / kind).mkdir()
            tallies.append(measure(folder / kind))
    show(tallies)
    return int(any(tally.wrong for tally in tallies))


if __name__ == "__main__":
    sys.exit(main())
