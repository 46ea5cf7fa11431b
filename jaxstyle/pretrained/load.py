"""Encoders by name, and information about them."""

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
from jaxstyle.paths import existing
from jaxstyle.pretrained.convert import file_sha256
from jaxstyle.pretrained.download import DownloadProgress, cached_file, read_original
from jaxstyle.pretrained.initial import NARROW, random_encoder
from jaxstyle.pretrained.registry import PACKAGED, packaged_file, sources
from jaxstyle.pretrained.store import (
    Dtype,
    fingerprint,
    read_attributes,
    read_encoder,
    read_stored,
    round_params,
)

# Gains that keep the scale of activations if another pooling replaces the maximum (found by
# K. Crowson, style-transfer-pytorch).
_GAINS: dict[Pooling, float] = {"max": 1.0, "average": 2.0, "l2": 0.78}

RANDOM = "random"


def encoder_file(name: str | os.PathLike[str], cache: str | os.PathLike[str] | None = None) -> Path:
    """Returns the file of an encoder, without downloading it.

    Args:
        name: ``vgg16``, a downloaded encoder of the registry, or a file in jaxstyle's format.
        cache: The folder for downloads. None as for ``cache_folder``.

    Raises:
        InputError: The name is unknown, or there is no such file.
    """
    name = os.fspath(name)
    if name == PACKAGED:
        return packaged_file()
    if name == RANDOM:
        raise InputError(f"encoder {RANDOM}: is made from a seed and has no file; name another")
    path = cached_file(name, cache) if name in sources() else existing(Path(name))
    if path.is_file():
        return path
    if name in sources():
        where = f" --cache {os.fspath(cache)}" if cache else ""
        raise InputError(
            f"encoder {name}: has not been downloaded; get it with: jaxstyle weights download "
            f"{name}{where}, or paint with --encoder {PACKAGED}"
        )
    if path.suffix or path.name != name:
        raise InputError(f"{name}: no such file; check the name")
    choices = [PACKAGED, *(n for n in sources() if n != PACKAGED), RANDOM]
    raise unknown("encoder", name, choices, ", or a file of jaxstyle (.h5)")


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
    """Loads an encoder, without downloading it.

    Args:
        name: ``vgg16``, which is part of the package; an encoder of the registry that has been
            downloaded (``vgg19``, ``vgg19-torch``, ``vgg16-torch``); a file in jaxstyle's format;
            or ``random``, untrained and a quarter as wide as VGG19, for tests.
        pooling: Pooling between two blocks. None is the encoder's own: max for VGG, average for
            ``random``. For another one the parameters are scaled to keep the scale of activations.
        padding: Padding of convolutions: ``replicate`` repeats the border; ``zeros``, as in
            training, can leave a visible rim.
        precision: Precision of products on an accelerator; see :class:`VGG`.
        derivatives: ``any`` for derivatives in forward mode; see :class:`VGG`.
        cache: The folder for downloads. None as for ``cache_folder``.
        seed: Seed of ``random``.

    Returns:
        The encoder, with parameters in float32.

    Raises:
        InputError: The name is unknown, or the file is missing or damaged.

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
    encoder = _repool(read_encoder(encoder_file(name, cache)), pooling)
    network = encoder.network.clone(**kind)
    return dataclasses.replace(encoder, network=network)


def _repool(encoder: VGGEncoder, pooling: Pooling | None) -> VGGEncoder:
    """Returns the encoder with another pooling, whose gain is multiplied into the next kernels."""
    if pooling is None or pooling == encoder.network.pooling:
        return encoder
    gain = _GAINS[pooling] / _GAINS[encoder.network.pooling]
    params = {
        name: {"kernel": p["kernel"] * gain, "bias": p["bias"]}
        if name.endswith("_1") and block_of(name) > 1
        else p
        for name, p in encoder.params.items()
    }
    return dataclasses.replace(
        encoder, params=params, network=encoder.network.clone(pooling=pooling)
    )


class Report(NamedTuple):
    """The contents of a file in jaxstyle's format.

    Attributes:
        path: The file.
        sha256: Checksum of the file.
        fingerprint: Checksum of the parameters.
        layers: Shape of each layer's kernel, ``(3, 3, in, out)``, from shallow to deep.
        preprocessing: A key of ``PREPROCESSINGS``.
        pooling: A :data:`Pooling`.
        dtype: Type of the parameters in the file.
        attributes: All attributes of the file.
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
    """Reads and checks a whole file in jaxstyle's format.

    Args:
        name: As for :func:`encoder_file`.
        cache: As for :func:`encoder_file`.

    Raises:
        InputError: The file is missing, cut off, damaged, or has another format.
    """
    path = encoder_file(name, cache)
    encoder, dtype, attributes = read_stored(path)
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
        path: A file in jaxstyle's format.
        original: As for :func:`read_original`, like ``progress`` and the errors.

    Returns:
        The first layer that differs, or None if all are equal.
    """
    stored = read_stored(path)
    ours, dtype = stored.encoder.params, stored.dtype
    theirs = round_params(read_original(original, progress=progress), dtype)

    def equal(layer: str) -> bool:
        if layer not in ours or layer not in theirs:
            return False
        own, other = ours[layer], theirs[layer]
        return all(np.array_equal(own[part], other[part]) for part in own)

    return next((layer for layer in sorted({*ours, *theirs}) if not equal(layer)), None)


class Available(NamedTuple):
    """An encoder that :func:`load_encoder` knows by name.

    Attributes:
        name: The name.
        path: The file in jaxstyle's format, or None.
        source: Origin of the parameters.
        size: Size of the original or packaged file in bytes, or None if it is unknown.
        checksum: Checksum of that file, ``md5:…`` or ``sha256:…``, or None.
        licence: Licence of the parameters.
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
    """Returns all encoders that have a name, the packaged one first."""
    path = packaged_file()
    says, checksum = read_attributes(path), f"sha256:{file_sha256(path)}"
    size = path.stat().st_size
    rows = [Available(PACKAGED, path, says["source"], size, checksum, says["licence"], True)]
    for name, source in sources().items():
        if name != PACKAGED:
            path = cached_file(name, cache)
            here = path.is_file()
            facts = source.url, source.size, source.checksum, source.licence
            rows.append(Available(name, path if here else None, *facts, here))
    return [*rows, Available(RANDOM, None, "made from a seed", None, None, "none needed", True)]
