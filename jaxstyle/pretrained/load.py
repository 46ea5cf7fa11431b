"""Encoders by name, and what is known about each."""

import dataclasses
import os
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np

from jaxstyle.encoder.vgg import VGG, Padding, block_of
from jaxstyle.encoder.vgg_encoder import VGGEncoder
from jaxstyle.errors import InputError, check_choice, unknown
from jaxstyle.ops.convolution import Precision
from jaxstyle.ops.derivatives import Derivatives
from jaxstyle.ops.pooling import Pooling
from jaxstyle.pretrained.convert import file_sha256
from jaxstyle.pretrained.download import cached_file, read_original
from jaxstyle.pretrained.initial import NARROW, random_encoder
from jaxstyle.pretrained.registry import PACKAGED, Source, packaged_file, sources
from jaxstyle.pretrained.store import (
    Dtype,
    fingerprint,
    read_attributes,
    read_encoder,
    read_stored,
    round_params,
)
from jaxstyle.pretrained.transfer import DownloadProgress

# What keeps the scale of activations where each pooling takes the place of a maximum (found by
# K. Crowson, style-transfer-pytorch).
_GAINS: dict[Pooling, float] = {"max": 1.0, "average": 2.0, "l2": 0.78}

RANDOM = "random"


def encoder_file(name: str | os.PathLike[str], cache: str | os.PathLike[str] | None = None) -> Path:
    """Returns the file that holds an encoder; it never downloads one.

    Args:
        name: ``vgg16``, a downloaded encoder of the registry, or a file of ours.
        cache: Where downloads are kept; None as for ``cache_folder``.

    Raises:
        InputError: The name is unknown, or its file is not here.
    """
    name = os.fspath(name)
    if name == PACKAGED:
        return packaged_file()
    if name == RANDOM:
        raise InputError(f"encoder {RANDOM}: is made from a seed and has no file; name another")
    path = cached_file(name, cache) if name in sources() else Path(name)
    if path.is_file():
        return path
    if name in sources():
        where = f" --cache {os.fspath(cache)}" if cache else ""
        raise InputError(
            f"encoder {name}: is not here; get it once with: jaxstyle weights download "
            f"{name}{where}, or paint with --encoder {PACKAGED}"
        )
    if path.suffix or path.name != name:
        raise InputError(f"{name}: no such file")
    choices = [PACKAGED, *(n for n in sources() if n != PACKAGED), RANDOM]
    raise unknown("encoder", name, choices, ", or a file of ours (.h5)")


def load_encoder(
    name: str | os.PathLike[str] = PACKAGED,
    *,
    pooling: Pooling | None = None,
    padding: Padding = "replicate",
    precision: Precision = VGG.precision,
    derivatives: Derivatives = VGG.derivatives,
    cache: str | os.PathLike[str] | None = None,
    seed: int = 0,
) -> VGGEncoder:
    """Loads an encoder; it never downloads one.

    Args:
        name: ``vgg16``, which comes with the package; another encoder of the registry (``vgg19``,
            ``vgg19-torch``, ``vgg16-torch``), once it was downloaded; a file of ours; or
            ``random``, untrained and a quarter of VGG19 wide, for tests.
        pooling: What stands between two blocks; None is the encoder's own: max for VGG files,
            average for ``random``. Another one comes with the gain that keeps activations in scale.
        padding: What surrounds every convolution's input: ``replicate`` repeats the border, where
            the ``zeros`` of the training can leave a rim.
        precision: What convolutions on an accelerator multiply in; see :class:`VGG`.
        derivatives: ``any`` for derivatives in forward mode; see :class:`VGG`.
        cache: Where downloads are kept; None as for ``cache_folder``.
        seed: Of ``random``.

    Returns:
        The encoder, parameters in float32.

    Raises:
        InputError: The name is unknown, or the file missing or damaged.

    Examples:
        >>> encoder = load_encoder()
        >>> encoder.network.pooling, encoder.layers[-1]
        ('max', 'conv5_3')
    """
    if pooling is not None:
        check_choice("pooling", pooling, get_args(Pooling))
    check_choice("padding", padding, get_args(Padding))
    check_choice("precision", precision, get_args(Precision))
    check_choice("derivatives", derivatives, get_args(Derivatives))
    kind: dict[str, Any] = {"padding": padding, "precision": precision, "derivatives": derivatives}
    if name == RANDOM:
        pooling = pooling or NARROW.pooling
        network = NARROW.clone(pooling=pooling, **kind)
        return random_encoder(network, seed=seed)
    ours = name == PACKAGED or name in sources()
    encoder = _repool(read_encoder(encoder_file(name, cache), apart=not ours), pooling)
    network = encoder.network.clone(**kind)
    return dataclasses.replace(encoder, network=network)


