"""Picture files written from their specifications, for the tests of loading."""

import struct
import zlib

import numpy as np

STEP = 1 / 65535

# PNG 1.2, 8.2: first row and column of each pass over an interlaced image, and its steps.
_ADAM7 = (
    *((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4)),
    *((2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)),
)

# How upright pixels are stored with each orientation (TIFF 6.0, p. 36).
STORED_FROM_UPRIGHT = {
    1: lambda x: x,
    2: np.fliplr,
    3: lambda x: np.rot90(x, 2),
    4: np.flipud,
    5: lambda x: np.rot90(np.fliplr(x)),
    6: lambda x: np.rot90(x, 1),
    7: lambda x: np.rot90(np.fliplr(x), -1),
    8: lambda x: np.rot90(x, -1),
}


def encode(linear):
    """The sRGB transfer function, IEC 61966-2-1."""
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def linearise(x):
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def png(samples, bits, colour_type, *chunks, interlaced=False):
    """A PNG file without filters; samples below 8 bits are packed."""
    h, w = samples.shape[:2]
    rows = []
    for part in [samples[y::dy, x::dx] for y, x, dy, dx in _ADAM7] if interlaced else [samples]:
        for row in part.reshape(len(part), -1):
            text = "".join(f"{value:0{bits}b}" for value in row)
            text = text.ljust(-(-len(text) // 8) * 8, "0")
            rows.append(b"\0" + int(text, 2).to_bytes(len(text) // 8))
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", w, h, bits, colour_type, 0, 0, interlaced)),
        *chunks,
        (b"IDAT", zlib.compress(b"".join(rows))),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in parts
    )


def tiff(strip, shape, bits, *tags, order="<"):
    """A TIFF file of one strip."""
    h, w, c = shape
    entries = {256: [w], 257: [h], 258: [bits] * c, 259: [1], 262: [2 if c > 1 else 1], 277: [c]}
    entries |= {278: [h], 279: [len(strip)], **dict(tags)}
    end = 8 + 2 + 12 * (len(entries) + 1) + 4
    entries[273] = [end]
    table, extra = b"", b""
    for tag in sorted(entries):
        short = tag not in (273, 279, 256, 257)
        packed = struct.pack(f"{order}{len(entries[tag])}{'H' if short else 'I'}", *entries[tag])
        if len(packed) > 4:
            extra, packed = extra + packed, struct.pack(f"{order}I", end + len(strip) + len(extra))
        count = len(entries[tag])
        kind = 3 if short else 4
        table += struct.pack(f"{order}HHI", tag, kind, count) + packed.ljust(4, b"\0")
    head = struct.pack(f"{order}2sHIH", b"II" if order == "<" else b"MM", 42, 8, len(entries))
    return head + table + b"\0\0\0\0" + strip + extra


def lzw(data):
    """A valid LZW stream (TIFF's compression 5) that never uses its dictionary."""
    codes = []
    for i, byte in enumerate(data):
        codes += [256, byte] if i % 200 == 0 else [byte]  # 256 clears: codes stay 9 bits long.
    bits = "".join(f"{code:09b}" for code in [*codes, 257])
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8))


def zstd(data):
    """A frame of one block that is stored, not compressed (RFC 8878; TIFF's compression 50000)."""
    head = struct.pack("<IBI", 0xFD2FB528, 0b10100000, len(data))
    return head + struct.pack("<I", len(data) << 3 | 1)[:3] + data
