"""Damages bytes: cut off, bits flipped, numbers replaced by extreme ones, parts moved."""

import random
from collections.abc import Iterator, Mapping

_EXTREMES = (b"\x00", b"\xff", b"\x7f\xff", b"\x80\x00", b"\xff" * 4, b"\x7f" + b"\xff" * 7)


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Returns a damaged copy of a file that is not empty."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        start = rng.randrange(min(len(data), rng.choice((512, len(data)))))
        end = start + rng.randrange(1, 64)
        number = rng.choice(_EXTREMES)[:: rng.choice((1, -1))]
        flipped = bytes([data[start] ^ 1 << rng.randrange(8)])
        data = rng.choice(
            (
                data[: max(start, 1)],
                data[:start] + flipped + data[start + 1 :],
                data[:start] + number + data[start + len(number) :],
                data[:start] + rng.randbytes(end - start) + data[end:],
                data[:start] + data[end:] or b"\x00",
                data[:end] + data[start:],
            )
        )
    return data


def mutated(good: Mapping[str, bytes], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yields names and contents: the good files, and ``count`` damaged copies of them in turn."""
    yield from good.items()
    for number in range(count):
        name = list(good)[number % len(good)]
        yield f"{number}-{name}", mutate(good[name], random.Random(f"{seed} {number}"))
