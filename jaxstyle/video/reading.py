"""Films and folders of frames as iterators of pictures with their time stamps."""

import contextlib
import dataclasses
import math
import re
from collections.abc import Callable, Generator, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from jaxstyle import files
from jaxstyle.errors import InputError
from jaxstyle.files.picture import has_picture_suffix
from jaxstyle.paths import existing
from jaxstyle.video.paint import as_pixels

_RATE = Fraction(25)
_BT601, _BT709 = 5, 1  # matrices, as libswscale numbers them
_UNSPECIFIED = 2
_HIGH_DEFINITION = 720  # rows; such films without a matrix mean BT.709


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clip:
    """The part of a film to read.

    Attributes:
        start: First second.
        end: Second at which the clip ends; None for the end of the film.
        every: Read every nth frame only.
        rate: Frames per second at most, by leaving out frames; of a folder, its rate. None for all
            frames, and 25 for a folder.
    """

    start: Fraction = Fraction(0)
    end: Fraction | None = None
    every: int = 1
    rate: Fraction | None = None

    def __post_init__(self) -> None:
        if self.every < 1:
            raise InputError(f"--every {self.every}: too small; give at least 1")
        if self.rate is not None and self.rate <= 0:
            raise InputError(f"--fps {float(self.rate):g}: give a number above 0")
        if self.start < 0 or (self.end is not None and self.end <= self.start):
            raise InputError("--to: not after --from; give a later time")

    def selects(self) -> Callable[[Fraction], bool]:
        """Returns a function that decides for one time stamp after the other."""
        count, due = -1, Fraction(0)

        def select(time: Fraction) -> bool:
            nonlocal count, due
            if self.rate is not None:
                if time < due:
                    return False
                due = (math.floor(time * self.rate) + 1) / self.rate
            count += 1
            return count % self.every == 0

        return select


