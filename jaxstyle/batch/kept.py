"""What was made last, kept for those who come again."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

V = TypeVar("V")


class Kept(Generic[V]):
    """Values by their keys, of which the oldest are forgotten."""

    def __init__(self, most: int) -> None:
        """Keeps so many."""
        self._most = most
        self._values: dict[Any, V] = {}

    def get(self, key: Any, make: Callable[[], V]) -> V:
        """Returns what was made for a key, or makes it."""
        value = self._values.pop(key) if key in self._values else make()
        self._values[key] = value
        if len(self._values) > self._most:
            del self._values[next(iter(self._values))]
        return value
