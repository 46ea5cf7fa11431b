"""How a run is watched: in the terminal, by files that grow with it, and by its numbers."""

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from rich.console import Console
from tyro.conf import arg

from jaxstyle import files
from jaxstyle.cli.report import print_error
from jaxstyle.cli.watch import timelapse, trace
from jaxstyle.cli.watch.ask import ask_terminal
from jaxstyle.cli.watch.pictures import Numbered, Preview, numbered
from jaxstyle.cli.watch.terminal import TerminalPicture
from jaxstyle.cli.watch.watcher import Alpha, Watcher, Watchers
from jaxstyle.errors import InputError
from jaxstyle.recipes.recipe import Recipe

Kind = Literal["auto", "kitty", "iterm", "sixel", "blocks"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Watching:
    """To see how the picture develops; it is the same with and without them."""

    watch: Annotated[
        Kind | None,
        arg(metavar=f"[{'|'.join(get_args(Kind))}]", help_behavior_hint="(auto by itself)"),
    ] = None
    """Show the present picture in the terminal, in the way that it knows."""
    preview: Path | None = None
    """A picture file that is refreshed with the present state: .png, .jpg, .webp, .tif."""
    save_every: int | None = None
    """Save a numbered picture beside the output every so many iterations."""
    timelapse: Path | None = None
    """A film of the run: .webp, .gif, or .mp4 (with the extra `video`)."""
    trace: Path | None = None
    """A .jsonl file with the loss terms of every iteration, for `jaxstyle plot`."""

    def make(
        self,
        output: Path,
        recipe: Recipe,
        shape: tuple[int, int],
        console: Console,
        *,
        overwrite: bool,
        begun: Mapping[str, Any] | None = None,
        writes: bool = True,
        alpha: Alpha = lambda image: None,
    ) -> tuple[Watchers, tuple[int, ...]]:
        """Returns who watches, and numbers of iterations after which they must be told.

        Args:
            output: Where the picture goes.
            recipe: How it is painted.
            shape: Its height and width.
            console: For what is told.
            overwrite: Whether files may be replaced.
            begun: Output, and table of :meth:`to_table`, of the run that this goes on with: files
                that it has written on its way may be replaced. None if it is a new one.
            writes: Whether this process writes any; one of several that share the picture does.
            alpha: Tells a picture's opacity.

        Raises:
            InputError: One of the files could not be written.
        """
        steps = sum(scale.iterations for scale in recipe.make_schedule().scales_of(shape))
        every = tuple(n for n in (self.save_every, self._film_every(steps)) if n is not None)
        if not writes:
            return Watchers([], print_error, alpha), every
        own = _files_of(begun, steps)
        self._check(output, shape, steps, lambda path: overwrite or os.path.realpath(path) in own)
        goes_on = self.trace is not None and os.path.realpath(self.trace) in own
        watchers = list(self._watchers(output, shape, steps, console, goes_on))
        return Watchers(watchers, print_error, alpha), every

    def to_table(self) -> dict[str, Any]:
        """Returns what is asked for, as JSON has it, with files as they are found from anywhere."""
        given = {name: value for name, value in vars(self).items() if value is not None}
        return {k: os.path.abspath(v) if isinstance(v, Path) else v for k, v in given.items()}

    def over(self, table: Mapping[str, Any]) -> "Watching":
        """Returns this with what it leaves open as a table of :meth:`to_table` has it.

        Examples:
            >>> Watching(save_every=5).over({"save_every": 10, "preview": "/a.png"}).save_every
            5
        """
        named = {k: Path(v) for k, v in table.items() if k in ("preview", "timelapse", "trace")}
        given: dict[str, Any] = {k: v for k, v in vars(self).items() if v is not None}
        return Watching(**{**table, **named, **given})

    def _film_every(self, steps: int) -> int | None:
        return None if self.timelapse is None else max(1, round(steps / timelapse.FRAMES))

    def _check(
        self, output: Path, shape: tuple[int, int], steps: int, replaces: Callable[[Path], bool]
    ) -> None:
        def check(path: Path, **options: Any) -> None:
            files.check_output(path, overwrite=replaces(path), **options)

        if self.preview is not None:
            check(self.preview, shape=shape)
        if self.timelapse is not None:
            check(self.timelapse, suffixes=timelapse.SUFFIXES)
            timelapse.check_timelapse(self.timelapse)
        if self.trace is not None:
            check(self.trace, suffixes=trace.SUFFIXES)
        for path in self._numbered(output, steps):
            check(path)
        _check_distinct([output, *self.files(output, steps)])

    def files(self, output: Path, steps: int) -> list[Path]:
        """Returns what a run of so many iterations writes on its way."""
        named = [path for path in (self.preview, self.timelapse, self.trace) if path is not None]
        return [*named, *self._numbered(output, steps)]

    def _numbered(self, output: Path, steps: int) -> list[Path]:
        if self.save_every is None:
            return []
        if self.save_every < 1:
            raise InputError(f"--save-every {self.save_every}: no number of iterations; give 1 up")
        digits = len(str(steps))
        taken = range(self.save_every, steps + 1, self.save_every)
        return [numbered(output, step, digits) for step in taken]

    def _watchers(
        self, output: Path, shape: tuple[int, int], steps: int, console: Console, goes_on: bool
    ) -> Iterator[Watcher]:
        if self.watch is not None and not console.quiet:
            if console.is_terminal:
                kind = ask_terminal() if self.watch == "auto" else self.watch
                yield TerminalPicture(console, kind)
            else:
                console.print("--watch: stderr is no terminal; no picture is shown")
        if self.trace is not None:
            yield trace.Trace(self.trace, goes_on=goes_on)
        if self.preview is not None:
            yield Preview(self.preview)
        if self.save_every is not None:
            yield Numbered(output, self.save_every, steps)
        if (every := self._film_every(steps)) is not None and self.timelapse is not None:
            frame = timelapse.frame_shape(self.timelapse, shape)
            yield timelapse.Timelapse(self.timelapse, frame, every)


UNWATCHED = Watching()


def _files_of(begun: Mapping[str, Any] | None, steps: int) -> set[str]:
    """Returns the files that a run which began before writes on its way."""
    if begun is None:
        return set()
    watching = UNWATCHED.over(begun["watching"])
    return {os.path.realpath(path) for path in watching.files(Path(begun["output"]), steps)}


def _check_distinct(paths: Sequence[Path]) -> None:
    seen: set[str] = set()
    for path in paths:
        real = os.path.realpath(path)
        if real in seen:
            raise InputError(f"{path}: is named for two things; give each its own name")
        seen.add(real)


def fill_watch(arguments: Sequence[str]) -> list[str]:
    """Returns the arguments with what ``--watch`` means by itself.

    Examples:
        >>> fill_watch(["--watch", "photo.jpg", "--watch=sixel"])
        ['--watch', 'auto', 'photo.jpg', '--watch=sixel']
    """
    filled = []
    for i, word in enumerate(arguments):
        filled.append(word)
        if word == "--watch" and not {*arguments[i + 1 : i + 2]} & {*get_args(Kind)}:
            filled.append("auto")
    return filled
