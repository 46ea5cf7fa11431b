"""Saving a result with everything that is needed to paint it again."""

import contextlib
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from jaxtyping import Array, Float

from jaxstyle.arrays import Image
from jaxstyle.files.output import save_image
from jaxstyle.files.picture import Picture
from jaxstyle.ops import resize
from jaxstyle.pretrained.convert import file_sha256
from jaxstyle.recipes.recipe import Recipe
from jaxstyle.run.progress import Result
from jaxstyle.version import __version__

_CPU = Path("/proc/cpuinfo")


def save_result(
    path: Path,
    result: Result,
    recipe: Recipe,
    *,
    fingerprint: str,
    sources: Mapping[str, Any],
    content: Picture | None = None,
    overwrite: bool = False,
) -> Path:
    """Saves a result with its recipe, its provenance and what the photograph says about itself.

    Args:
        path: The file to save to.
        result: The result of a run.
        recipe: The recipe that it was painted with.
        fingerprint: Fingerprint of the encoder's parameters.
        sources: What else to record: file names, the preset.
        content: The photograph, for its opacity and its information; None if there is none.
        overwrite: Whether an existing file may be replaced.

    Raises:
        InputError: As for ``save_image``.
    """
    return save_image(
        path,
        result.image.clip(0, 1),
        alpha=opacity_of(content, result.image),
        metadata=portable(recipe).to_table(),
        provenance=provenance_of(result, fingerprint, sources),
        photo=None if content is None else content.info,
        overwrite=overwrite,
    )


def provenance_of(result: Result, fingerprint: str, sources: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what is needed beside the recipe to paint a picture again."""
    return {
        **sources,
        "version": __version__,
        **surroundings(),
        "encoder_sha256": fingerprint,
        "evaluations": result.evaluations,
        "status": result.status,
    }


def digests(**files: Path | Sequence[Path] | None) -> dict[str, Any]:
    """Returns the SHA-256 of files by the names of the arguments.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "a")
        ...     _ = path.write_bytes(b"abc")
        ...     digests(content=path, styles=[path], init=None)["styles"][0][:16]
        'ba7816bf8f01cfea'
    """
    return {
        name: file_sha256(found)
        if isinstance(found, Path)
        else [file_sha256(path) for path in found]
        for name, found in files.items()
        if found
    }


def surroundings() -> dict[str, str]:
    """Returns what else changes the last digits of a result: the version of JAX and the device."""
    return {"jax": jax.__version__, "device": f"{jax.devices()[0].device_kind}{_processor()}"}


def _processor() -> str:
    """Returns the name of the processor, which JAX only calls a cpu."""
    if jax.default_backend() != "cpu":
        return ""
    with contextlib.suppress(OSError):
        found = re.search(r"^model name\s*:\s*(.+)$", _CPU.read_text(), re.MULTILINE)
        if found:
            return f", {found[1]}"
    return f", {platform.machine()}"


def portable(recipe: Recipe) -> Recipe:
    """Returns the recipe with names of files instead of paths, to be published in a picture."""
    return recipe.replace(init=Path(recipe.init).name, encoder=Path(recipe.encoder).name)


def opacity_of(content: Picture | None, image: Image) -> Float[Array, "_ _"] | None:
    """Returns the photograph's opacity at the size of an image, or None if it is opaque."""
    if content is None or content.alpha is None:
        return None
    return resize.resize(content.alpha[..., None], resize.shape_of(image))[..., 0]
