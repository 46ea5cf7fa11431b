"""The page's controls, made from the recipe's fields: names, help and defaults exist once."""

import dataclasses
import functools
import math
import re
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from jaxstyle import pretrained
from jaxstyle.errors import InputError, unknown
from jaxstyle.ops.resize import MAX_SIDE, MIN_SIDE, Size
from jaxstyle.recipes.presets import PRESETS, preset
from jaxstyle.recipes.recipe import INITS, LayerWeights, Recipe
from jaxstyle.recipes.words import GROUPS, field_docs
from jaxstyle.web import labels

PRINT = "print"
"""The preset of large pictures, if there is one."""

_MIN_FACTOR = 1.5  # between two sizes of a print
_NEAR = 1.05  # times the preview's size: smaller sizes are not painted again

REGIONS = {
    "#1d1d24": "the rest",
    "#e0552b": "orange",
    "#2f7fd6": "blue",
    "#3ea34d": "green",
    "#b44fc4": "violet",
}
"""Colours of the brush and their names; the first one is where nothing is drawn."""


STRENGTHS = (0.002, 0.01, 0.04, 0.2, 1.0, 5.0)
"""Strengths of a sheet, as multiples of the preset's style weight; the first and the last are also
the ends of the slider."""


@functools.cache
def describe() -> list[dict[str, Any]]:
    """Returns a control for each field of the recipe, in the groups of the command's help.

    Each has name, label, group, kind, choices with their labels, default and help.
    """
    kinds, texts, default = get_type_hints(Recipe), field_docs(Recipe), Recipe().to_table()
    group_of = {name: group for group, names in GROUPS.items() for name in names.split()}
    rank = {name: i for i, name in enumerate(group_of)}
    fields = [field.name for field in dataclasses.fields(Recipe) if field.name != "encoder"]
    return [
        {
            "name": name,
            "label": labels.label_of(name),
            "group": labels.GROUPS[group_of.get(name, "expert")],
            **_kind(name, kinds[name]),
            "labels": labels.CHOICES.get(name, {}),
            "default": default.get(name),
            "help": _in_words(texts.get(name, "")),
        }
        for name in sorted(fields, key=lambda name: rank.get(name, len(rank)))
    ]


def _in_words(text: str) -> str:
    """Returns a help text without the command's options.

    Examples:
        >>> _in_words("Iterations, down to --coarsest; not with `lbfgs`.")
        'Iterations, down to “Smallest size”; not with lbfgs.'
    """
    named = re.sub(r"--([a-z-]+)", lambda m: f"“{labels.label_of(m[1].replace('-', '_'))}”", text)
    return named.replace("`", "")


def _kind(name: str, kind: Any) -> dict[str, Any]:
    """Returns the kind of control for a type."""
    if kind == Size:
        return {"kind": "size"}
    if kind == LayerWeights:
        return {"kind": "layers"}
    if name == "init":
        return {"kind": "choice", "choices": list(INITS)}
    options = [option for option in get_args(kind) if option is not type(None)]
    if get_origin(kind) is Literal:
        return {"kind": "choice", "choices": list(get_args(kind))}
    if options and get_origin(options[0]) is Literal:
        return {"kind": "choice", "choices": ["", *get_args(options[0])]}
    named = {bool: "flag", int: "whole", float: "number"}
    return {"kind": named.get(options[0] if options else kind, "text")}


@functools.cache
def _optional() -> set[str]:
    """Returns the fields that may be None."""
    kinds = get_type_hints(Recipe)
    return {name for name, kind in kinds.items() if type(None) in get_args(kind)}


def encoders_here(cache: Path | None) -> list[str]:
    """Returns the names of encoders on this machine, the packaged one first."""
    return [entry.name for entry in pretrained.available(cache) if entry.here]


def presets_here(encoders: list[str]) -> list[dict[str, Any]]:
    """Returns the presets for photographs, those that people need most first."""
    names = [name for name in labels.CARDS if name in PRESETS]
    names += [name for name in PRESETS if name not in labels.CARDS]
    return [
        _preset(name, encoders)
        for name in names
        if _uses_photograph(PRESETS[name].recipe) and name != PRINT
    ]


def _uses_photograph(recipe: Recipe) -> bool:
    return bool(recipe.content_layers or recipe.nearest_weight)


def _preset(name: str, encoders: list[str]) -> dict[str, Any]:
    entry = PRESETS[name]
    card = labels.CARDS.get(name, labels.Card(name.capitalize(), entry.source))
    here = entry.recipe.encoder in encoders
    facts = {"name": name, **card._asdict(), "settings": entry.recipe.to_table(), "here": here}
    return facts | {"first": here and name in labels.CARDS}


def recipe_of(name: object, settings: object, encoders: list[str]) -> Recipe:
    """Returns the recipe that a page asks for.

    Args:
        name: The preset.
        settings: Settings that differ from it; an empty field means None.
        encoders: Names of encoders that are allowed: any other name could be a file's.

    Raises:
        InputError: There is no such preset, setting, value or encoder, or a field that needs a
            value is empty.
    """
    if not isinstance(name, str) or not isinstance(settings, dict):
        raise InputError("settings: of a wrong type; reload the page")
    start = preset(name)
    if not _uses_photograph(start):
        raise InputError(f"preset {name}: paints without a photograph; use the command")
    empty = {k for k, v in settings.items() if v is None or v == ""}
    for field in sorted(empty - _optional()):
        raise InputError(f"{field}: empty; give a value, or reset it")
    start = start.replace(**dict.fromkeys(empty))
    try:
        recipe = start.updated({k: v for k, v in settings.items() if k not in empty})
    except TypeError as error:
        raise InputError(f"settings: {error}") from None
    if recipe.init not in INITS:  # It would be a file of the server.
        raise unknown("init", recipe.init, INITS)
    if recipe.encoder not in encoders:
        known = ", ".join(encoders)
        raise InputError(f"encoder: not on this machine; choose {known}, or download it first")
    return recipe


def enlarged(recipe: Recipe, size: int, start: tuple[int, int]) -> Recipe:
    """Returns the recipe that continues a finished preview at a larger size.

    Only sizes above the preview's own are painted.

    Args:
        recipe: The preview's recipe.
        size: Longer side of the result, in pixels.
        start: Height and width of the preview.

    Raises:
        InputError: The size is not larger than the preview's, or too large.
    """
    if size > MAX_SIDE:
        raise InputError(f"size: too large; give at most {MAX_SIDE}")
    if size <= max(start):
        raise InputError(f"size {size}: no larger than the preview; choose more than {max(start)}")
    if PRINT in PRESETS:
        plain, printing = Recipe().to_table(), preset(PRINT).to_table()
        recipe = recipe.updated({k: v for k, v in printing.items() if v != plain.get(k)})
    # A factor just above 1 would give any number of scales.
    factor = max(recipe.scale_factor, _MIN_FACTOR)
    scales = max(1, math.ceil(math.log(size / (_NEAR * max(start)), factor)))
    return recipe.replace(
        size=size, side="longer", scales=scales, scale_factor=factor, coarsest=MIN_SIDE
    )