def _repool(encoder: VGGEncoder, pooling: Pooling | None) -> VGGEncoder:
    """Returns the encoder with another pooling than it was trained with, activations kept in scale.

    The gain that the other pooling wants goes into the kernels behind it.
    """
    if pooling is None or pooling == encoder.network.pooling:
        return encoder
    gain = _GAINS[pooling] / _GAINS[encoder.network.pooling]
    params = {
        name: {"kernel": p["kernel"] * gain, "bias": p["bias"]} if _is_pooled(name) else p
        for name, p in encoder.params.items()
    }
    return dataclasses.replace(
        encoder, params=params, network=encoder.network.clone(pooling=pooling)
    )


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
        pooling: A :data:`Pooling`.
        dtype: What the file holds the parameters in.
        attributes: All that the file says about itself.
    """

    path: Path
    sha256: str
    fingerprint: str
    layers: dict[str, tuple[int, ...]]
    preprocessing: str
    pooling: str
    dtype: Dtype
    attributes: dict[str, Any]


def verify(name: str | os.PathLike[str], cache: str | os.PathLike[str] | None = None) -> Report:
    """Checks a file of ours from end to end and tells what it holds.

    Args:
        name: As for :func:`encoder_file`.
        cache: Likewise.

    Raises:
        InputError: The file is missing, cut off, damaged, or none of ours.
    """
    path = encoder_file(name, cache)
    encoder, dtype, attributes = read_stored(path, apart=True)
    return Report(
        path=path,
        sha256=file_sha256(path),
        fingerprint=fingerprint(encoder),
        layers={name: encoder.params[name]["kernel"].shape for name in encoder.layers},
        preprocessing=encoder.preprocessing.name,
        pooling=encoder.network.pooling,
        dtype=dtype,
        attributes=attributes,
    )


def first_difference(
    path: str | os.PathLike[str],
    original: str | os.PathLike[str],
    *,
    progress: DownloadProgress | None = None,
) -> str | None:
    """Compares every parameter of a file with its original, rounded to the file's type.

    Args:
        path: A file of ours.
        original: As for :func:`read_original`, as are ``progress`` and the errors.

    Returns:
        The first layer that differs, None if none does.
    """
    stored = read_stored(path, apart=True)
    ours, dtype = stored.encoder.params, stored.dtype
    theirs = round_params(read_original(original, progress=progress), dtype)

    def equal(layer: str) -> bool:
        if layer not in ours or layer not in theirs:
            return False
        own, other = ours[layer], theirs[layer]
        return all(np.array_equal(own[part], other[part]) for part in own)

    return next((layer for layer in sorted({*ours, *theirs}) if not equal(layer)), None)


class Available(NamedTuple):
    """One encoder that :func:`load_encoder` knows by name.

    Attributes:
        name: The name.
        path: Our file, None while there is none.
        source: Where the parameters come from.
        size: In bytes: of the original file, or of the package's; None where it is not known.
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
    """Returns all encoders that have a name, the package's first."""
    downloads = [source for name, source in sources().items() if name != PACKAGED]
    return [
        _packaged(),
        *(_downloaded(source, cached_file(source.name, cache)) for source in downloads),
        Available(RANDOM, None, "made from a seed", None, None, "none needed", True),
    ]


def _packaged() -> Available:
    path = packaged_file()
    says, checksum = read_attributes(path), f"sha256:{file_sha256(path)}"
    size = path.stat().st_size
    return Available(PACKAGED, path, says["source"], size, checksum, says["licence"], True)


def _downloaded(source: Source, path: Path) -> Available:
    here = path.is_file()
    facts = source.url, source.size, source.checksum, source.licence
    return Available(source.name, path if here else None, *facts, here)
