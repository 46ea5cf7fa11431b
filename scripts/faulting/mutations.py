"""Files made wrong: cut off, bits turned, numbers made extreme, parts moved."""

import random
from collections.abc import Callable, Iterator, Mapping

_HEADER = 512
_EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def _cut(data: bytearray, rng: random.Random) -> bytearray:
    return data[: rng.randrange(len(data))]


def _turn_bits(data: bytearray, rng: random.Random) -> bytearray:
    for _ in range(rng.choice((1, 1, 2, 8))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return data


def _turn_header(data: bytearray, rng: random.Random) -> bytearray:
    for _ in range(rng.choice((1, 1, 2, 4))):
        data[rng.randrange(min(_HEADER, len(data)))] = rng.randrange(256)
    return data


def _set_number(data: bytearray, rng: random.Random) -> bytearray:
    place = rng.randrange(min(_HEADER, len(data)))
    size, order = rng.choice((1, 2, 4, 8)), rng.choice(("little", "big"))
    number = rng.choice(_EXTREMES) & ((1 << 8 * size) - 1)
    data[place : place + size] = number.to_bytes(size, order)
    return data


def _clear(data: bytearray, rng: random.Random) -> bytearray:
    start = rng.randrange(len(data))
    end = min(len(data), start + rng.randrange(1, 200))
    data[start:end] = bytes([rng.choice((0, 255))]) * (end - start)
    return data


def _move(data: bytearray, rng: random.Random) -> bytearray:
    """Drops a part, repeats it, or lets others follow it."""
    start = rng.randrange(len(data))
    end = start + rng.randrange(1, 64)
    between = (b"", data[start:end] * 2, rng.randbytes(rng.randrange(1, 64)))
    return data[:start] + rng.choice(between) + data[end:]


_MUTATIONS: tuple[Callable[[bytearray, random.Random], bytearray], ...] = (
    *(_cut, _turn_bits, _turn_header, _turn_header, _set_number, _set_number, _clear, _move),
)


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Returns a file that differs from one that is good."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if changed:
            changed = rng.choice(_MUTATIONS)(changed, rng)
    return bytes(changed)


def mutated(good: Mapping[str, bytes], count: int, seed: int) -> Iterator[tuple[str, str, bytes]]:
    """Yields what a case is called, a file's name and its bytes, each of a file in turn."""
    for number in range(count):
        rng = random.Random(f"{seed} {number}")
        name = list(good)[number % len(good)]
        yield f"case {number} of seed {seed}", f"{number}-{name}", mutate(good[name], rng)
