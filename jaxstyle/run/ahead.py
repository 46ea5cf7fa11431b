"""What comes next, made by a thread while what is here is worked on."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from jaxstyle.configuration import defaults, of_this_thread

T = TypeVar("T")


def ahead(items: Iterator[T]) -> Iterator[T]:
    """Yields what an iterator does, each made by a thread while the one before is worked on."""
    here = of_this_thread()

    def following() -> tuple[T] | None:
        with here(), defaults():
            return next(((item,) for item in items), None)

    pool = ThreadPoolExecutor(max_workers=1)
    try:
        made = pool.submit(following).result()
        while made is not None:
            (item,) = made
            coming = pool.submit(following)
            yield item
            made = coming.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
