"""A cache of fixed size."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class LruCache(Generic[V]):
    """Values by key; the least recently used ones are dropped.

    Examples:
        >>> cache = LruCache[str](1)
        >>> cache.get("a", lambda: "made"), cache.get("a", lambda: "made again")
        ('made', 'made')
    """

    def __init__(self, size: int, drop: Callable[[V], None] = lambda value: None) -> None:
        """Makes an empty cache.

        Args:
            size: Largest number of values.
            drop: Called with each value that is dropped.
        """
        self.size, self._drop = size, drop
        self._values = OrderedDict[Hashable, V]()

    def get(self, key: Hashable, make: Callable[[], V]) -> V:
        """Returns the value of a key; makes it if it is missing."""
        if key not in self._values:
            self._values[key] = make()
        self._values.move_to_end(key)
        while len(self._values) > self.size:
            self._drop(self._values.popitem(last=False)[1])
        return self._values[key]
