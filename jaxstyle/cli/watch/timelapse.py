"""A run as a film: WebP and GIF by Pillow, MP4 by PyAV.

PyAV encodes in this process. The separate process of imageio-ffmpeg would also receive Ctrl-C, and
end before the last picture.
"""

import contextlib
import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

from PIL import Image as PillowImage

import jaxstyle as js
from jaxstyle.atomic import replacing
from jaxstyle.cli.watch.watcher import Pixels, Snapshot, Watcher
from jaxstyle.errors import InputError
from jaxstyle.ops import resize

FRAMES = 120
_RATE = 12
_HOLD = 2  # seconds that the last picture is shown
_LONGEST = {".gif": 480, ".mp4": 1920, ".webp": 1280}
SUFFIXES = tuple(_LONGEST)
_BT601, _BT709, _SRGB = 6, 1, 13  # codes of H.273


def check_timelapse(path: Path) -> None:
    """Checks that a film can be written.

    Raises:
        InputError: PyAV is not installed.
    """
    if path.suffix.lower() == ".mp4":
        try:
            import av  # noqa: F401
        except ImportError:
            raise InputError(f'{path}: MP4 needs PyAV; pip install "jaxstyle[video]"') from None


def frame_shape(path: Path, shape: tuple[int, int]) -> tuple[int, int]:
    """Returns height and width of the pictures of a film, in even numbers, as MP4 requires.

    Examples:
        >>> frame_shape(Path("film.gif"), (768, 1027))
        (358, 480)
    """
    longest = min(max(shape), _LONGEST[path.suffix.lower()])
    height, width = resize.fit(shape, longest)
    return height - height % 2, width - width % 2


class Timelapse(Watcher):
    """Writes every ``every``-th picture to a film; the file is complete or not written at all."""

    def __init__(self, path: Path, shape: tuple[int, int], every: int) -> None:
        self._path = path
        self._shape = shape
        self._every = every
        self._files = contextlib.ExitStack()
        self._film: _Film
        self._count = 0

    def __enter__(self) -> "Timelapse":
        self._count = 0
        temporary = self._files.enter_context(replacing(self._path))
        suffix = self._path.suffix.lower()
        self._film = (
            _Video(temporary, self._shape) if suffix == ".mp4" else _Pages(temporary, suffix)
        )
        return self

    def __exit__(self, *raised: Any) -> None:
        with contextlib.suppress(_Incomplete), self._files:
            self._film.close(complete := raised[0] is None and self._count > 0)
            if not complete:
                raise _Incomplete

    def see(self, progress: js.Progress, snapshot: Snapshot) -> None:
        """Adds the picture after every ``every``-th iteration."""
        if progress.step % self._every == 0:
            self._add(snapshot.pixels())

    def end(self, step: int, snapshot: Snapshot) -> None:
        """Adds the result, which is shown longer."""
        if step % self._every or not self._count:
            self._add(snapshot.pixels())

    def _add(self, pixels: Pixels) -> None:
        height, width = self._shape
        image = PillowImage.fromarray(pixels)
        if image.size != (width, height):
            image = image.resize((width, height), PillowImage.Resampling.LANCZOS)
        self._film.add(image)
        self._count += 1


class _Incomplete(Exception):
    """The film is not complete, and its file is removed."""


class _Film(Protocol):
    def add(self, image: PillowImage.Image) -> None: ...

    def close(self, complete: bool) -> None: ...


class _Pages:
    """WebP or GIF; pictures are held as PNG until the end."""

    def __init__(self, path: Path, suffix: str) -> None:
        self._path = path
        self._kind = {".gif": "GIF", ".webp": "WEBP"}[suffix]
        self._packed: list[io.BytesIO] = []

    def add(self, image: PillowImage.Image) -> None:
        """Adds a picture."""
        file = io.BytesIO()
        image.save(file, "PNG", compress_level=1)
        self._packed.append(file)

    def close(self, complete: bool) -> None:
        """Writes the film if it is complete."""
        if not complete:
            return
        first, *others = self._unpacked()
        options: dict[str, Any] = (
            {"method": 3, "quality": 88} if self._kind == "WEBP" else {"disposal": 1}
        )
        options["duration"] = [1000 // _RATE] * len(others) + [1000 * _HOLD]
        with open(self._path, "xb") as file:
            first.save(file, self._kind, save_all=True, append_images=others, loop=0, **options)

    def _unpacked(self) -> Iterator[PillowImage.Image]:
        for file in self._packed:
            image = PillowImage.open(file, formats=["PNG"])
            # Each picture has its own palette.
            yield image.quantize(256) if self._kind == "GIF" else image


class _Video:
    """MP4 with H.264, encoded during the run."""

    def __init__(self, path: Path, shape: tuple[int, int]) -> None:
        import av

        self._frame = av.VideoFrame.from_image
        self._last: PillowImage.Image | None = None
        self._container = av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})
        self._stream: Any = self._container.add_stream("libx264", rate=Fraction(_RATE))
        self._stream.height, self._stream.width = shape
        self._stream.pix_fmt = "yuv420p"
        # FFmpeg's matrix, and sRGB. Without these, players assume BT.709 for large pictures.
        codec = self._stream.codec_context
        codec.colorspace, codec.color_primaries, codec.color_trc = _BT601, _BT709, _SRGB
        self._stream.options = {"crf": "18", "preset": "medium"}

    def add(self, image: PillowImage.Image) -> None:
        """Encodes a picture."""
        self._container.mux(self._stream.encode(self._frame(image)))
        self._last = image

    def close(self, complete: bool) -> None:
        """Repeats the last picture, and writes the rest of the film."""
        if complete and self._last is not None:
            for _ in range(_HOLD * _RATE - 1):
                self.add(self._last)
        self._container.mux(self._stream.encode(None))
        self._container.close()
