"""``jaxstyle weights``: lists, downloads, converts and verifies pretrained parameters."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg, subcommand

from jaxstyle import pretrained
from jaxstyle.cli import report
from jaxstyle.cli.options import Cache, Debug, Json, Overwrite, Quiet
from jaxstyle.errors import InputError


@dataclasses.dataclass(frozen=True)
class List:
    """List the encoders: whether they are installed, size, licence, checksum and source."""

    cache: Cache = None
    json: Json = False
    debug: Debug = False

    def run(self) -> int:
        """Runs the command and returns its exit code."""
        header = ("name", "installed", "size", "licence", "checksum", "source")
        rows = [
            (
                e.name,
                _installed(e),
                _megabytes(e.size),
                e.licence,
                e.checksum or "",
                e.source,
            )
            for e in pretrained.available(self.cache)
        ]
        report.print_table(rows, header)
        return 0


@dataclasses.dataclass(frozen=True)
class Download:
    """Download pretrained parameters into the cache, verify them, and print their path."""

    names: Positional[Annotated[tuple[str, ...], arg(metavar="NAME [NAME ...]")]]
    """vgg19, vgg19-torch or vgg16-torch; or lpips or dists, for js.perceptual."""
    cache: Cache = None
    quiet: Quiet = False
    debug: Debug = False

    def run(self) -> int:
        """Runs the command and returns its exit code."""
        if not self.names:
            raise InputError("weights download: no name; give one, such as vgg19")
        for name in self.names:
            report.print_path(
                pretrained.download(name, cache=self.cache, progress=_bar(self.quiet))
            )
        return 0


@dataclasses.dataclass(frozen=True)
class Convert:
    """Convert a file of Keras, PyTorch, safetensors, ONNX or NumPy to jaxstyle's format."""

    source: Positional[Path]
    """File to read."""
    target: Positional[Path]
    """.h5 file to write."""
    preprocessing: Literal["caffe", "torch"] | None = None
    """Preprocessing with which the parameters were trained; by default, detected."""
    dtype: Literal["float16", "float32"] = "float32"
    """float16 halves the size of the file and rounds to 11 bits."""
    overwrite: Overwrite = False
    debug: Debug = False

    def run(self) -> int:
        """Runs the command and returns its exit code."""
        encoder = pretrained.convert(
            self.source,
            self.target,
            preprocessing=self.preprocessing,
            dtype=self.dtype,
            overwrite=self.overwrite,
        )
        note = "use --preprocessing if the parameters were trained with another one"
        report.console().print(f"preprocessing {encoder.preprocessing.name}; {note}")
        report.print_path(self.target)
        return 0


@dataclasses.dataclass(frozen=True)
class Verify:
    """Verify the shapes, values and checksum of a file."""

    file: Positional[str]
    """A .h5 file of jaxstyle, or the name of an installed encoder."""
    against: str | None = None
    """Original to compare with: a file, or the name of an encoder, which is downloaded."""
    cache: Cache = None
    debug: Debug = False

    def run(self) -> int:
        """Runs the command and returns its exit code."""
        found = pretrained.verify(self.file, self.cache)
        if self.against:
            _compare(found, self.against)
        print(report.plain(f"{found.path}: good"))
        if self.against:
            print(
                report.plain(f"  every parameter equals that of {self.against}, as {found.dtype}")
            )
        for name, shape in found.layers.items():
            print(f"  {name}  {'×'.join(map(str, shape))}")
        facts = {"preprocessing": found.preprocessing, "pooling": found.pooling}
        facts |= {"type": found.dtype}
        facts |= {"sha256 of the file": found.sha256, "sha256 of the parameters": found.fingerprint}
        for name, value in (facts | found.attributes).items():
            print(report.plain(f"  {name}: {value}"))
        return 0


@dataclasses.dataclass(frozen=True)
class Weights:
    """List, download, convert and verify pretrained parameters."""

    command: (
        Annotated[List, subcommand("list")]
        | Annotated[Download, subcommand("download")]
        | Annotated[Convert, subcommand("convert")]
        | Annotated[Verify, subcommand("verify")]
    )

    def run(self) -> int:
        """Runs the command and returns its exit code."""
        return self.command.run()


def _bar(quiet: bool = False) -> report.DownloadBar | None:
    return None if quiet else report.DownloadBar(report.console())


def _compare(found: pretrained.Report, original: str) -> None:
    layer = pretrained.first_difference(found.path, original, progress=_bar())
    if layer is not None:
        raise InputError(f"{found.path}: {layer} differs from {original}, as {found.dtype}")


def _installed(encoder: pretrained.Available) -> str:
    packaged = encoder.name == pretrained.PACKAGED
    return "with the package" if packaged else "yes" if encoder.here else "no"


def _megabytes(size: int | None) -> str:
    return "" if size is None else f"{size / 1e6:.1f} MB"
