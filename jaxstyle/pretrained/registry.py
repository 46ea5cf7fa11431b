"""The registry of encoders and calibrations, ``weights/registry.toml``.

The folder ``weights/`` is part of the wheel as ``jaxstyle/weights``; in a clone it is beside the
package.
"""

import dataclasses
import importlib.resources
import tomllib
from functools import cache
from pathlib import Path

from jaxstyle.encoder.vgg import VGG, VGG16, VGG19
from jaxstyle.errors import InputError

PACKAGED = "vgg16"
"""Name of the encoder that is part of the package."""

_NETWORKS = {"vgg16": VGG16, "vgg19": VGG19}


@dataclasses.dataclass(frozen=True)
class Original:
    """A file that can be downloaded.

    Attributes:
        name: Name in the registry.
        url: Address of the original file.
        checksum: Checksum of the original file, ``md5:…`` or ``sha256:…``.
        size: Size of the original file in bytes, or None if it is unknown.
        licence: Licence and owner of its contents.
    """

    name: str
    url: str
    checksum: str
    size: int | None
    licence: str


@dataclasses.dataclass(frozen=True)
class Source(Original):
    """A file with an encoder's pretrained parameters that can be downloaded.

    Attributes:
        vgg: The network that the file must contain.
        preprocessing: A key of ``jaxstyle.encoder.preprocessing.PREPROCESSINGS``.
    """

    vgg: VGG
    preprocessing: str


def weights_folder() -> Path:
    """Returns the folder ``weights/`` of this installation or clone."""
    package = Path(str(importlib.resources.files("jaxstyle")))
    packed = package / "weights"
    return packed if packed.is_dir() else package.parent / "weights"


def packaged_file() -> Path:
    """Returns the file of the packaged encoder."""
    return weights_folder() / f"{PACKAGED}.h5"


@cache
def _read(path: Path) -> tuple[dict[str, Source], dict[str, Original]]:
    with path.open("rb") as file:
        entries = tomllib.load(file)
    encoders = {
        e["name"]: Source(size=e.pop("size", None), vgg=_NETWORKS[e.pop("network")], **e)
        for e in entries["encoder"]
    }
    return encoders, {e["name"]: Original(**e) for e in entries.get("calibration", [])}


def sources() -> dict[str, Source]:
    """Returns the encoders that can be downloaded, by name.

    Examples:
        >>> list(sources())
        ['vgg19', 'vgg16', 'vgg19-torch', 'vgg16-torch']
        >>> sources()["vgg16"].preprocessing
        'caffe'
    """
    return dict(_read(weights_folder() / "registry.toml")[0])


def calibrations() -> dict[str, Original]:
    """Returns the calibrations of perceptual distances, which can be downloaded, by name.

    Examples:
        >>> list(calibrations())
        ['lpips', 'dists']
    """
    return dict(_read(weights_folder() / "registry.toml")[1])


def find_source(name: str) -> Source:
    """Returns the registry's entry for an encoder.

    Raises:
        InputError: There is no such entry.
    """
    known = sources()
    if name not in known:
        choices = ", ".join([*known, *calibrations()])
        raise InputError(f"encoder {name!r}: not available as a download; choose {choices}")
    return known[name]
