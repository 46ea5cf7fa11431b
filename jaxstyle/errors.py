"""Exceptions told in one line: what was handed in cannot be used, or what it takes is not there."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class InputError(ValueError):
    """Bad input, told in one line: which file or option, what is wrong with it, what to do.

    The command turns it into that line and exit code 2.

    Examples:
        >>> raise InputError("photo.jpg: is empty; choose another file")
        Traceback (most recent call last):
        jaxstyle.errors.InputError: photo.jpg: is empty; choose another file
    """


class InputWarning(UserWarning):
    """A warning in one line about an input that is used although something is wrong with it."""


class ResourceError(RuntimeError):
    """What a run takes is not there, memory or room on a disk; told in one line.

    The command turns it into that line and exit code 1.
    """


def unknown(what: str, value: object, choices: Iterable[str], more: str = "") -> InputError:
    """Returns the error for a value that is none of the known ones, with the one probably meant.

    Args:
        what: The option, or the kind of thing.
        value: What was given.
        choices: What could have been.
        more: What else could have been, after a comma.

    Examples:
        >>> raise unknown("padding", "zero", ["zeros", "circular"])
        Traceback (most recent call last):
        jaxstyle.errors.InputError: padding 'zero': unknown, perhaps zeros; choose zeros, circular
    """
    choices = list(choices)
    # Other libraries name a layer after its rectifier.
    near = difflib.get_close_matches(str(value).replace("relu", "conv"), choices, 1)
    meant = "".join(f", perhaps {choice}" for choice in near)
    return InputError(f"{what} {value!r}: unknown{meant}; choose {', '.join(choices)}{more}")


def check_choice(what: str, value: object, choices: Iterable[str]) -> None:
    """Refuses a value that is none of the choices.

    Raises:
        InputError: It is not.
    """
    choices = list(choices)
    if value not in choices:
        raise unknown(what, value, choices)


def choose(what: str, value: Any, table: Mapping[str, T]) -> T:
    """Returns what goes by a name; what is no name is taken for the thing itself.

    Raises:
        InputError: The name is none of the table's.

    Examples:
        >>> choose("number", "two", {"one": 1, "two": 2}), choose("number", 3, {"one": 1})
        (2, 3)
    """
    if not isinstance(value, str):
        return value
    check_choice(what, value, table)
    return table[value]
