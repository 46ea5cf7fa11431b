"""Parsing of settings from text, as typed on the command line or in the cells of a table."""

import dataclasses
import json
from typing import Any

from jaxstyle.errors import InputError
from jaxstyle.recipes.recipe import Recipe
from jaxstyle.recipes.typed import LayerWeights

_LAYERS = ("content_layers", "style_layers")
_TEXTS = {field.name for field in dataclasses.fields(Recipe) if field.type in (str, "str")}


def parse_setting(name: str, word: str) -> Any:
    """Parses the value of a setting for ``Recipe.updated``.

    Args:
        name: Name of the setting; if it is unknown, the text is parsed as JSON.
        word: The value as text, in the format of the command's options.

    Raises:
        InputError: The text does not name layers, as the setting requires.

    Examples:
        >>> parse_setting("style_weight", "3"), parse_setting("style_layers", "image=20,conv1_1")
        (3, {'image': 20.0, 'conv1_1': 1.0})
    """
    if name in _LAYERS and not word.lstrip().startswith("{"):
        try:
            return dict(parse_layers(word))
        except ValueError as error:
            raise InputError(f"{name} {word!r}: {error}; give LAYER[=WEIGHT],…") from None
    if name in _TEXTS:
        return word
    try:
        return json.loads(word)
    except (ValueError, RecursionError):
        return word


def parse_layers(text: str) -> LayerWeights:
    """Parses layers and weights such as ``image=20,conv1_1``.

    Raises:
        ValueError: A weight is not a number, or a layer is named twice.
    """
    parts = [part.partition("=") for part in text.split(",") if part.strip()]
    names = [name.strip() for name, *_ in parts]
    if len(names) > len(set(names)):
        raise ValueError("a layer is named twice")
    return {
        name: float(weight) if equals else 1.0
        for name, (_, equals, weight) in zip(names, parts, strict=True)
    }
