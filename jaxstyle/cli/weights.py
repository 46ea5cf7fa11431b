"""``jaxstyle weights``: pretrained parameters, listed, fetched, converted and checked."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg, subcommand

from jaxstyle import pretrained, report
from jaxstyle.cli.options import Cache, Debug, Overwrite, Quiet
from jaxstyle.errors import InputError


@dataclasses.dataclass(frozen=True)
class List:
    """Show every encoder: source, size, checksum, licence, and whether it is here."""

    cache: Cache = None
    debug: Debug = False

    def run(self) -> int:
        """Runs the command and returns its exit code."""
        header = ("name", "here", "size", "licence", "checksum", "source")
        rows = [
            (
                e.name,
                "yes" if e.here else "no",
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
    """Fetch pretrained parameters, check them and keep them in the cache."""

    names: Positional[Annotated[tuple[str, ...], arg(metavar="NAME [NAME ...]")]]
    """vgg19, vgg16, vgg19-torch, vgg16-torch."""
    cache: Cache = None
    quiet: Quiet = False
    debug: Debug = False

    def run(self) -> int:
        """Runs the command and returns its exit code."""
        if not self.names:
            raise InputError("weights download: which one? Name vgg19, for example")
        for name in self.names:
            bar = None if self.quiet else report.DownloadBar(report.console())
            print(pretrained.download(name, cache=self.cache, progress=bar))
        return 0


@dataclasses.dataclass(frozen=True)
class Convert:
    """Turn a file of another tool (Keras .h5, PyTorch .pth, safetensors) into ours."""

    source: Positional[Path]
    """The file to read."""
    target: Positional[Path]
    """The .h5 file to write."""
    preprocessing: Literal["caffe", "torch"] | None = None
    """What the parameters were trained with; by the kind of file if left out."""
    overwrite: Overwrite = False
    debug: Debug = False

    def run(self) -> int:
        """Runs the command and returns its exit code."""
        pretrained.convert(
            self.source, self.target, preprocessing=self.preprocessing, overwrite=self.overwrite
        )
        print(self.target)
        return 0


@dataclasses.dataclass(frozen=True)
class Verify:
    """Check a file of ours: shapes, finiteness, checksum."""

    file: Positional[Path]
    """The .h5 file."""
    debug: Debug = False

    def run(self) -> int:
        """Runs the command and returns its exit code."""
        found = pretrained.verify(self.file)
        print(f"{found.path}: good")
        for name, shape in found.layers.items():
            print(f"  {name}  {'×'.join(map(str, shape))}")
        facts = {"preprocessing": found.preprocessing, "pooling": found.pooling}
        facts |= {"sha256 of the file": found.sha256, "sha256 of the parameters": found.fingerprint}
        for name, value in (facts | found.attributes).items():
            print(f"  {name}: {value}")
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


def _megabytes(size: int | None) -> str:
    return "" if size is None else f"{size / 1e6:.1f} MB"
