"""Conversion of setting values from files to the types that recipes use."""

from collections.abc import Mapping
from typing import Any, TypeAlias, get_args

from jaxstyle.errors import InputError, check_choice
from jaxstyle.ops.resize import Size, parse_size

LayerWeights: TypeAlias = Mapping[str, float]
"""Layers and their weights."""


def typed(name: str, value: Any, kind: Any) -> Any:
    """Converts a TOML value to the type of a setting.

    Raises:
        InputError: The value does not have this type.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == Size:
        return parse_size(str(value))
    if kind is float and number:
        try:
            return float(value)
        except OverflowError:
            raise InputError(f"{name}: the number is too large; give a smaller one") from None
    if kind == LayerWeights and isinstance(value, dict):
        return {layer: typed(name, weight, float) for layer, weight in value.items()}
    options = [option for option in get_args(kind) if option is not type(None)] or [kind]
    choices = [
        c for option in options for c in (get_args(option) or ([option] * isinstance(option, str)))
    ]
    if choices:
        check_choice(name, value, choices)
        return value
    if kind != LayerWeights and any(type(value) is option for option in options):
        return value
    raise InputError(f"{name} {value!r}: wrong type; see jaxstyle.Recipe")
