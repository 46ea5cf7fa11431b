"""Values of settings, as files write them, in the types that recipes have them in."""

from collections.abc import Mapping
from typing import Any, TypeAlias, get_args

from jaxstyle.errors import InputError, check_choice
from jaxstyle.ops.resize import Size, parse_size

LayerWeights: TypeAlias = Mapping[str, float]
"""Layers and how much each counts."""


def typed(name: str, value: Any, kind: Any) -> Any:
    """Returns a TOML value as a setting's type, or says why it is none."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == Size:
        return parse_size(str(value))
    if kind is float and number:
        try:
            return float(value)
        except OverflowError:
            raise InputError(f"{name}: a number of too many digits; give a smaller one") from None
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
    raise InputError(f"{name} {value!r}: not of the kind that it should be; see jaxstyle.Recipe")
