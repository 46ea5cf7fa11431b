"""Encoders by name, and what is known about each."""

import dataclasses
import os
from pathlib import Path
from typing import Any, NamedTuple, get_args

from jaxstyle.convolution import Precision
from jaxstyle.errors import InputError
from jaxstyle.pooling import Pooling
from jaxstyle.pretrained.convert import file_sha256
from jaxstyle.pretrained.download import DownloadProgress, cached_file, download
from jaxstyle.pretrained.initial import random_encoder
from jaxstyle.pretrained.registry import bundled_file, sources
from jaxstyle.pretrained.store import fingerprint, read_attributes, read_encoder
from jaxstyle.vgg import VGG, VGG19, Encoder, Padding, block_of

# What keeps the scale of activations where each pooling takes the place of a maximum (found by
# K. Crowson, style-transfer-pytorch).
_GAINS: dict[Pooling, float] = {"max": 1.0, "average": 2.0, "l2": 0.78}

AUTO, BUNDLED, RANDOM = "auto", "bundled", "random"


def resolve_encoder(
    name: str | os.PathLike[str] = AUTO, cache: str | os.PathLike[str] | None = None
) -> str:
    """Returns the name that ``auto`` stands for here; any other name is returned as it is.

    ``auto`` is ``vgg19`` if that has been downloaded, else ``bundled`` if it came along, else
    ``random``. It never downloads.

    Raises:
        InputError: The name is none that :func:`load_encoder` knows, and no file.
    """
    name = os.fspath(name)
    if name == AUTO:
        if cached_file("vgg19", cache).is_file():
            return "vgg19"
        return BUNDLED if bundled_file() else RANDOM
    if name in (BUNDLED, RANDOM, *sources()) or Path(name).is_file():
        return name
    if Path(name).suffix or Path(name).name != name:
        raise InputError(f"{name}: no such file")
    choices = ", ".join([AUTO, BUNDLED, RANDOM, *sources()])
    raise InputError(f"encoder {name!r}: unknown; choose {choices}, or a file of ours (.h5)")


def _check_choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"{option} {value!r}: unknown; choose {' or '.join(choices)}")


def load_encoder(
    name: str | os.PathLike[str] = AUTO,
    *,
    pooling: Pooling | None = None,
    padding: Padding = "replicate",
    precision: Precision = VGG.precision,
    cache: str | os.PathLike[str] | None = None,
    seed: int = 0,
    progress: DownloadProgress | None = None,
) -> Encoder:
    """Loads an encoder.

    Args:
        name: ``auto`` (see :func:`resolve_encoder`); ``bundled``; ``random``; an encoder of the
            registry (``vgg19``, ``vgg16``, ``vgg19-torch``, ``vgg16-torch``), which is downloaded
            unless the cache holds it; or a file of ours.
        pooling: What stands between two blocks; None is the encoder's own: max for VGG files,
            average for ``random``. Another one comes with the gain that keeps activations in scale.
        padding: What surrounds every convolution's input: ``replicate`` repeats the border, where
            the ``zeros`` of the training can leave a rim.
        precision: What convolutions on an accelerator multiply in; see :class:`VGG`.
        cache: Where downloads are kept; None as for ``cache_folder``.
        seed: Of ``random``.
        progress: Is told how far a download has come.

    Returns:
        The encoder, parameters in float32.

    Raises:
        InputError: The name is unknown, the file missing or damaged, or the download failed.

    Examples:
        >>> encoder = load_encoder("random", seed=1)
        >>> encoder.vgg.pooling, encoder.layers[-1]
        ('average', 'conv5_4')
    """
    if pooling is not None:
        _check_choice("pooling", pooling, get_args(Pooling))
    _check_choice("padding", padding, get_args(Padding))
    _check_choice("precision", precision, get_args(Precision))
    name = resolve_encoder(name, cache)
    if name == RANDOM:
        vgg = VGG19.clone(pooling=pooling or "average", padding=padding, precision=precision)
        return random_encoder(vgg, seed=seed)
    if name == BUNDLED:
        path = bundled_file()
        if path is None:
            raise InputError("encoder bundled: did not come with this installation; try random")
    elif name in sources():
        path = cached_file(name, cache)
        if not path.is_file():
            path = download(name, cache=cache, progress=progress)
    else:
        path = Path(name)
    encoder = _repool(read_encoder(path), pooling)
    network = encoder.vgg.clone(padding=padding, precision=precision)
    return dataclasses.replace(encoder, vgg=network)


