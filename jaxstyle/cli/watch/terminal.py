"""The current picture in a terminal, redrawn in its place above the progress bar."""

import struct

from PIL import Image as PillowImage
from rich.console import Console, ConsoleRenderable, RenderHook
from rich.segment import Segment, Segments
from rich.text import Text

import jaxstyle as js
from jaxstyle.cli.watch import graphics
from jaxstyle.cli.watch.graphics import Graphics
from jaxstyle.cli.watch.watcher import Pace, Snapshot, Watcher

_COLUMNS, _ROWS = 60, 20
_BELOW = 4  # lines for the bar and the prompt
_CELL = (10, 20)


class TerminalPicture(Watcher, RenderHook):
    """Draws the picture, each one over the one before."""

    def __init__(self, console: Console, kind: Graphics) -> None:
        self._console = console
        self._kind: Graphics = kind
        self._pace = Pace()
        self._size: object = None
        self._box: tuple[int, int, int, int] | None = None
        self._drawn = False

    def __enter__(self) -> "TerminalPicture":
        self._console.push_render_hook(self)
        return self

    def __exit__(self, *raised: object) -> None:
        self._console.pop_render_hook()

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Notes that text was printed below the picture; the next picture goes below the text."""
        if any(isinstance(renderable, Text) for renderable in renderables):
            self._drawn = False
        return renderables

    def see(self, progress: js.Progress, snapshot: Snapshot) -> None:
        """Draws the picture, as often as that costs little."""
        self._pace(lambda: self._draw(snapshot))

    def end(self, step: int, snapshot: Snapshot) -> None:
        """Draws the result, which stays."""
        self._draw(snapshot)

    def _draw(self, snapshot: Snapshot) -> None:
        image = PillowImage.fromarray(snapshot.pixels())
        if self._size != self._console.size:  # Resizing moves lines: the old place is lost.
            self._size, self._drawn = self._console.size, False
            self._box = self._fit(image.width, image.height)
        if self._box is None:
            return
        columns, rows, width, height = self._box
        image = image.resize((width, height), PillowImage.Resampling.LANCZOS)
        # Make room first: at the end of a window, drawing would scroll.
        room = "" if self._drawn else "\n" * rows
        start = _raw(f"{room}\x1b[{rows}A\r")
        self._console.print(Segments([start, *self._picture(image, columns, rows)]))
        self._drawn = True

    def _fit(self, width: int, height: int) -> tuple[int, int, int, int] | None:
        """Returns columns, rows, and their pixels, for a picture; None in a small window."""
        columns = min(_COLUMNS, self._console.width - 1)
        rows = min(_ROWS, self._console.height - _BELOW)
        if columns < 1 or rows < 1:
            return None
        cell_width, cell_height = (1, 2) if self._kind == "blocks" else cell_size()
        scale = min(columns * cell_width / width, rows * cell_height / height)
        columns = max(1, round(width * scale / cell_width))
        rows = max(1, round(height * scale / cell_height))
        return columns, rows, columns * cell_width, rows * cell_height

    def _picture(self, image: PillowImage.Image, columns: int, rows: int) -> list[Segment]:
        """Returns what draws the picture and moves the cursor to the line below it."""
        if self._kind == "blocks":
            return list(graphics.blocks(image))
        kitty = self._kind == "kitty"
        text = graphics.kitty(image, columns, rows) if kitty else graphics.sixel(image)
        # Terminals differ in where the cursor is after a picture.
        return [_raw(f"\x1b7{text}\x1b8\x1b[{rows}B\r")]


def cell_size(descriptor: int = 2) -> tuple[int, int]:
    """Returns width and height of a cell in pixels; a usual size if the terminal does not say."""
    try:
        import fcntl  # not on Windows
        import termios

        size = fcntl.ioctl(descriptor, termios.TIOCGWINSZ, bytes(8))
        rows, columns, width, height = struct.unpack("HHHH", size)
        return (width // columns, height // rows) if width and height else _CELL
    except (ImportError, OSError, ZeroDivisionError):
        return _CELL


def _raw(text: str) -> Segment:
    return Segment(text, None, ())
