"""Exceptions with one-line messages, for bad input and missing resources."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class InputError(ValueError):
    """Bad input. The message is one line: file or option, what is wrong with it, what to do.

    The command prints the message and exits with code 2.

    Examples:
        >>> raise InputError("photo.jpg: is empty; choose another file")
        Traceback (most recent call last):
        jaxstyle.errors.InputError: photo.jpg: is empty; choose another file
    """


class InputWarning(UserWarning):
    """A one-line warning about an input that is used although something is wrong with it."""


class ResourceError(RuntimeError):
    """Not enough memory or disk space. The message is one line.

    The command prints the message and exits with code 1.
    """


def unknown(what: str, value: object, choices: Iterable[str], more: str = "") -> InputError:
    """Returns the error for an unknown value, with a suggestion if a choice is similar.

    Args:
        what: Name of the option, or of the kind of value.
        value: The unknown value.
        choices: The valid values.
        more: Text to append to the choices.

    Examples:
        >>> raise unknown("padding", "zero", ["zeros", "circular"])
        Traceback (most recent call last):
        jaxstyle.errors.InputError: padding 'zero': unknown, perhaps zeros; choose zeros, circular
    """
    choices = list(choices)
    # Other libraries name a layer after its ReLU.
    near = difflib.get_close_matches(str(value).replace("relu", "conv"), choices, 1)
    meant = "".join(f", perhaps {choice}" for choice in near)
    return InputError(f"{what} {value!r}: unknown{meant}; choose {', '.join(choices)}{more}")


def check_choice(what: str, value: object, choices: Iterable[str]) -> None:
    """Checks that a value is one of the choices.

    Raises:
        InputError: The value is not one of the choices.
    """
    choices = list(choices)
    if value not in choices:
        raise unknown(what, value, choices)


def choose(what: str, value: Any, table: Mapping[str, T]) -> T:
    """Looks up a name in a table; returns a value that is not a string unchanged.

    Raises:
        InputError: The name is not in the table.

    Examples:
        >>> choose("number", "two", {"one": 1, "two": 2}), choose("number", 3, {"one": 1})
        (2, 3)
    """
    if not isinstance(value, str):
        return value
    check_choice(what, value, table)
    return table[value]
