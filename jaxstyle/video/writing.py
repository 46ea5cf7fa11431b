"""Films as files: pictures with time stamps in, and the sound of the original beside them."""

import contextlib
import itertools
import shutil
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from jaxstyle import files
from jaxstyle.atomic import replacing
from jaxstyle.errors import InputError, ResourceError
from jaxstyle.video.reading import Source, open_film

_H264 = ("libx264", {"crf": "17", "preset": "medium"})
_VP9 = ("libvpx-vp9", {"crf": "24", "b": "0", "cpu-used": "4", "row-mt": "1"})
_CODECS = {".m4v": _H264, ".mkv": _H264, ".mov": _H264, ".mp4": _H264, ".webm": _VP9}
_PAGES = {".gif": "GIF", ".webp": "WEBP"}
SUFFIXES = (*_CODECS, *_PAGES)
"""Suffixes of films that can be written; a path without a suffix is a folder of PNG files."""
_BT601, _BT709, _SRGB = 6, 1, 13  # codes of H.273


def check_film(path: Path, *, overwrite: bool) -> None:
    """Refuses a path to which a film cannot be written, before it is painted.

    Raises:
        InputError: The suffix is unknown, the folder is missing, the path exists and must not be
            replaced, or the installed PyAV lacks the codec.
    """
    suffix = path.suffix.lower()
    if suffix and suffix not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise InputError(f"{path}: unknown suffix; use {known}, or none for a folder of PNG files")
    if suffix or not path.is_dir():
        files.check_output(path, overwrite=overwrite, suffixes=("", *SUFFIXES))
    elif any(path.iterdir()) and not overwrite:
        raise InputError(f"{path}: is not empty; choose another name, or give --overwrite")
    if suffix in _CODECS:
        _check_codec(path, _CODECS[suffix][0])


def write_film(
    path: Path,
    pictures: Sequence[Path],
    times: Sequence[Fraction],
    source: Source,
    *,
    comment: str,
    notice: Callable[[str], None],
) -> None:
    """Writes painted frames as a film with the sound of the source.

    Args:
        path: A file with one of ``SUFFIXES``, or a folder.
        pictures: The painted frames.
        times: The time stamp of each, in seconds.
        source: The film that they were painted from.
        comment: What the film records about its origin.
        notice: Receives a line if the sound does not fit into the format.

    Raises:
        ResourceError: Writing failed, for instance because the disk is full.
    """
    with _saying_what_failed(path):
        if not path.suffix:
            _write_folder(path, pictures)
            return
        with replacing(path) as temporary:
            if path.suffix.lower() in _PAGES:
                kind = _PAGES[path.suffix.lower()]
                _write_pages(temporary, kind, pictures, _durations(times, source))
            else:
                _write_streams(temporary, path, pictures, times, source, comment, notice)


def _write_folder(path: Path, pictures: Sequence[Path]) -> None:
    path.mkdir(exist_ok=True)
    for i, picture in enumerate(pictures):
        with replacing(path / f"{i:06}.png") as temporary:
            shutil.copyfile(picture, temporary)


def _durations(times: Sequence[Fraction], source: Source) -> list[int]:
    """Returns how long each frame is shown, in milliseconds, without rounding adding up."""
    ends = [*times[1:], _end(times, source)]
    marks = [round(1000 * (time - times[0])) for time in (times[0], *ends)]
    return [max(1, b - a) for a, b in itertools.pairwise(marks)]


def _end(times: Sequence[Fraction], source: Source) -> Fraction:
    last = times[-1] - times[-2] if len(times) > 1 else source.clip.every / source.rate
    return times[-1] + last


def _write_pages(path: Path, kind: str, pictures: Sequence[Path], durations: list[int]) -> None:
    def pages() -> Iterator[PillowImage.Image]:
        for picture in pictures:
            with PillowImage.open(picture, formats=["PNG"]) as image:
                # Each page has its own palette.
                yield image.quantize(256) if kind == "GIF" else image.copy()

    rest = pages()
    options: dict[str, Any] = {"method": 3, "quality": 80} if kind == "WEBP" else {"disposal": 1}
    with open(path, "xb") as file:
        next(rest).save(
            file, kind, save_all=True, append_images=rest, loop=0, duration=durations, **options
        )


