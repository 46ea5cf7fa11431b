"""Computing the next item of an iterator in a thread while the present one is used."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from jaxstyle.configuration import defaults, of_this_thread

T = TypeVar("T")


def prefetch(items: Iterator[T]) -> Iterator[T]:
    """Yields the items of an iterator; a thread computes the next while the caller uses one."""
    configuration = of_this_thread()

    def advance() -> tuple[T] | None:
        with configuration(), defaults():
            return next(((item,) for item in items), None)

    pool = ThreadPoolExecutor(max_workers=1)
    try:
        current = pool.submit(advance).result()
        while current is not None:
            (item,) = current
            upcoming = pool.submit(advance)
            yield item
            current = upcoming.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