def _repool(encoder: Encoder, pooling: Pooling | None) -> Encoder:
    """Returns the encoder with another pooling than it was trained with, activations kept in scale.

    The gain that the other pooling wants goes into the kernels behind it.
    """
    if pooling is None or pooling == encoder.vgg.pooling:
        return encoder
    gain = _GAINS[pooling] / _GAINS[encoder.vgg.pooling]
    params = {
        name: {"kernel": p["kernel"] * gain, "bias": p["bias"]} if _is_pooled(name) else p
        for name, p in encoder.params.items()
    }
    return dataclasses.replace(encoder, params=params, vgg=encoder.vgg.clone(pooling=pooling))


def _is_pooled(layer: str) -> bool:
    return layer.endswith("_1") and block_of(layer) > 1


class Report(NamedTuple):
    """What a file of ours was found to hold, after every check.

    Attributes:
        path: The file.
        sha256: Of the file.
        fingerprint: Of the parameters.
        layers: Shape of the kernel of each layer, ``(3, 3, in, out)``, from shallow to deep.
        preprocessing: A key of ``PREPROCESSINGS``.
        pooling: ``max`` or ``average``.
        attributes: All that the file says about itself.
    """

    path: Path
    sha256: str
    fingerprint: str
    layers: dict[str, tuple[int, ...]]
    preprocessing: str
    pooling: str
    attributes: dict[str, Any]


def verify(path: str | os.PathLike[str]) -> Report:
    """Checks a file of ours from end to end and tells what it holds.

    Raises:
        InputError: The file is missing, cut off, damaged, or none of ours.
    """
    path = Path(path)
    encoder = read_encoder(path)
    return Report(
        path=path,
        sha256=file_sha256(path),
        fingerprint=fingerprint(encoder),
        layers={name: encoder.params[name]["kernel"].shape for name in encoder.layers[1:]},
        preprocessing=encoder.preprocessing,
        pooling=encoder.vgg.pooling,
        attributes=read_attributes(path),
    )


class Available(NamedTuple):
    """One encoder that :func:`load_encoder` knows by name.

    Attributes:
        name: The name.
        path: Our file, None while there is none.
        source: Where the parameters come from.
        size: In bytes: of the original file, or of the bundled one; None where it is not known.
        checksum: Likewise, ``md5:…`` or ``sha256:…``.
        licence: Of the parameters.
        here: Whether it can be used without a download.
    """

    name: str
    path: Path | None
    source: str
    size: int | None
    checksum: str | None
    licence: str
    here: bool


def available(cache: str | os.PathLike[str] | None = None) -> list[Available]:
    """Returns all encoders that have a name, those that are always here first."""
    rows = [Available(RANDOM, None, "made from a seed", None, None, "none needed", True)]
    if path := bundled_file():
        says = read_attributes(path)
        rows.append(
            Available(
                BUNDLED,
                path,
                str(says.get("source", "this package")),
                path.stat().st_size,
                f"sha256:{file_sha256(path)}",
                str(says.get("licence", "see weights/README.md")),
                True,
            )
        )
    for source in sources().values():
        path = cached_file(source.name, cache)
        here = path.is_file()
        rows.append(
            Available(
                source.name,
                path if here else None,
                source.url,
                source.size,
                source.checksum,
                source.licence,
                here,
            )
        )
    return rows