def _write_streams(
    path: Path,
    name: Path,
    pictures: Sequence[Path],
    times: Sequence[Fraction],
    source: Source,
    comment: str,
    notice: Callable[[str], None],
) -> None:
    import av

    suffix = name.suffix.lower()
    codec, options = _CODECS[suffix]
    kind = {".mkv": "matroska", ".m4v": "mp4"}.get(suffix, suffix[1:])
    muxer = {"movflags": "+faststart"} if kind in ("mp4", "mov") else {}
    with contextlib.ExitStack() as stack:
        film: Any = stack.enter_context(av.open(str(path), "w", format=kind, options=muxer))
        film.metadata["comment"] = comment
        stream = film.add_stream(codec, rate=source.rate)
        with PillowImage.open(pictures[0]) as image:
            # The chroma of 4:2:0 needs even sides.
            width, height = (side - side % 2 for side in image.size)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.time_base = base = source.time_base
        context.colorspace, context.color_primaries, context.color_trc = _BT601, _BT709, _SRGB
        stream.options = options
        sound = _Sound(film, source, _end(times, source), name, notice, stack)
        for picture, time in zip(pictures, times, strict=True):
            with PillowImage.open(picture) as image:
                pixels = np.asarray(image.convert("RGB"))[:height, :width]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts, frame.time_base = round(time / base), base
            sound.copy_until(time)
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
        sound.copy_until(None)


class _Sound:
    """Copies the packets of the sound of a film."""

    def __init__(
        self,
        film: Any,
        source: Source,
        end: Fraction,
        name: Path,
        notice: Callable[[str], None],
        stack: contextlib.ExitStack,
    ) -> None:
        self._film, self._packets, self._next = film, iter(()), None
        if source.pictures:
            return
        original = stack.enter_context(open_film(source.path))
        if not original.streams.audio:
            return
        stream = original.streams.audio[0]
        codec = stream.codec_context.name
        if codec not in film.supported_codecs:
            line = f"the sound ({codec}) does not fit into {name.suffix}; without sound; use .mkv"
            notice(f"{name}: {line}")
            return
        self._stream = film.add_stream_from_template(stream)
        self._packets = _packets(original, stream, source, end)
        self._next = next(self._packets, None)

    def copy_until(self, time: Fraction | None) -> None:
        """Copies the packets up to a time; all that are left if it is None."""
        while self._next is not None and (time is None or self._next[0] <= time):
            _, packet = self._next
            packet.stream = self._stream
            self._film.mux(packet)
            self._next = next(self._packets, None)


def _packets(
    original: Any, stream: Any, source: Source, end: Fraction
) -> Iterator[tuple[Fraction, Any]]:
    """Yields the packets of the clip with their time, shifted to its start."""
    shift = source.origin + source.clip.start
    for packet in original.demux(stream):
        if packet.dts is None:
            continue
        time = packet.pts * packet.time_base - shift
        if time >= end:
            return
        if time >= 0 or source.clip.start == 0:
            ticks = round(shift / packet.time_base)
            packet.pts, packet.dts = packet.pts - ticks, packet.dts - ticks
            yield time, packet


def _check_codec(path: Path, codec: str) -> None:
    try:
        import av
    except ImportError:
        raise InputError(f'{path}: films need PyAV; pip install "jaxstyle[video]"') from None
    if codec not in av.codecs_available:
        raise InputError(f"{path}: the installed PyAV lacks {codec}; write .gif, .webp or a folder")


@contextlib.contextmanager
def _saying_what_failed(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # FFmpeg's errors are among them.
        reason = error.strerror or error
        kept = "the painted frames are kept; run the same command again"
        raise ResourceError(f"{path}: cannot be written ({reason}); {kept}") from error