class Frame(NamedTuple):
    """A frame.

    Attributes:
        time: Its time stamp in seconds after the start of the clip.
        pixels: ``u8[h, w, 3]``, sRGB, upright.
    """

    time: Fraction
    pixels: UInt8[np.ndarray, "h w 3"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """A film or a folder of frames.

    Attributes:
        path: The film or the folder.
        clip: The part of it to read.
        rate: Frames per second of the clip.
        time_base: The unit of the time stamps, in seconds.
        count: About how many frames the clip has; 0 if that is not known.
        origin: Time stamp at which the film starts, in seconds.
        pictures: The frames of a folder; empty for a film.
    """

    path: Path
    clip: Clip
    rate: Fraction
    time_base: Fraction
    count: int
    origin: Fraction = Fraction(0)
    pictures: tuple[Path, ...] = ()

    def frames(self, notice: Callable[[str], None] = lambda line: None) -> Generator[Frame]:
        """Yields the frames of the clip.

        Args:
            notice: Receives a line about each damaged part, whose frames are left out.

        Raises:
            InputError: The frames of a folder differ in size, or one cannot be read.
        """
        select, start, end = self.clip.selects(), self.clip.start, self.clip.end
        read = self._of_folder() if self.pictures else self._of_film(notice)
        for time, decode in read:
            if end is not None and time >= end:
                return
            if time >= start and select(time - start):
                yield Frame(time - start, decode())

    def first(self) -> Frame:
        """Returns the first frame.

        Raises:
            InputError: There is none.
        """
        with contextlib.closing(self.frames()) as frames:
            if (frame := next(frames, None)) is None:
                raise InputError(f"{self.path}: has no frame that can be read in this part of it")
        return frame

    def stamps(self) -> list[list[object]]:
        """Returns names, sizes and times of its files, which change when the film does."""
        statuses = [(path.name, path.stat()) for path in self.pictures or (self.path,)]
        return [[name, status.st_size, status.st_mtime_ns] for name, status in statuses]

    def _of_folder(self) -> Iterator[tuple[Fraction, Any]]:
        shape = files.read_shape(self.pictures[0])
        for i, path in enumerate(self.pictures):
            if files.read_shape(path) != shape:
                raise InputError(f"{path}: has another size than the first frame; resize it")
            yield i / self.rate, lambda path=path: as_pixels(files.load_image(path))

    def _of_film(self, notice: Callable[[str], None]) -> Iterator[tuple[Fraction, Any]]:
        with open_film(self.path) as film:
            stream = film.streams.video[0]
            stream.thread_type = "AUTO"
            # Without a seek to the start, which lands too late in some formats.
            time = -1 / self.rate
            for frame in _decoded(film, stream, self.path, notice):
                known = frame.pts is not None
                time = frame.pts * frame.time_base - self.origin if known else time + 1 / self.rate
                yield time, lambda frame=frame: _pixels(frame)


def open_source(path: Path, clip: Clip) -> Source:
    """Opens a film, or a folder of frames in the natural order of their names.

    Raises:
        InputError: It cannot be read.
    """
    existing(path)
    if path.is_dir():
        pictures = sorted(filter(has_picture_suffix, path.iterdir()), key=natural)
        if not pictures:
            raise InputError(f"{path}: has no pictures; give a film or a folder of frames")
        rate = clip.rate or _RATE
        count = _count(clip, Fraction(len(pictures)) / rate, rate)
        clip = dataclasses.replace(clip, rate=None)
        return Source(
            path=path,
            clip=clip,
            rate=rate,
            time_base=1 / rate,
            count=count,
            pictures=tuple(pictures),
        )
    if not path.exists():
        raise InputError(f"{path}: no such file; check the name")
    with open_film(path) as film:
        if not film.streams.video:
            raise InputError(f"{path}: has no pictures, only sound; give a film")
        stream = film.streams.video[0]
        rate = stream.average_rate or stream.guessed_rate or _RATE
        seconds = Fraction(film.duration or 0, 1_000_000)
        return Source(
            path=path,
            clip=clip,
            rate=rate if clip.rate is None else min(rate, clip.rate),
            time_base=stream.time_base or 1 / rate,
            count=_count(clip, seconds, rate),
            origin=max(Fraction(0), Fraction(film.start_time or 0, 1_000_000)),
        )


@contextlib.contextmanager
def open_film(path: Path) -> Iterator[Any]:
    """Opens a film with PyAV.

    Raises:
        InputError: PyAV is not installed, or cannot read the file.
    """
    try:
        import av
        import av.error
    except ImportError:
        message = f'{path}: films need PyAV; pip install "jaxstyle[video]"'
        raise InputError(message) from None
    try:
        film = av.open(str(path))
    except (av.error.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        problem = f"is not a film that can be read ({reason}); convert it to MP4"
        raise InputError(f"{path}: {problem}") from None
    with film:
        yield film


def natural(path: Path) -> list[object]:
    """Returns a key that sorts names by the numbers in them.

    Examples:
        >>> sorted([Path("f10.png"), Path("f9.png")], key=natural)[0].name
        'f9.png'
    """
    words = re.split(r"(\d+)", path.name)
    return [int(word) if i % 2 else word for i, word in enumerate(words)]


def parse_time(option: str, text: str | None) -> Fraction | None:
    """Returns the seconds of a time such as ``90``, ``1:30`` or ``0:01:30.5``.

    Raises:
        InputError: It is not a time.

    Examples:
        >>> parse_time("--from", "1:30.5")
        Fraction(181, 2)
    """
    if text is None:
        return None
    if not re.fullmatch(r"(\d+:){0,2}\d+(\.\d+)?", text):
        raise InputError(f"{option} {text}: not a time; give seconds, or minutes as in 1:30")
    seconds = Fraction(0)
    for part in text.split(":"):
        seconds = 60 * seconds + Fraction(part)
    return seconds


def _count(clip: Clip, seconds: Fraction, rate: Fraction) -> int:
    end = seconds if clip.end is None else min(seconds, clip.end)
    rate = rate if clip.rate is None else min(rate, clip.rate)
    return max(0, math.ceil(round((end - clip.start) * rate, 3) / clip.every))


def _decoded(film: Any, stream: Any, path: Path, notice: Callable[[str], None]) -> Iterator[Any]:
    """Yields the frames of a stream; those of damaged packets are left out."""
    import av
    import av.error

    packets = film.demux(stream)
    while True:
        try:
            if (packet := next(packets, None)) is None:
                return
        except av.error.FFmpegError as error:
            notice(f"{path}: ends early ({error.strerror})")
            return
        try:
            yield from packet.decode()
        except av.error.EOFError:
            return
        except av.error.FFmpegError as error:
            at = "" if packet.pts is None else f" at {float(packet.pts * packet.time_base):.1f} s"
            notice(f"{path}: damaged{at} ({error.strerror}); frames are left out there")


def _pixels(frame: Any) -> np.ndarray:
    matrix = int(frame.colorspace)
    if matrix == _UNSPECIFIED:
        matrix = _BT709 if frame.height >= _HIGH_DEFINITION else _BT601
    pixels = frame.reformat(format="rgb24", src_colorspace=matrix).to_ndarray()
    # FFmpeg gives the angle counterclockwise, as NumPy has it.
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))
