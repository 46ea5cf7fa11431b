"""Settings as text: as typed on the command line or in a table, and their descriptions."""

import ast
import dataclasses
import inspect
import json
import textwrap
from typing import Any

from jaxstyle.errors import InputError
from jaxstyle.recipes.recipe import Recipe
from jaxstyle.recipes.typed import LayerWeights

GROUPS = {
    "result": "preset config iterations colour init encoder seed",
    "strength": "style_weight nearest_weight content_weight tv_weight style_scale strength blend",
    "size": "size side multiple stretch_style scales scale_factor coarsest coarse_iterations "
    "first_iterations decline coarse_style",
    "regions": "content_mask style_mask",
    "watching": "watch preview save_every timelapse trace checkpoint checkpoint_every json quiet "
    "debug",
    "machine": "memory precision devices coordinator process_id num_processes lanes ray shard "
    "cache compile_cache",
    "expert": "",
}
"""Groups of the options in ``--help`` and of the settings on the web page, in this order. A setting
of the recipe that is in none of them is in ``expert``."""

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


def field_docs(kind: type) -> dict[str, str]:
    """Returns the docstrings below the fields of a dataclass."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    docs, name = {}, ""
    for node in tree.body if isinstance(tree, ast.ClassDef) else []:
        match node:
            case ast.AnnAssign(target=ast.Name(id=name)):
                pass
            case ast.Expr(value=ast.Constant(value=str(text))) if name:
                docs[name] = " ".join(text.split())
            case _:
                name = ""
    return docs
