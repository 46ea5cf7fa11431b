"""A run as a film: WebP and GIF by Pillow, MP4 by PyAV.

PyAV and not imageio-ffmpeg: it encodes in this process, while a program of its own would hear
Ctrl-C, too, and end before the last picture has come.
"""

import contextlib
import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from PIL import Image as PillowImage

import jaxstyle as js
from jaxstyle.atomic import replacing
from jaxstyle.cli.watch.watcher import Moment, Pixels
from jaxstyle.errors import InputError
from jaxstyle.ops import resize

FRAMES = 120
_RATE = 12
_HOLD = 2  # Seconds that the last picture stays.
_LONGEST = {".gif": 480, ".mp4": 1920, ".webp": 1280}
SUFFIXES = tuple(_LONGEST)
_BT601, _BT709, _SRGB = 6, 1, 13  # H.273's numbers of matrix, primaries and transfer.


def check_timelapse(path: Path) -> None:
    """Refuses a film that cannot be made here.

    Raises:
        InputError: PyAV is missing.
    """
    if path.suffix.lower() == ".mp4":
        try:
            import av  # noqa: F401
        except ImportError:
            raise InputError(f'{path}: MP4 needs PyAV; pip install "jaxstyle[video]"') from None


def frame_shape(path: Path, shape: tuple[int, int]) -> tuple[int, int]:
    """Returns height and width of the pictures of a film, of even numbers, as MP4 has them.

    Examples:
        >>> frame_shape(Path("film.gif"), (768, 1027))
        (358, 480)
    """
    longest = min(max(shape), _LONGEST[path.suffix.lower()])
    height, width = resize.fit(shape, longest)
    return height - height % 2, width - width % 2


class Timelapse:
    """Collects pictures at even distances and writes them as a film, whole or not at all."""

    def __init__(self, path: Path, shape: tuple[int, int], every: int) -> None:
        self._path = path
        self._shape = shape
        self._every = every
        self._files = contextlib.ExitStack()
        self._film: _Film | _Video | None = None

    def __enter__(self) -> "Timelapse":
        temporary = self._files.enter_context(replacing(self._path))
        kind = _Video if self._path.suffix.lower() == ".mp4" else _Film
        self._film = kind(temporary, self._shape, self._path.suffix.lower())
        return self

    def __exit__(self, *raised: Any) -> None:
        if self._film is not None and (raised[0] is not None or not self._film.count):
            # Nothing was painted, or what there is is not whole.
            self._film.abandon()
            with contextlib.suppress(InputError):
                error = InputError("abandoned")
                self._files.__exit__(InputError, error, None)
            return
        with self._files:
            if self._film is not None:
                self._film.close()

    def see(self, moment: Moment) -> None:
        """Takes a picture if it is its turn."""
        if moment.progress.step % self._every == 0:
            self._add(moment.pixels())

    def end(self, moment: Moment, result: js.Result) -> None:
        """Takes the last picture, which stays a while."""
        assert self._film is not None
        if moment.progress.step % self._every == 0:
            self._film.drop_last()
        pixels = moment.pixels()
        for _ in range(self._film.held):
            self._add(pixels)

    def _add(self, pixels: Pixels) -> None:
        height, width = self._shape
        image = PillowImage.fromarray(pixels)
        if image.size != (width, height):
            image = image.resize((width, height), PillowImage.Resampling.LANCZOS)
        assert self._film is not None
        self._film.add(image)


class _Film:
    """WebP or GIF: pictures are kept without loss, packed, until the end."""

    held = 1

    def __init__(self, path: Path, shape: tuple[int, int], suffix: str) -> None:
        self._path = path
        self._kind = {".gif": "GIF", ".webp": "WEBP"}[suffix]
        self._packed: list[io.BytesIO] = []

    @property
    def count(self) -> int:
        """How many pictures there are."""
        return len(self._packed)

    def add(self, image: PillowImage.Image) -> None:
        """Adds a picture."""
        file = io.BytesIO()
        image.save(file, "PNG", compress_level=1)
        self._packed.append(file)

    def drop_last(self) -> None:
        """Takes the last picture out again."""
        del self._packed[-1:]

    def abandon(self) -> None:
        """Writes nothing."""

    def close(self) -> None:
        """Writes the film."""
        first, *others = self._unpacked()
        options = {"method": 3, "quality": 88} if self._kind == "WEBP" else {"disposal": 1}
        with open(self._path, "xb") as file:
            first.save(
                file,
                self._kind,
                save_all=True,
                append_images=others,
                duration=[1000 // _RATE] * len(others) + [1000 * _HOLD],
                loop=0,
                **options,
            )

    def _unpacked(self) -> Iterator[PillowImage.Image]:
        for file in self._packed:
            image = PillowImage.open(file, formats=["PNG"])
            # Each picture gets the colours that suit it best.
            yield image.quantize(256) if self._kind == "GIF" else image


class _Video:
    """MP4 with H.264, encoded on the way."""

    held = _HOLD * _RATE

    def __init__(self, path: Path, shape: tuple[int, int], suffix: str) -> None:
        import av

        self.count = 0
        self._waiting: PillowImage.Image | None = None
        self._container = av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})
        self._stream: Any = self._container.add_stream("libx264", rate=Fraction(_RATE))
        self._stream.height, self._stream.width = shape
        self._stream.pix_fmt = "yuv420p"
        # As FFmpeg turns RGB into YUV, and sRGB; players would guess otherwise for large pictures.
        codec = self._stream.codec_context
        codec.colorspace, codec.color_primaries, codec.color_trc = _BT601, _BT709, _SRGB
        self._stream.options = {"crf": "18", "preset": "medium"}

    def add(self, image: PillowImage.Image) -> None:
        """Adds a picture; it is encoded once the next one has come."""
        self._flush()
        self._waiting = image
        self.count += 1

    def drop_last(self) -> None:
        """Takes the last picture out again."""
        self._waiting = None

    def abandon(self) -> None:
        """Closes the file, which goes."""
        self._container.close()

    def close(self) -> None:
        """Ends the film."""
        self._flush()
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def _flush(self) -> None:
        import av

        if self._waiting is not None:
            frame = av.VideoFrame.from_image(self._waiting)
            self._container.mux(self._stream.encode(frame))
            self._waiting = None
