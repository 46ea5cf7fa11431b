"""Options that show the progress of a run: in the terminal and in files."""

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
from jaxstyle.cli.watch.graphics import supported_graphics
from jaxstyle.cli.watch.pictures import Numbered, Preview, numbered
from jaxstyle.cli.watch.terminal import TerminalPicture
from jaxstyle.cli.watch.watcher import Alpha, Watcher, Watchers
from jaxstyle.errors import InputError
from jaxstyle.recipes.recipe import Recipe

Kind = Literal["auto", "kitty", "sixel", "blocks"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Watching:
    """Options that show the progress of a run. They do not change the result."""

    watch: Annotated[
        Kind | None,
        arg(metavar=f"[{'|'.join(get_args(Kind))}]", help_behavior_hint="(without a value: auto)"),
    ] = None
    """Show the current picture in the terminal; auto detects what it supports."""
    preview: Path | None = None
    """File that always contains the current picture: .png, .jpg, .webp or .tif."""
    save_every: int | None = None
    """Save a numbered picture next to the output every N iterations."""
    timelapse: Path | None = None
    """Write a time-lapse film of the run: .webp, .gif, or .mp4 (needs the extra `video`)."""
    trace: Path | None = None
    """Write the loss terms of every iteration to a .jsonl file, for `jaxstyle plot`."""

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
        """Returns the watchers, and the intervals of iterations at which to call them.

        Args:
            output: Path of the result.
            recipe: Recipe of the run.
            shape: Height and width of the result.
            console: Console for messages.
            overwrite: Whether to replace existing files.
            begun: Output, and table of :meth:`to_table`, of the run that is resumed, whose files
                may be replaced; None for a new run.
            writes: Whether this process writes files; of several that share a picture, only one
                does.
            alpha: Returns the opacity of an image.

        Raises:
            InputError: A file cannot be written.
        """
        steps = sum(scale.iterations for scale in recipe.make_schedule().scales_of(shape))
        every = tuple(n for n in (self.save_every, self._film_every(steps)) if n is not None)
        if not writes:
            return Watchers([], print_error, alpha), every
        own = _files_of(begun, steps)
        self._check(output, shape, steps, lambda path: overwrite or os.path.realpath(path) in own)
        resumed = self.trace is not None and os.path.realpath(self.trace) in own
        watchers = list(self._watchers(output, shape, steps, console, resumed))
        return Watchers(watchers, print_error, alpha), every

    def to_table(self) -> dict[str, Any]:
        """Returns the options that are set, for JSON, with absolute paths."""
        given = {name: value for name, value in vars(self).items() if value is not None}
        return {k: os.path.abspath(v) if isinstance(v, Path) else v for k, v in given.items()}

    def over(self, table: Mapping[str, Any]) -> "Watching":
        """Returns these options, with unset ones from a table of :meth:`to_table`.

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
        options: dict[Path | None, dict[str, Any]] = {
            self.preview: {"shape": shape},
            self.timelapse: {"suffixes": timelapse.SUFFIXES},
            self.trace: {"suffixes": trace.SUFFIXES},
        }
        seen = {os.path.realpath(output)}
        for path in self.files(output, steps):
            files.check_output(path, overwrite=replaces(path), **options.get(path, {}))
            if (real := os.path.realpath(path)) in seen:
                raise InputError(f"{path}: is given for two outputs; give each its own name")
            seen.add(real)
        if self.timelapse is not None:
            timelapse.check_timelapse(self.timelapse)

    def files(self, output: Path, steps: int) -> list[Path]:
        """Returns the files that a run of ``steps`` iterations writes before its result."""
        named = [path for path in (self.preview, self.timelapse, self.trace) if path is not None]
        return [*named, *self._numbered(output, steps)]

    def _numbered(self, output: Path, steps: int) -> list[Path]:
        if self.save_every is None:
            return []
        if self.save_every < 1:
            raise InputError(
                f"--save-every {self.save_every}: not a number of iterations; give at least 1"
            )
        digits = len(str(steps))
        numbers = range(self.save_every, steps + 1, self.save_every)
        return [numbered(output, step, digits) for step in numbers]

    def _watchers(
        self, output: Path, shape: tuple[int, int], steps: int, console: Console, resumed: bool
    ) -> Iterator[Watcher]:
        if self.watch is not None and not console.quiet:
            if console.is_terminal:
                kind = supported_graphics() if self.watch == "auto" else self.watch
                yield TerminalPicture(console, kind)
            else:
                console.print("--watch: stderr is not a terminal; no picture is shown")
        if self.trace is not None:
            yield trace.Trace(self.trace, resumed=resumed)
        if self.preview is not None:
            yield Preview(self.preview)
        if self.save_every is not None:
            yield Numbered(output, self.save_every, steps)
        if (every := self._film_every(steps)) is not None and self.timelapse is not None:
            frame = timelapse.frame_shape(self.timelapse, shape)
            yield timelapse.Timelapse(self.timelapse, frame, every)


UNWATCHED = Watching()


def _files_of(begun: Mapping[str, Any] | None, steps: int) -> set[str]:
    """Returns the files of the run that is resumed."""
    if begun is None:
        return set()
    watching = UNWATCHED.over(begun["watching"])
    return {os.path.realpath(path) for path in watching.files(Path(begun["output"]), steps)}


def fill_watch(arguments: Sequence[str]) -> list[str]:
    """Returns the arguments with the value ``auto`` after a ``--watch`` without a value.

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
