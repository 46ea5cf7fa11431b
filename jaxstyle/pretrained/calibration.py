"""The published calibrations of perceptual distances, read from their authors' files."""

import os
from pathlib import Path
from typing import Literal, overload

import jax.numpy as jnp
import numpy as np

from jaxstyle.encoder import IMAGE, VGG16
from jaxstyle.encoder.vgg import block_of
from jaxstyle.errors import InputError, check_choice
from jaxstyle.perceptual import LAYERS, VGG16_TORCH, DistsCalibration, LpipsCalibration
from jaxstyle.pretrained.download import cached_calibration
from jaxstyle.pretrained.registry import calibrations
from jaxstyle.pretrained.tensors import read_tensors

_WIDTHS = {name: VGG16.widths[block_of(name) - 1] for name in LAYERS}


@overload
def load_calibration(
    name: Literal["lpips"],
    *,
    file: str | os.PathLike[str] | None = None,
    cache: str | os.PathLike[str] | None = None,
) -> LpipsCalibration: ...
@overload
def load_calibration(
    name: Literal["dists"],
    *,
    file: str | os.PathLike[str] | None = None,
    cache: str | os.PathLike[str] | None = None,
) -> DistsCalibration: ...
def load_calibration(
    name: str,
    *,
    file: str | os.PathLike[str] | None = None,
    cache: str | os.PathLike[str] | None = None,
) -> LpipsCalibration | DistsCalibration:
    """Loads the published calibration of a perceptual distance; without downloading it.

    Args:
        name: ``lpips`` (version 0.1, VGG) or ``dists``.
        file: The authors' file, ``lpips/weights/v0.1/vgg.pth`` or ``DISTS_pytorch/weights.pt``;
            None is the file in the cache, where
            ``jaxstyle weights download lpips dists`` saves it. PyTorch is not needed.
        cache: The folder for downloads. None as for ``cache_folder``.

    Returns:
        The argument for :func:`jaxstyle.perceptual.lpips` or :func:`jaxstyle.perceptual.dists`.

    Raises:
        InputError: The name is unknown, or the file is missing, damaged or of another kind.

    Examples:
        >>> load_calibration("ssim")
        Traceback (most recent call last):
        jaxstyle.errors.InputError: calibration 'ssim': unknown; choose lpips, dists
    """
    check_choice("calibration", name, calibrations())
    path = cached_calibration(name, cache) if file is None else Path(file)
    if not path.is_file():
        what = f"{path}: no such file"
        if file is None:
            command = f"jaxstyle weights download {name}"
            what = f"calibration {name}: has not been downloaded; get it with: {command}"
        raise InputError(what)
    return (_read_lpips if name == "lpips" else _read_dists)(path)


def _read_lpips(path: Path) -> LpipsCalibration:
    tensors = read_tensors(path)
    names = {layer: f"lin{i}.model.1.weight" for i, layer in enumerate(LAYERS)}
    found = {layer: _take(tensors, name, _WIDTHS[layer], path) for layer, name in names.items()}
    return LpipsCalibration(
        channels={layer: jnp.asarray(w) for layer, w in found.items()}, fitted_to=VGG16_TORCH
    )


def _read_dists(path: Path) -> DistsCalibration:
    tensors = read_tensors(path)
    widths = {IMAGE: 3, **_WIDTHS}
    ends = np.cumsum(list(widths.values()))

    def split(name: str) -> dict[str, jnp.ndarray]:
        parts = np.split(_take(tensors, name, int(ends[-1]), path), ends[:-1])
        return {layer: jnp.asarray(part) for layer, part in zip(widths, parts, strict=True)}

    return DistsCalibration(texture=split("alpha"), structure=split("beta"), fitted_to=VGG16_TORCH)


def _take(tensors: dict[str, np.ndarray], name: str, size: int, path: Path) -> np.ndarray:
    """Returns the elements of a tensor in which one axis at most is longer than 1."""
    flat = tensors.get(name, np.zeros(0)).ravel()
    if flat.size != size or not np.isfinite(flat).all():
        raise InputError(f"{path}: has no {size} finite numbers {name}; give the authors' file")
    return flat
