"""Options with several values."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxstyle.errors import InputError
from jaxstyle.recipes.recipe import Recipe
from jaxstyle.recipes.words import parse_setting

_LAYERS = ("content_layers", "style_layers")
_FILES = ("init", "encoder")
_MOST = 2


class Axis(NamedTuple):
    """An option with several values.

    Attributes:
        name: The field of the recipe.
        words: The values as text.
    """

    name: str
    words: tuple[str, ...]

    @property
    def option(self) -> str:
        """The name of the option on the command line."""
        return f"--{self.name.replace('_', '-')}"


def split_axes(arguments: Sequence[str]) -> tuple[list[str], tuple[Axis, ...]]:
    """Returns the arguments with one value for each option, and the options with several.

    Values are separated by commas; layers, which contain commas, by semicolons. The path of an
    existing file is a single value.

    Raises:
        InputError: More than two options have several values, or a value is repeated.
    """
    valued = (f.name for f in dataclasses.fields(Recipe) if not isinstance(f.default, bool))
    fields = {f"--{name.replace('_', '-')}": name for name in valued}
    single, axes, words = [], [], iter(arguments)
    for word in words:
        option, equals, value = word.partition("=")
        name = fields.get(option)
        if name is None:
            single.append(word)
            continue
        value = value if equals else next(words, None)
        parts = [] if value is None else _values(name, value)
        if len(parts) > 1:
            axis = Axis(name, tuple(part.strip() for part in parts if part.strip()))
            if not axis.words:
                raise InputError(f"{option} {value}: no values; give several, as in 1,3,10")
            _check_distinct(axis)
            axes.append(axis)
            value = axis.words[0]
        single += [option] if value is None else [option, value]
    if len(axes) > _MOST:
        names = ", ".join(axis.option for axis in axes)
        raise InputError(f"{names}: too many options with several values; use one or two")
    return single, tuple(axes)


def _check_distinct(axis: Axis) -> None:
    seen: list[Any] = []
    for word in axis.words:
        if (value := parse_setting(axis.name, word)) in seen:
            given = ",".join(axis.words)
            raise InputError(f"{axis.option} {given}: {word} is repeated; remove one")
        seen.append(value)


def _values(name: str, text: str) -> list[str]:
    if name in _FILES and os.path.exists(text):
        return [text]
    return text.split(";" if name in _LAYERS else ",")
