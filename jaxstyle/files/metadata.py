"""What a picture of ours says of itself: the settings that made it, and what it was made from.

One JSON document, ``{"jaxstyle": settings, "provenance": provenance}``, in the field that each
format has for a description: a text chunk in PNG, ImageDescription in the others.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from PIL import ExifTags
from PIL import Image as PillowImage

from jaxstyle.errors import InputError
from jaxstyle.files.picture import reading
from jaxstyle.files.pixels import FORMATS

TEXT_CHUNK = "Description"
"""Name of the text chunk of PNG."""

_SETTINGS, _PROVENANCE = "jaxstyle", "provenance"


class Metadata(NamedTuple):
    """What :func:`load_metadata` returns.

    Attributes:
        settings: The recipe's table, for ``Recipe().updated``.
        provenance: How the picture came about: pictures, versions.
    """

    settings: dict[str, Any]
    provenance: dict[str, Any]


def make_description(
    settings: Mapping[str, Any] | None, provenance: Mapping[str, Any] | None
) -> str:
    """Returns the document of a picture; empty if there is nothing to tell."""
    if not (settings or provenance):
        return ""
    return json.dumps({_SETTINGS: dict(settings or {}), _PROVENANCE: dict(provenance or {})})


def load_metadata(path: str | os.PathLike[str]) -> Metadata:
    """Loads settings and provenance of a picture of ours, whatever format it was saved in.

    Args:
        path: An image file.

    Raises:
        InputError: The file cannot be read, as in :func:`jaxstyle.files.load_picture`, or it has no
            settings of ours.

    Examples:
        >>> import jax.numpy as jnp, jaxstyle as js, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     settings, image = js.Recipe(seed=7).to_table(), jnp.ones((16, 16, 3))
        ...     path = js.save_image(f"{folder}/a.png", image, metadata=settings)
        ...     js.Recipe().updated(load_metadata(path).settings).seed
        7
    """
    found = read_metadata(path)
    if not found.settings:
        raise InputError(f"{path}: has no settings of ours; name a picture as jaxstyle saved it")
    return found


def read_metadata(path: str | os.PathLike[str]) -> Metadata:
    """Is :func:`load_metadata` for pictures of anybody: both are empty if it is none of ours.

    Args:
        path: An image file.

    Raises:
        InputError: The file cannot be read, as in :func:`jaxstyle.files.load_picture`.

    Examples:
        >>> import jax.numpy as jnp, jaxstyle as js, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     read_metadata(js.save_image(f"{folder}/a.tif", jnp.ones((16, 16, 3))))
        Metadata(settings={}, provenance={})
    """
    with reading(Path(path)) as file, PillowImage.open(file, formats=FORMATS) as image:
        text = image.info.get(TEXT_CHUNK)
        if text is None:
            text = image.getexif().get(ExifTags.Base.ImageDescription, "")
    try:
        document = json.loads(text)
        return Metadata(dict(document[_SETTINGS].items()), dict(document[_PROVENANCE].items()))
    # Somebody else's description.
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Metadata({}, {})
