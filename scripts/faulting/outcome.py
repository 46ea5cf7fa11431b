"""What was tried and what of it was wrong, as a table."""

import dataclasses
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from jaxstyle.cli.report import plain


@dataclasses.dataclass
class Tally:
    """Cases of one kind.

    Attributes:
        kind: What was done.
        tried: How many cases there were.
        wrong: For each case that ended as none may: which one, and how.
        remark: What else a reader should know.
    """

    kind: str
    tried: int = 0
    wrong: list[str] = dataclasses.field(default_factory=list)
    remark: str = ""

    def add(self, case: str, trouble: str) -> None:
        """Counts a case; ``trouble`` is empty if it ended as it should."""
        self.tried += 1
        if trouble:
            self.wrong.append(f"{self.kind}, {case}: {trouble}")


def show(tallies: Iterable[Tally]) -> None:
    """Prints the table, and below it a line for each case that went wrong."""
    table = Table("what", "tried", "wrong", "", box=None, pad_edge=False)
    lines: list[str] = []
    for tally in tallies:
        table.add_row(tally.kind, str(tally.tried), str(len(tally.wrong)), plain(tally.remark))
        lines += tally.wrong
    Console(width=120, highlight=False, markup=False).print(table)
    for line in lines:
        print(plain(line))
