"""``jaxstyle styles``: lists the pictures of the gallery."""

import dataclasses
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from jaxstyle import files, gallery
from jaxstyle.cli import report
from jaxstyle.cli.contact_sheet import make_sheet
from jaxstyle.cli.options import Debug, Json, Overwrite

_SIDE = 256  # of the pictures on the sheet


@dataclasses.dataclass(frozen=True)
class Styles:
    """List the paintings and photographs that have names, or draw a sheet of them."""

    sheet: Annotated[Path | None, arg(help_behavior_hint="")] = None
    """A picture to write, with all of them and their names."""
    overwrite: Overwrite = False
    json: Json = False
    debug: Debug = False

    def run(self) -> int:
        """Runs the command and returns its exit code."""
        works = gallery.works()
        if self.sheet is None:
            rows = [(w.name, w.kind, w.artist, w.title, w.year, w.licence) for w in works]
            report.print_table(rows, ("name", "kind", "artist", "title", "year", "licence"))
            return 0
        files.check_output(self.sheet, overwrite=self.overwrite)
        images = [gallery.load_style(str(work.path), _SIDE) for work in works]
        captions = [list(filter(None, (work.artist, work.title, work.year))) for work in works]
        sheet = make_sheet(images, captions, "Gallery", [[work.name for work in works]])
        report.print_path(files.save_image(self.sheet, sheet, overwrite=self.overwrite))
        return 0
