"""Which encoders there are, and where the files of the folder ``weights/`` lie.

The facts about the encoders that can be downloaded stand once, in ``weights/registry.toml``. That
folder is packed into the wheel as ``jaxstyle/weights``; in a clone it stands beside the package.
"""

import dataclasses
import importlib.resources
import tomllib
from functools import cache
from pathlib import Path

from jaxstyle.encoder.vgg import VGG, VGG16, VGG19
from jaxstyle.errors import InputError

PACKAGED = "vgg16"
"""Name of the encoder that comes with the package."""

_NETWORKS = {"vgg16": VGG16, "vgg19": VGG19}


@dataclasses.dataclass(frozen=True)
class Original:
    """A file that can be downloaded.

    Attributes:
        name: What it goes by here.
        url: Of the original file.
        checksum: Of the original file, ``md5:…`` or ``sha256:…``.
        size: Of the original file in bytes, None where it is not known.
        licence: Of what is in it, and whose that is.
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
        vgg: The network that the file must turn out to hold.
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
    """Returns the encoder that came with this installation or clone."""
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
    """Returns the calibrations of perceptual distances, all of them to be downloaded, by name.

    Examples:
        >>> list(calibrations())
        ['lpips', 'dists']
    """
    return dict(_read(weights_folder() / "registry.toml")[1])


def find_source(name: str) -> Source:
    """Returns the entry of an encoder that can be downloaded.

    Raises:
        InputError: There is none of this name.
    """
    known = sources()
    if name not in known:
        choices = ", ".join([*known, *calibrations()])
        raise InputError(f"encoder {name!r}: not to be downloaded; choose {choices}")
    return known[name]
