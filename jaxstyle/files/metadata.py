"""The settings and the provenance of a picture, stored in the picture itself.

One JSON document, ``{"jaxstyle": settings, "provenance": provenance}``, in the description of the
image: a text chunk in PNG, ImageDescription in other formats.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxstyle.errors import InputError
from jaxstyle.files.header import read_header
from jaxstyle.files.picture import reading

_SETTINGS, _PROVENANCE = "jaxstyle", "provenance"


class Metadata(NamedTuple):
    """The result of :func:`load_metadata`.

    Attributes:
        settings: The recipe's table, for ``Recipe().updated``.
        provenance: The inputs: file names, checksums, versions.
    """

    settings: dict[str, Any]
    provenance: dict[str, Any]


def make_description(
    settings: Mapping[str, Any] | None, provenance: Mapping[str, Any] | None
) -> str:
    """Returns the JSON document, or an empty string if there is nothing to record."""
    if not (settings or provenance):
        return ""
    return json.dumps({_SETTINGS: dict(settings or {}), _PROVENANCE: dict(provenance or {})})


def load_metadata(path: str | os.PathLike[str]) -> Metadata:
    """Loads the settings and the provenance of a picture that jaxstyle saved.

    Args:
        path: An image file of any format that :func:`jaxstyle.files.load_picture` reads.

    Raises:
        InputError: The file cannot be read or has no settings.

    Examples:
        >>> import jax.numpy as jnp, jaxstyle as js, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     settings, image = js.Recipe(seed=7).to_table(), jnp.ones((16, 16, 3))
        ...     path = js.save_image(f"{folder}/a.png", image, metadata=settings)
        ...     js.Recipe().updated(load_metadata(path).settings).seed
        7
    """
    with reading(Path(path)) as file:
        description = read_header(file).description
    try:
        document = json.loads(description)
        settings, provenance = document[_SETTINGS], document[_PROVENANCE]
    except (ValueError, TypeError, KeyError, RecursionError):  # Another program's description.
        settings, provenance = {}, {}
    if not (isinstance(settings, dict) and isinstance(provenance, dict) and settings):
        raise InputError(f"{path}: has no settings; name a picture as jaxstyle saved it")
    return Metadata(settings, provenance)
