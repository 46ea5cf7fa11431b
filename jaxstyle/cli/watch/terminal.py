"""The present picture in a terminal, redrawn in its place above the progress bar."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from PIL import Image as PillowImage
from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.segment import Segment
from rich.text import Text

import jaxstyle as js
from jaxstyle.cli.watch import graphics
from jaxstyle.cli.watch.ask import Graphics, cell_size
from jaxstyle.cli.watch.watcher import Moment, Pace, Pixels

_COLUMNS, _ROWS = 60, 20
_BELOW = 4  # Lines left to the bar and the prompt.
_ESCAPES: dict[str, Callable[[Pixels, int, int], str]] = {
    "kitty": graphics.kitty,
    "iterm": graphics.iterm,
    "sixel": graphics.sixel,
}


class _Box(NamedTuple):
    """Where the picture goes: cells, and pixels of what is drawn into them."""

    columns: int
    rows: int
    width: int
    height: int


class TerminalPicture(RenderHook):
    """Draws the picture, the next one over the one before."""

    def __init__(self, console: Console, kind: Graphics) -> None:
        self._console = console
        self._kind: Graphics = kind
        self._pace = Pace()
        self._seen: tuple[object, ...] = ()
        self._box: _Box | None = None
        self._drawn = False

    def __enter__(self) -> "TerminalPicture":
        self._console.push_render_hook(self)
        return self

    def __exit__(self, *raised: object) -> None:
        self._console.pop_render_hook()

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Notes that something was told below the picture; the next one comes below that."""
        if any(isinstance(renderable, Text) for renderable in renderables):
            self._drawn = False
        return renderables

    def see(self, moment: Moment) -> None:
        """Draws the picture, as often as that costs little."""
        self._pace(lambda: self._draw(moment))

    def end(self, moment: Moment, result: js.Result) -> None:
        """Draws the last picture, which stays."""
        self._draw(moment)

    def _draw(self, moment: Moment) -> None:
        size = self._console.size
        if self._seen != (size,):  # Where lines have been wrapped anew, the place is lost.
            self._seen, self._drawn = (size,), False
            self._box = self._fit(moment.progress.shape)
        if self._box is None:
            return
        image = PillowImage.fromarray(moment.pixels())
        box = self._box
        small = image.resize((box.width, box.height), PillowImage.Resampling.LANCZOS)
        self._console.print(_Drawing(small, box, self._kind, again=self._drawn))
        self._drawn = True

    def _fit(self, shape: tuple[int, int]) -> _Box | None:
        """Returns the largest box for a picture of this shape; None if the window is too small."""
        columns = min(_COLUMNS, self._console.width - 1)
        rows = min(_ROWS, self._console.height - _BELOW)
        if columns < 1 or rows < 1:
            return None
        cell_width, cell_height = (1, 2) if self._kind == "blocks" else cell_size()
        height, width = shape
        scale = min(columns * cell_width / width, rows * cell_height / height)
        columns = max(1, round(width * scale / cell_width))
        rows = max(1, round(height * scale / cell_height))
        return _Box(columns, rows, columns * cell_width, rows * cell_height)


class _Drawing:
    """A picture as rich prints it; the cursor ends at the beginning of the line below."""

    def __init__(self, image: PillowImage.Image, box: _Box, kind: Graphics, *, again: bool) -> None:
        self._pixels = graphics.pixels_of(image)
        self._box = box
        self._kind = kind
        self._again = again

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns, rows = self._box.columns, self._box.rows
        # Room first: where a window ends, drawing would move what is above it.
        room = "" if self._again else "\n" * rows
        yield _raw(f"{room}\x1b[{rows}A\r")
        if self._kind == "blocks":
            yield from _lines(self._pixels)
        else:
            text = _ESCAPES[self._kind](self._pixels, columns, rows)
            # Terminals differ in where the cursor is after a picture.
            yield _raw(f"\x1b7{text}\x1b8\x1b[{rows}B\r")


def _lines(pixels: Pixels) -> Iterator[Segment]:
    for row in graphics.blocks(pixels):
        yield from row
        yield Segment.line()


def _raw(text: str) -> Segment:
    return Segment(text, None, ())
