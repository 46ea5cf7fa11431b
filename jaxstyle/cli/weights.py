"""``jaxstyle weights``: pretrained parameters, listed, fetched, converted and checked."""

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
    """Show every encoder: source, size, checksum, licence, and whether it is here."""

    cache: Cache = None
    json: Json = False
    debug: Debug = False

    def run(self) -> int:
        """Runs the command and returns its exit code."""
        header = ("name", "here", "size", "licence", "checksum", "source")
        rows = [
            (
                e.name,
                _whether_here(e),
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
    """Fetch pretrained parameters, check them, keep them in the cache, and print where they are."""

    names: Positional[Annotated[tuple[str, ...], arg(metavar="NAME [NAME ...]")]]
    """vgg19, vgg19-torch, vgg16-torch; vgg16 needs no network: it came with the package.
    lpips, dists: calibrations of js.perceptual."""
    cache: Cache = None
    quiet: Quiet = False
    debug: Debug = False

    def run(self) -> int:
        """Runs the command and returns its exit code."""
        if not self.names:
            raise InputError("weights download: which one? Name vgg19, for example")
        for name in self.names:
            report.print_path(
                pretrained.download(name, cache=self.cache, progress=_bar(self.quiet))
            )
        return 0


@dataclasses.dataclass(frozen=True)
class Convert:
    """Turn a file of another tool (Keras, PyTorch, safetensors, ONNX, .npz) into ours."""

    source: Positional[Path]
    """The file to read."""
    target: Positional[Path]
    """The .h5 file to write."""
    preprocessing: Literal["caffe", "torch"] | None = None
    """What the parameters were trained with; told by the first layer, or by the kind of file."""
    dtype: Literal["float16", "float32"] = "float32"
    """float16 rounds to 11 bits and compresses: less than half the size."""
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
        told = "if the parameters were trained with another, name it with --preprocessing"
        report.console().print(f"preprocessing {encoder.preprocessing.name}; {told}")
        report.print_path(self.target)
        return 0


@dataclasses.dataclass(frozen=True)
class Verify:
    """Check a file of ours: shapes, finiteness, checksum."""

    file: Positional[str]
    """A .h5 file of ours, or the name of an encoder that is here."""
    against: str | None = None
    """Compare every parameter with an original: a name, to download it, or another tool's file."""
    cache: Cache = None
    debug: Debug = False

    def run(self) -> int:
        """Runs the command and returns its exit code."""
        found = pretrained.verify(self.file, self.cache)
        if self.against:
            _compare(found, self.against)
        print(report.plain(f"{found.path}: good"))
        if self.against:
            same = f"every parameter is that of the original, {self.against}, as {found.dtype}"
            print(report.plain(f"  {same}"))
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
    """Pretrained parameters: list, download, convert, verify."""

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
        raise InputError(
            f"{found.path}: {layer} differs from the original, {original}, as {found.dtype}"
        )


def _whether_here(encoder: pretrained.Available) -> str:
    packaged = encoder.name == pretrained.PACKAGED
    return "with the package" if packaged else "yes" if encoder.here else "no"


def _megabytes(size: int | None) -> str:
    return "" if size is None else f"{size / 1e6:.1f} MB"
