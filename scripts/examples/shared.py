"""What the three pictures share: noise, blur, palettes, and the way from light to a picture.

Colours are linear light until `develop`; pictures are drawn SUPERSAMPLE times too large.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

Array = np.ndarray

SUPERSAMPLE = 2


def pigment(code: str) -> Array:
    """The linear colours of space-separated hexadecimal sRGB codes, one a row."""
    return np.array([tuple(bytes.fromhex(c)) for c in code.split()]) ** 2.2 / 255**2.2


def unit(vectors: Array) -> Array:
    """Vectors of length one along the last axis."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def fractal_noise(
    rng: np.random.Generator, shape: tuple[int, int], slope: float, stretch: float = 1.0
) -> Array:
    """Tileable noise of amplitude 1/f^slope, mean 0 and deviation 1, stretched along x."""
    fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])
    radius = np.hypot(fy, fx * stretch)
    radius[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal(shape)) / radius**slope
    noise = np.fft.irfft2(spectrum, shape)
    return ((noise - noise.mean()) / noise.std()).astype(np.float32)


def blur(image: Array, sigma: float) -> Array:
    """Gaussian blur of the first two axes; the border is repeated."""
    pad = int(3 * sigma) + 1
    padded = np.pad(image, [(pad, pad)] * 2 + [(0, 0)] * (image.ndim - 2), mode="edge")
    for axis in (0, 1):
        n = padded.shape[axis]
        kernel = np.exp(-2 * (np.pi * sigma * np.fft.rfftfreq(n)) ** 2)
        kernel = kernel.reshape([-1 if a == axis else 1 for a in range(image.ndim)])
        padded = np.fft.irfft(np.fft.rfft(padded, axis=axis) * kernel, n, axis=axis)
    return padded[pad:-pad, pad:-pad].astype(np.float32)


def tiled(tile: Array, x: Array, y: Array) -> Array:
    """`tile` repeated over the plane, at the nearest of its points."""
    return tile[y.astype(np.int32) % tile.shape[0], x.astype(np.int32) % tile.shape[1]]


def smoothstep(low: float, high: float, x: Array) -> Array:
    """A smooth ramp, 0 at `low` and 1 at `high`."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def expose(light: Array, vignette: float) -> Array:
    """Bloom, vignette and a filmic curve (Narkowicz's fit of ACES, 2015), still linear."""
    height, width = light.shape[:2]
    light = light + 0.12 * blur(np.maximum(light - 0.7, 0), width / 60)
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    light = light * (1 - vignette * smoothstep(0.5, 2.2, x**2 + y**2))[..., None]
    return light * (2.51 * light + 0.03) / (light * (2.43 * light + 0.59) + 0.14)


def develop(light: Array, grain: float, rng: np.random.Generator) -> Image.Image:
    """Downsampled, gamma-encoded, grained 8-bit picture of linear light in [0, 1]."""
    n, (height, width) = SUPERSAMPLE, light.shape[:2]
    small = light.reshape(height // n, n, width // n, n, 3).mean((1, 3))
    srgb = np.clip(small, 0, 1) ** (1 / 2.2)
    srgb += grain * blur(rng.standard_normal(srgb.shape[:2]), 0.6)[..., None]
    return Image.fromarray((np.clip(srgb, 0, 1) * 255 + 0.5).astype(np.uint8))
